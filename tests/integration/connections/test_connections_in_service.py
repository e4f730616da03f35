"""A replica's connections from its configuration file to its end, with a plugin in a folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis import Redis

from core.settings import Settings
from pipeline.config.model import PipelineConfig
from pipeline.connections import registry
from pipeline.connections.registry import ServiceConnections
from pipeline.redis_client import client as connection
from pipeline.storages import storage_fallback
from pipeline.worker.process import WorkerProcess
from tests.integration.pipeline.test_composition import Opened, settings
from tests.integration.support.pipeline_fixtures import a_vcon
from tests.unit.flowlang.test_flowlang_registry import plugin_folder
from tests.unit.support.flowlang_plugins import forgotten

PROVIDER = """
from pathlib import Path
from ..base import ConnectionPlugin
from .. import plugin_registry

class Plugin(ConnectionPlugin):
    name = "diary"
    def get_config_schema(self): return {"properties": {"page": {"type": "integer"}}}
    async def connect(self, config): self._note(config, "open")
    async def disconnect(self): self._note(self._config, "close")
    async def get_connection(self): return self._note(self._config, "lend")
    def _note(self, config, what):
        self._config = config
        with Path(config["file"]).open("a") as file:
            file.write(f"{what} {config['page']}\\n")
    def get_builtin_tasks(self): return {"diary_page": self._page}
    async def _page(self, connection): return {"page": self._config["page"]}

plugin_registry.register(Plugin())
"""


class Replica(Opened):
    """A front at work with one connection, and the diary that this keeps."""

    diary: Path
    config: Path
    settings: Settings

    def lines(self) -> list[str]:
        """What stands in the diary."""
        return self.diary.read_text().splitlines()

    def write(self, page: int, text: str) -> None:
        """Another configuration."""
        self.config.write_text(configured(self.diary, page, text))


def configured(diary: Path, page: int, text: str = "expose: [diary_page]") -> str:
    """A file whose connection keeps a diary."""
    return f"""
chains: {{main: {{ingress_lists: [in]}}}}
connection_plugins: [{diary.parent / "plugins"}]
connections:
  diary: {{type: diary, file: {diary}, page: {page}, {text}}}
"""


@pytest.fixture
async def replica(
    redis_url: str, client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Replica]:
    """Its configuration names a folder with a plugin."""
    monkeypatch.setattr(registry, "LOOK_SECONDS", 0.005)
    plugin_folder(tmp_path / "plugins", "diary", PROVIDER)
    config, diary = tmp_path / "config.yml", tmp_path / "diary"
    config.write_text(configured(diary, 1))
    with forgotten("diary"):
        opened = Replica(given := settings(config, redis_url), client)
        opened.diary, opened.config, opened.settings = diary, config, given
        yield opened
    connection._installed.clear()
    storage_fallback._installed.clear()
    registry._installed = None


async def test_a_connection_lives_from_its_first_use_to_the_end_of_the_service(
    replica: Replica,
) -> None:
    """It is looked after meanwhile, and exchanged when the configuration changes."""
    running = asyncio.create_task(replica.front.run())
    connections = replica.front.service.connections
    assert not replica.diary.exists()
    assert await connections.run_task("diary", "diary_page", {}, 9.0) == {"page": 1}
    await replica.until(lambda: replica.diary.read_text().count("lend 1") > 2)
    replica.write(2, "expose: [diary_page]")
    replica.front.reload()
    async with asyncio.timeout(60):
        await replica.changes.wait()
    assert await connections.run_task("diary", "diary_page", {}, 9.0) == {"page": 2}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await replica.front.close()
    lines = [line for line in replica.lines() if "lend" not in line]
    assert lines == ["open 1", "close 1", "open 2", "close 2"]


CHAIN = """
links: {write: {module: links.connection_task, options: {connection: diary, task: diary_page}}}
chains: {main: {links: [write], ingress_lists: [in]}}
"""


async def test_a_worker_looks_after_its_connections_and_closes_them(replica: Replica) -> None:
    """A process that runs chains has connections of its own, from its first vCon to its end."""
    text = configured(replica.diary, 1).replace("chains: {main: {ingress_lists: [in]}}", CHAIN)
    replica.config.write_text(text)
    worker = WorkerProcess(replica.settings, "w", lambda: None)
    running = asyncio.create_task(worker.run())
    assert not replica.diary.exists()
    vcon = a_vcon()
    replica.client.json().set(f"vcon:{vcon['uuid']}", "$", vcon)
    replica.client.rpush("in", vcon["uuid"])
    await replica.until(lambda: replica.diary.exists() and replica.lines().count("lend 1") > 3)
    replica.config.write_text(text.replace("page: 1", "page: 2"))
    await worker.reload()
    await replica.until(lambda: replica.lines()[-1] == "close 1")
    replica.client.rpush("in", vcon["uuid"])
    await replica.until(lambda: "lend 2" in replica.lines())
    await worker.stop(running, 9.0, asyncio.Event())
    await asyncio.gather(running, return_exceptions=True)
    await worker.close()
    await replica.front.close()
    lines = [line for line in replica.lines() if "lend" not in line]
    assert lines == ["open 1", "close 1", "open 2", "close 2"]


async def test_a_configuration_that_exposes_what_is_not_there_changes_nothing(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    """What was in force stays so, and the log says why."""
    running = asyncio.create_task(replica.front.run())
    replica.write(2, "expose: [diary_pages]")
    replica.front.reload()
    await replica.until(lambda: "configuration not changed" in caplog.text)
    connections = replica.front.service.connections
    assert await connections.run_task("diary", "diary_page", {}, 9.0) == {"page": 1}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await replica.front.close()


async def test_before_its_first_use_nothing_is_looked_after() -> None:
    """A process without connections never imports what would open them."""
    connections = ServiceConnections(PipelineConfig())
    looking = asyncio.create_task(connections.look_after())
    await asyncio.sleep(0)
    assert connections._flows is None
    looking.cancel()
    await connections.close()
