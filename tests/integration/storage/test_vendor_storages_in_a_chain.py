"""Storages at vendors, in a chain with a worker, loaded as a configuration names them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lib.web import http_client
from pipeline.config.parser import parse
from pipeline.live_config import Configuration
from pipeline.plugins.loader import load
from tests.integration.support.http_stand_in import stand_in
from tests.integration.support.pipeline_fixtures import Scene
from tests.integration.support.vendors.dataverse import dataverse
from tests.integration.support.vendors.openai_files import openai_files
from tests.integration.support.vendors.sftp import sftp_server
from tests.integration.support.vendors.spaceandtime import SpaceAndTime
from tests.integration.support.vendors.utopia import Utopia
from tests.integration.support.vendors.vcon_mcp import vcon_mcp
from tests.plugins.scene import canonical

VCON = canonical("tags-as-json-text-0.4.0")
UUID = VCON["uuid"]


def chain_of(module: str, options: dict[str, Any]) -> Configuration:
    """A chain of this storage alone."""
    storages = {"away": {"module": module, "options": options}}
    chain = {"storages": ["away"], "ingress_lists": ["in"], "egress_lists": ["out"]}
    config = parse({"storages": storages, "chains": {"main": chain}}, {})
    return Configuration(config, load(config))


async def run_twice(
    scene: Scene, module: str, options: dict[str, Any], *, is_read_back: bool = True
) -> None:
    """Two runs of one vCon, which can be read afterwards."""
    await scene.start(chain_of(module, options))
    await scene.store.put(VCON)
    for _ in range(2):
        await scene.redis.command("RPUSH", "in", UUID)
        ended = await scene.finished()
        assert ended.status == "done", ended.run
    assert scene.elements("out") == [UUID, UUID]
    assert await scene.store.get(UUID) == VCON
    expected = VCON if is_read_back else None
    if hasattr(import_module(module), "get"):
        assert await import_module(module).get(UUID, options) == expected


async def test_sftp(scene: Scene, tmp_path: Path) -> None:
    """One file after two runs."""
    async with sftp_server(tmp_path) as server:
        await run_twice(scene, "storage.sftp", server.options)
        assert len(server.files()) == 1
        await http_client.close()


async def test_vcon_mcp(scene: Scene) -> None:
    """One vCon after two runs."""
    with vcon_mcp() as server:
        await run_twice(scene, "storage.vcon_mcp", server.options)
        assert server.vcons == {UUID: VCON}
        await http_client.close()


async def test_dataverse(scene: Scene) -> None:
    """One row after two runs."""
    with dataverse() as server:
        await run_twice(scene, "storage.dataverse", server.options)
        assert server.vcons() == [VCON]
        await http_client.close()


async def test_chatgpt_files(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """One upload in two runs."""
    with openai_files() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        await run_twice(scene, "storage.chatgpt_files", server.options, is_read_back=False)
        assert len(server.files) == 1
        assert server.methods.count("POST") == 2
        await http_client.close()


async def test_spaceandtime(scene: Scene) -> None:
    """One row after two runs."""
    with stand_in(SpaceAndTime()) as server:
        await run_twice(scene, "storage.spaceandtime", server.options)
        assert len(server.rows) == 1
        await http_client.close()
    server.close()


async def test_utopia(scene: Scene) -> None:
    """One document after two runs."""
    with stand_in(Utopia()) as server:
        await run_twice(scene, "storage.utopia", server.options)
        assert len(server.documents) == 1
        await http_client.close()
