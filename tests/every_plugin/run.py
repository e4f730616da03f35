"""Runs one vCon twice through a chain of plugins in a real service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from redis import Redis

from devstack.deployment import Deployment
from tests.every_plugin.looks import Document, stored
from tests.every_plugin.table import LINKS, STORAGES, Plugin
from tests.every_plugin.world import World, completed, world

LIST, CHAIN = "calls", "everything"
DONE_SECONDS = 120


@dataclass(frozen=True)
class Seen:
    """What there is after a run."""

    run: dict[str, Any]
    document: Document
    effects: dict[str, object]


def config(found: World, links: Sequence[Plugin], storages: Sequence[Plugin]) -> Document:
    """A chain of these, each by the name of its module."""
    sections: Document = {
        section: {
            each.module: {"module": f"{room}.{each.module}", "options": each.options(found)}
            for each in rows
        }
        for section, room, rows in (("links", "links", links), ("storages", "storage", storages))
    }
    completed(found)
    chain = {name: list(entries) for name, entries in sections.items()}
    return {**sections, "chains": {CHAIN: {**chain, "ingress_lists": [LIST], "timeout": 100}}}


async def run_twice(
    folder: Path,
    links: Sequence[Plugin] = LINKS,
    storages: Sequence[Plugin] = STORAGES,
    settings: Mapping[str, str] | None = None,
) -> list[Seen]:
    """What there is after the first run, and after the second."""
    async with world(folder) as found:
        file = folder / "config.yml"
        file.write_text(yaml.safe_dump(config(found, links, storages)))
        given = {**found.settings, **(settings or {})}
        async with Deployment(file, settings=given) as system:
            found.started(system)
            vcon = found.vcon
            answer = await system.call("IngestVcon", vcon=vcon, ingress_lists=[LIST])
            assert answer.status_code == 201, answer.text
            first = await _seen(system, found, vcon["uuid"], (*links, *storages), runs=1)
            with Redis.from_url(found.redis_url) as client:
                client.rpush(LIST, vcon["uuid"])
            return [first, await _seen(system, found, vcon["uuid"], (*links, *storages), runs=2)]


async def _seen(
    system: Deployment, found: World, uuid: str, rows: Sequence[Plugin], *, runs: int
) -> Seen:
    run = await _ended(system, uuid, runs)
    assert run["status"] == "done", run
    return await asyncio.to_thread(_looked, found, uuid, rows, run)


async def _ended(system: Deployment, uuid: str, runs: int) -> dict[str, Any]:
    async with asyncio.timeout(DONE_SECONDS):
        while True:
            answer = await system.call("ListRuns", chain=CHAIN, limit=500)
            ended = [each for each in answer.json()["fields"]["runs"] if each["vcon_uuid"] == uuid]
            if len(ended) >= runs:
                last = await system.call("GetRun", run_id=ended[0]["run_id"])
                found: dict[str, Any] = last.json()["fields"]
                return found
            await asyncio.sleep(0.05)


def _looked(found: World, uuid: str, rows: Sequence[Plugin], run: dict[str, Any]) -> Seen:
    document = stored(found, uuid)
    effects = {f"{n} {each.module}": each.worked(found, document) for n, each in enumerate(rows)}
    return Seen(run, document, effects)
