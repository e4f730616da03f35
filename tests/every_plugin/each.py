"""Runs each plugin in a chain of its own, twice, and tells why one does not run."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from redis import Redis

from devstack.deployment import Deployment
from tests.every_plugin.hosts import hosts
from tests.every_plugin.looks import Document, stored
from tests.every_plugin.table import Plugin
from tests.every_plugin.world import World, completed, world

DONE_SECONDS = 400
HEARING = {
    *("deepgram_link", "groq_whisper", "hugging_face_whisper", "openai_transcribe"),
    *("transcribe", "wtf_transcribe"),
}
"""Links that have nothing to do where there is a transcript."""
UNSEEN = "ran twice, and nothing of it is seen"
HEARD = {"transcript": "My bike is broken.", "text": "My bike is broken."}


@dataclass(frozen=True)
class Module:
    """A row of the table with its package."""

    room: str
    plugin: Plugin

    @property
    def name(self) -> str:
        """The module below its package."""
        return self.plugin.module

    @property
    def chain(self) -> str:
        """The chain that has nothing else."""
        return f"{self.room}.{self.name}"


def document(found: World, module: Module) -> Document:
    """The call with a transcript and a summary, for a chain."""
    body = {**HEARD, "paragraphs": {"transcript": HEARD["text"]}}
    about = {"dialog": 0, "vendor": "test"}
    written: list[Document] = [
        {**about, "type": "transcript", "encoding": "json", "body": json.dumps(body)},
        {**about, "type": "summary", "encoding": "none", "body": "A broken bike."},
    ]
    if module.name in HEARING:
        written = []
    elif module.name == "analyze":
        written.pop()
    name = str(uuid.uuid5(uuid.UUID(found.vcon["uuid"]), module.chain))
    return {**found.vcon, "uuid": name, "analysis": written}


def config(found: World, modules: Sequence[Module]) -> Document:
    """Each in a chain of its own; what is broken leaves the others."""
    sections: dict[str, Document] = {"links": {}, "storages": {}}
    chains: Document = {}
    for each in modules:
        section = "links" if each.room == "links" else "storages"
        row = {"module": each.chain, "options": each.plugin.options(found)}
        sections[section][each.chain] = row
        chains[each.chain] = {
            section: [each.chain],
            "ingress_lists": [each.chain],
            "max_attempts": 1,
        }
    completed(found)
    return {**sections, "chains": chains}


async def run_each(
    folder: Path, modules: Sequence[Module], settings: Mapping[str, str]
) -> dict[str, str]:
    """Why each did not run, by module; empty for those that ran twice."""
    async with world(folder) as found, hosts(folder, found.hosts) as proxied:
        file = folder / "config.yml"
        file.write_text(yaml.safe_dump(config(found, modules)))
        extra = {"CONFIG_ON_BROKEN": "disable"}
        given = {**found.settings, **proxied, **extra, **settings}
        async with Deployment(file, settings=given) as system:
            found.started(system)
            broken = await _broken(system)
            for turn in (1, 2):
                for each in modules:
                    if each.chain not in broken:
                        await _put(system, found, each, turn)
                for each in modules:
                    if each.chain not in broken and (said := await _said(system, each, turn)):
                        broken[each.chain] = said
            for each in modules:
                if each.chain not in broken and not await asyncio.to_thread(_seen, found, each):
                    broken[each.chain] = UNSEEN
    return {each.chain: broken.get(each.chain, "") for each in modules}


def _seen(found: World, module: Module) -> bool:
    uuid = document(found, module)["uuid"]
    return bool(module.plugin.worked(found, stored(found, uuid)))


async def _broken(system: Deployment) -> dict[str, str]:
    answer = await system.call("ListChains")
    chains = answer.json()["fields"]["chains"]
    return {each["name"]: "; ".join(each["broken"]) for each in chains if each.get("broken")}


async def _put(system: Deployment, found: World, module: Module, turn: int) -> None:
    vcon = document(found, module)
    if turn == 1:
        answer = await system.call("IngestVcon", vcon=vcon, ingress_lists=[module.chain])
        assert answer.status_code == 201, answer.text
    else:
        with Redis.from_url(system.stack.valkey.url) as client:
            await asyncio.to_thread(client.rpush, module.chain, vcon["uuid"])


async def _said(system: Deployment, module: Module, turn: int) -> str:
    async with asyncio.timeout(DONE_SECONDS):
        while True:
            answer = await system.call("ListRuns", chain=module.chain, limit=10)
            runs: list[Document] = answer.json()["fields"]["runs"]
            if len(runs) >= turn:
                return await _of_run(system, runs[0])
            await asyncio.sleep(0.1)


async def _of_run(system: Deployment, listed: Document) -> str:
    run: Any = (await system.call("GetRun", run_id=listed["run_id"])).json()["fields"]
    if run["status"] in ("done", "stopped"):
        return ""
    errors = [step["error"] for step in (*run["links"], *run["storages"]) if step["error"]]
    return f"{run['status']}: {'; '.join(errors) or run['error']}"
