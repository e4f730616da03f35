"""What `lib.vcon_server.config` gives to plugins while the configuration changes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from core.settings import Settings
from lib.vcon_server import config as library
from pipeline.config import yaml_file
from pipeline.redis_client import client as connection
from pipeline.storages import storage_fallback
from pipeline.worker.process import WorkerProcess
from tests.integration.support.composition_scene import PATIENCE, at_work, settings

MODULE = "module_that_asks_at_import"
FIRST = "chains: {main: {ingress_lists: [first]}}\n"
SECOND = f"""
links: {{asks: {{module: {MODULE}}}}}
chains: {{main: {{links: [asks], ingress_lists: [second]}}}}
"""
HALF = "chains: {main: {ingress_lists: [sec"
ASKS = """
from config import get_config
LISTS = get_config()["chains"]["main"]["ingress_lists"]
def run(vcon_uuid, link_name, opts): return vcon_uuid
"""


@pytest.fixture
def config(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Settings]]:
    """The file, beside a module that asks for it at its import, and the settings."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{MODULE}.py").write_text(ASKS)
    (path := tmp_path / "config.yml").write_text(FIRST)
    monkeypatch.setattr("lib.vcon_server.settings._host", [settings(path, redis_url)])
    monkeypatch.setattr("lib.vcon_server.config._read", [yaml_file.document])
    monkeypatch.setattr("pipeline.config.yaml_file._in_force", [])
    yield path, settings(path, redis_url)
    sys.modules.pop(MODULE, None)
    connection._installed.clear()
    storage_fallback._installed.clear()


def lists() -> list[str]:
    """The lists of the chain, as a plugin is told."""
    found: list[str] = library.get_config()["chains"]["main"]["ingress_lists"]
    return found


def lists_at_import() -> list[str]:
    """Those that the module was told."""
    found: list[str] = sys.modules[MODULE].LISTS
    return found


async def test_in_a_service(config: tuple[Path, Settings], redis_url: str) -> None:
    """The configuration in force, however its file is written; a module gets its own."""
    path, _ = config
    async with at_work(path, redis_url, dynamic_install=False) as opened:
        assert lists() == ["first"]
        await asyncio.to_thread(path.write_text, HALF)
        assert lists() == ["first"]
        await asyncio.to_thread(path.write_text, SECOND)
        opened.front.reload()
        async with asyncio.timeout(PATIENCE):
            await opened.changes.wait()
        assert lists() == lists_at_import() == ["second"]


async def test_in_a_worker(config: tuple[Path, Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise; the file is parsed once for each change."""
    path, given = config
    parsed: list[bytes] = []

    def parse(content: bytes) -> object:
        parsed.append(content)
        return yaml.load(content, yaml.SafeLoader)

    monkeypatch.setattr(yaml, "safe_load", parse)
    worker = WorkerProcess(given, "w", lambda: None)
    path.write_text(HALF)
    assert lists() == lists() == ["first"]
    await worker.reload()
    assert lists() == ["first"]
    path.write_text(SECOND)
    await worker.reload()
    path.unlink()
    assert lists() == lists() == lists_at_import() == ["second"]
    assert len(parsed) == 3  # the new module's import is the third
    await worker.close()
