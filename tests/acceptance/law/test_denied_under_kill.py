"""`kill -9` before a denied step: no plugin that the law does not allow ever gets the vCon."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from core.db.database import Database
from pipeline.redis_client import keys
from tests.integration.law.release_scene import basis
from tests.integration.support.pipeline_fixtures import a_vcon
from tests.integration.support.workers import PATIENCE, Start, bury, workers

CONFIG = """
law: {basis: {}}
links:
  before: {module: recorder}
  denied: {module: recorder, requires: {purpose: denied}}
storages:
  kept: {module: recorder}
  refused: {module: recorder, requires: {purpose: denied}}
tracers:
  watcher: {module: recorder, requires: {purpose: audit}}
hooks:
  guard: {module: guard, requires: {purpose: hooked}}
chains:
  hook: {links: [before], ingress_lists: [hook]}
  link: {links: [before, denied], storages: [kept], ingress_lists: [link]}
  storage: {links: [before], storages: [kept, refused], ingress_lists: [storage]}
  tracer: {links: [before], tracers: [watcher], ingress_lists: [tracer]}
  egress: {links: [before], egress: {requires: {purpose: denied}},
           ingress_lists: [egress], egress_lists: [out]}
"""
RECORDER = """
import os, time
def note(name, vcon_uuid):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{name} {vcon_uuid}\\n")
def run(*given):
    if len(given) == 6:
        note(given[2], given[1])
        return True
    note(given[1], given[0])
    if os.environ.get("HANGS"):
        os.write(1, b"inside\\n")
        time.sleep(1000)
    return given[0]
def save(vcon_uuid, opts):
    note("storage", vcon_uuid)
"""


GUARD = """
from recorder import note
def before_processing(vcon_id, *rest):
    note("hook", vcon_id)
    return vcon_id
def after_link(vcon_id, *rest):
    note("told", vcon_id)
"""


MODULES = {"recorder": RECORDER, "guard": GUARD}


@pytest.fixture
def start(
    tmp_path: Path, redis_url: str, migrated: Database, database_environment: dict[str, str]
) -> Iterator[Start]:
    """Starts workers; those that still run after the test are killed."""
    notes = {"REDIS_URL": redis_url, "NOTES": str(tmp_path / "notes")}
    with workers(tmp_path, CONFIG, MODULES, database_environment | notes) as started:
        yield started


def test_no_denied_step_gets_the_vcon(start: Start, redis_url: str, tmp_path: Path) -> None:
    """The worker dies in the link before; the next one goes on, and withholds each vCon."""
    chains = ("hook", "link", "storage", "tracer", "egress")
    with Redis.from_url(redis_url, decode_responses=True, socket_timeout=2 * PATIENCE) as redis:
        uuids: dict[str, str] = {}
        for name in chains:
            given = [basis("denied", granted=False), basis("audit", granted=name != "tracer")]
            given.append(basis("hooked", granted=name != "hook"))
            vcon: dict[str, Any] = a_vcon(attachments=given)
            redis.json().set(keys.vcon(vcon["uuid"]), ".", vcon)
            redis.rpush(name, vcon["uuid"])
            uuids[name] = vcon["uuid"]
        one = start("w1", HANGS="1")
        assert one.stdout is not None
        assert [one.stdout.readline() for _ in range(3)] == [b"inside\n"] * 3
        one.kill()
        one.wait(PATIENCE)
        asyncio.run(bury(redis_url, "w1"))
        start("w2", "--suspects")
        for name in chains:
            withheld = keys.withheld(name)
            assert redis.blmove(withheld, withheld, PATIENCE) == uuids[name]
        assert redis.llen("out") == 0
    notes = (tmp_path / "notes").read_text().splitlines()
    called = {name: {note.split()[0] for note in notes if uuids[name] in note} for name in chains}
    assert called == {
        "hook": set(),
        "link": {"hook", "told", "watcher", "before"},
        "storage": {"hook", "told", "watcher", "before", "storage"},
        "tracer": {"hook"},
        "egress": {"hook", "told", "watcher", "before"},
    }
    assert sum("before" in note for note in notes) == 6  # each was repeated after the death
