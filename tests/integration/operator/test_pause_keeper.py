"""Pauses and drains that have ended, or whose chain or replica is gone, are removed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.operator.entries import Entries, entry_of
from pipeline.operator.pause_keeper import (
    CHAIN_KEPT,
    NOTED_EVERY,
    REPLICA_KEPT,
    PauseKeeper,
    tended,
)
from pipeline.redis_client import keys
from tests.integration.operator.replica_scene import register_of
from tests.integration.support.pipeline_fixtures import Scene, configured

if TYPE_CHECKING:
    from redis import Redis

MAIN = configured()
NOW = 1_800_000_000_000


def entry(**fields: Any) -> str:
    """An entry's text."""
    return json.dumps(fields, separators=(",", ":"))


@pytest.mark.parametrize(
    ("fields", "known", "kept"),
    [
        ({"until": NOW, "seen": NOW}, True, "removed"),
        ({"until": NOW + 1, "seen": NOW}, True, "as it is"),
        ({"seen": NOW - NOTED_EVERY}, True, "as it is"),
        ({"seen": NOW - NOTED_EVERY - 1}, True, "noted"),
        ({"seen": NOW - CHAIN_KEPT}, False, "as it is"),
        ({"seen": NOW - CHAIN_KEPT - 1}, False, "removed"),
        ({"seen": NOW - CHAIN_KEPT - 1}, True, "noted"),
        ({"seen": NOW + 1}, False, "noted"),
        ({"seen": "long ago"}, False, "noted"),
        ({}, False, "noted"),
    ],
)
def test_what_becomes_of_an_entry(fields: dict[str, Any], known: bool, kept: str) -> None:
    """It ends by its time, or when nothing of its name was known for long."""
    text = entry(**fields)
    expected = {"removed": "", "as it is": text, "noted": entry(**fields | {"seen": NOW})}
    assert tended(entry_of(text), NOW, CHAIN_KEPT, known=known) == expected[kept]


def test_an_entry_that_cannot_be_read_is_given_a_day() -> None:
    """Then it is removed as one of an unknown chain."""
    noted = tended(entry_of("garbage"), NOW, CHAIN_KEPT, known=False)
    assert noted == entry(seen=NOW)
    later = NOW + CHAIN_KEPT + 1
    assert tended(entry_of(noted), later, CHAIN_KEPT, known=False) == ""


async def test_a_round_removes_what_is_over(
    scene: Scene, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """And notes what is known; the operator reads of a pause that was removed."""
    alive = register_of(scene.redis, MAIN, "alive")
    await alive.sign()
    now = await Entries(scene.redis, keys.PAUSED).now()
    long_ago = now - CHAIN_KEPT - 60_000
    pauses = {"main": {"seen": long_ago}, "gone": {"seen": long_ago}, "late": {"until": now - 1}}
    drains = {alive.id: {"seen": long_ago}, "dead:1:1": {"seen": now - REPLICA_KEPT - 60_000}}
    client.hset(keys.PAUSED, mapping={name: entry(**each) for name, each in pauses.items()})
    client.hset(keys.DRAINED, mapping={name: entry(**each) for name, each in drains.items()})
    await PauseKeeper(scene.redis, MAIN).round()
    assert client.hkeys(keys.PAUSED) == ["main"]
    assert client.hkeys(keys.DRAINED) == [alive.id]
    assert json.loads(str(client.hget(keys.PAUSED, "main")))["seen"] >= now
    told = {
        (each.getMessage(), vars(each).get("chain"))
        for each in caplog.records
        if each.levelname == "WARNING"
    }
    assert told == {("pause of an unknown chain removed", "gone")}


async def test_keys_of_another_type_are_left_alone(scene: Scene, client: Redis) -> None:
    """One of them does not keep the other from being tended."""
    client.set(keys.PAUSED, "another program's")
    client.hset(keys.DRAINED, "dead:1:1", entry(until=1))
    await PauseKeeper(scene.redis, MAIN).round()
    assert client.get(keys.PAUSED) == "another program's"
    assert not client.exists(keys.DRAINED)
