"""Lists and dead letters as vcon-server's clients know them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidError, UnknownNameError, UnusableKeyError
from pipeline.admin import dead_letters, egress
from tests.integration.support.operations_scene import Operations, operations, two_chains
from tests.integration.support.pipeline_fixtures import new_uuid


@pytest.fixture
async def ops(redis_url: str, tmp_path: Path, monkeypatch: Any) -> AsyncIterator[Operations]:
    """Chains from `in` over `middle` to `out`, and storages; slices of two."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(egress, "CHUNK", 2)
    monkeypatch.setattr(dead_letters, "PAGE", 2)
    async with operations(redis_url) as opened:
        opened.configure(two_chains(tmp_path))
        yield opened


def filled(ops: Operations, name: str, count: int = 5) -> list[str]:
    """New uuids in a list, the oldest first."""
    uuids = [new_uuid() for _ in range(count)]
    ops.client.rpush(name, *uuids)
    return uuids


def end_leases(ops: Operations, name: str) -> None:
    """Let the time of all leases of a list be over."""
    for vcon_uuid in ops.client.zrange(f"pc:lease:{name}", 0, -1):
        ops.client.zincrby(f"pc:lease:{name}", -1e6, vcon_uuid)


RESERVED = [
    "",
    "pc:locks",
    "pc:lease:out",
    "vcon:x",
    "run:other",
    "DLQ:in",
    "context:in:x",
    "tel:1",
]


async def test_pop_takes_the_oldest_for_good(ops: Operations) -> None:
    """In several slices; it stops on empty, and leaves no lease."""
    uuids = filled(ops, "out")
    assert await ops.vcon_server.pop("out", 3) == uuids[:3]
    assert await ops.vcon_server.pop("out", 10**9) == uuids[3:]
    assert await ops.vcon_server.pop("out", 1) == []
    assert ops.client.exists("pc:lease:out") == 0


async def test_what_a_crash_leaves_popped_comes_back(ops: Operations, monkeypatch: Any) -> None:
    """Between the lease and its acknowledgement the process ends; then the lease ends."""
    uuids = filled(ops, "out", 3)
    with monkeypatch.context() as crash:
        crash.setattr(ops.egress, "acknowledge", None)
        with pytest.raises(TypeError):
            await ops.vcon_server.pop("out", 3)
    assert ops.list("out") == []
    end_leases(ops, "out")
    await ops.egress.take_back()
    assert ops.list("out") == uuids


async def test_lease_and_acknowledge(ops: Operations) -> None:
    """Leased uuids are counted when they are acknowledged; the others return."""
    uuids = filled(ops, "out")
    assert await ops.vcon_server.lease("out", 5, 60) == uuids
    assert await ops.vcon_server.acknowledge("out", uuids[:2]) == 2
    end_leases(ops, "out")
    assert await ops.vcon_server.lease("out", 5, 60) == uuids[2:]


@pytest.mark.parametrize("name", ["other", *RESERVED])
async def test_an_unknown_egress_list(ops: Operations, name: str) -> None:
    """Only lists of the configuration can be read."""
    for call in (ops.vcon_server.pop(name, 1), ops.vcon_server.lease(name, 1, 1)):
        with pytest.raises(UnknownNameError, match="Unknown egress list"):
            await call
    with pytest.raises(UnknownNameError, match="Unknown egress list"):
        await ops.vcon_server.acknowledge(name, [])


async def test_any_egress_list(ops: Operations) -> None:
    """Where that is allowed, an unknown list is read; a chain's list is not for readers."""
    uuids = filled(ops, "other")
    assert await ops.vcon_server.pop("other", 2, any_list=True) == uuids[:2]
    assert await ops.vcon_server.lease("other", 1, 60, any_list=True) == uuids[2:3]
    assert await ops.vcon_server.acknowledge("other", uuids, any_list=True) == 1
    assert await ops.vcon_server.pop("absent", 2, any_list=True) == []
    with pytest.raises(InvalidError, match="chain next reads it"):
        await ops.vcon_server.pop("middle", 1, any_list=True)


@pytest.mark.parametrize("name", RESERVED)
async def test_any_list_is_no_key_of_the_service(ops: Operations, name: str) -> None:
    """Neither its own keys, nor vcon-server's, are lists for readers."""
    with pytest.raises(UnknownNameError):
        await ops.vcon_server.pop(name, 1, any_list=True)


async def test_depths(ops: Operations) -> None:
    """Of ingress, egress and dead-letter lists; a missing list has none."""
    for name in ("in", "out", "DLQ:in", "run:main", "DLQ:storage:files"):
        assert await ops.vcon_server.depth(name) == 0
        filled(ops, name, 3)
        assert await ops.vcon_server.depth(name) == 3
    filled(ops, "pc:suspects:in", 2)
    assert await ops.vcon_server.depth("in") == 5


@pytest.mark.parametrize("name", ["other", "DLQ:other", *RESERVED[:5]])
async def test_depth_of_an_unknown_list(ops: Operations, name: str) -> None:
    """The error names the lists there are, and the key is not looked at."""
    ops.client.set(name, "no list")
    with pytest.raises(UnknownNameError, match=r"Unknown list: .*; known: DLQ:in"):
        await ops.vcon_server.depth(name)


async def test_depth_of_any_list(ops: Operations) -> None:
    """Where that is allowed, except for what is no list by its name."""
    filled(ops, "other", 2)
    filled(ops, "DLQ:other", 1)
    assert await ops.vcon_server.depth("other", any_list=True) == 2
    assert await ops.vcon_server.depth("DLQ:other", any_list=True) == 1
    assert await ops.vcon_server.depth("absent", any_list=True) == 0
    for name in RESERVED[:5]:
        with pytest.raises(UnknownNameError):
            await ops.vcon_server.depth(name, any_list=True)


async def test_depth_of_a_key_that_is_no_list(ops: Operations) -> None:
    """Another program keeps something else there."""
    for name in ("in", "other"):
        ops.client.set(name, "no list")
        with pytest.raises(UnusableKeyError, match=f"{name} is no list but a string"):
            await ops.vcon_server.depth(name, any_list=True)


async def test_dead_letters_oldest_first(ops: Operations) -> None:
    """In several slices, of a list or a storage, up to the bound, each copy counted."""
    uuids = filled(ops, "DLQ:in")
    stored = filled(ops, "DLQ:storage:files", 2)
    ops.client.rpush("DLQ:storage:files", stored[0])
    assert await ops.vcon_server.dead_letter_uuids("in", None) == uuids
    assert await ops.vcon_server.dead_letter_uuids(None, "files") == [*stored, stored[0]]
    assert await ops.vcon_server.dead_letter_uuids("middle", None) == []
    assert await ops.letters.uuids("DLQ:in", 3) == uuids[:3]


async def test_dead_letters_that_are_replayed_meanwhile(ops: Operations, monkeypatch: Any) -> None:
    """Entries taken out at the head between two slices do not hide others."""
    uuids = filled(ops, "DLQ:in")
    command = ops.redis.command

    async def command_and_replay(*words: Any) -> Any:
        reply = await command(*words)
        if words[0] == "LRANGE":
            ops.client.lpop("DLQ:in")
        return reply

    monkeypatch.setattr(ops.redis, "command", command_and_replay)
    assert await ops.vcon_server.dead_letter_uuids("in", None) == uuids


async def test_dead_letters_of_unknown_names(ops: Operations) -> None:
    """They can be seen as long as they last; without any the name is unknown."""
    with pytest.raises(UnknownNameError, match="Unknown ingress list: old"):
        await ops.vcon_server.dead_letter_uuids("old", None)
    with pytest.raises(UnknownNameError, match=r"^Unknown storage backend: old$"):
        await ops.vcon_server.dead_letter_uuids(None, "old")
    assert await ops.vcon_server.dead_letter_uuids("old", None, any_list=True) == []
    uuids = filled(ops, "DLQ:old", 3), filled(ops, "DLQ:storage:old", 3)
    assert await ops.vcon_server.dead_letter_uuids("old", None) == uuids[0]
    assert await ops.vcon_server.dead_letter_uuids(None, "old") == uuids[1]


async def test_replay_the_oldest(ops: Operations) -> None:
    """As many as asked for, from vcon-server's own dead letters as well."""
    uuids = [await ops.ingest() for _ in range(5)]
    ops.client.rpush("DLQ:in", *uuids)
    assert await ops.vcon_server.replay("in", None, 3) == 3
    assert ops.list("in") == uuids[:3]
    assert ops.list("DLQ:in") == uuids[3:]
    assert await ops.vcon_server.replay("in", None, 100_000) == 2


async def test_replay_of_unknown_names(ops: Operations) -> None:
    """A storage that is not configured cannot be written to, with dead letters or without."""
    filled(ops, "DLQ:storage:old")
    with pytest.raises(UnknownNameError, match=r"^Unknown storage backend: old$"):
        await ops.vcon_server.replay(None, "old", 1)
    with pytest.raises(UnknownNameError, match="Unknown ingress list: old"):
        await ops.vcon_server.replay("old", None, 1)
    assert await ops.vcon_server.replay("old", None, 1, any_list=True) == 0
    assert await ops.vcon_server.replay(None, "files", 1) == 0


async def test_replay_into_any_list(ops: Operations, monkeypatch: Any) -> None:
    """Another program reads the list: the oldest go back to it, in several turns."""
    monkeypatch.setattr("pipeline.vcon_server.operations.MOVED", 2)
    uuids = filled(ops, "DLQ:other")
    assert await ops.vcon_server.replay("other", None, 3, any_list=True) == 3
    assert (ops.list("other"), ops.list("DLQ:other")) == (uuids[:3], uuids[3:])
    assert await ops.vcon_server.replay("other", None, 100_000, any_list=True) == 2
    with pytest.raises(UnknownNameError):
        await ops.vcon_server.replay("pc:history", None, 1, any_list=True)
