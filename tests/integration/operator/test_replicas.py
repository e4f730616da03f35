"""The register of replicas: what processes write of themselves, and how it is read."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import UnusableKeyError
from core.observability.logs import keep_secret
from core.version import VERSION
from pipeline.operator.replicas import ReplicaReader
from pipeline.redis_client import keys
from schemas.operator.replicas import LONGEST_TEXT, MOST_TEXTS, Replica, ReplicasQuery
from tests.canaries import canary
from tests.integration.operator.replica_scene import eventually, register_of
from tests.integration.support.pipeline_fixtures import Scene, configured, link

if TYPE_CHECKING:
    from redis import Redis

    from pipeline.live_config import Configuration

CHAIN = configured()


async def read(scene: Scene, configuration: Configuration = CHAIN, **query: Any) -> list[Replica]:
    """The processes."""
    reader = ReplicaReader(scene.redis, configuration)
    return (await reader.replicas(ReplicasQuery(**query))).replicas


async def test_what_a_process_tells_of_itself_is_read_back(scene: Scene) -> None:
    """Every field, with the age of the sign by Redis' clock."""
    until = datetime(2027, 1, 1, tzinfo=UTC)
    facts = {"kind": "serve", "workers": ["w1", "w2"], "slots": 8, "joined": True}
    facts |= {"token_expires_at": until, "postgres": "no answer", "actions": "f00d"}
    register = register_of(scene.redis, CHAIN, **facts)
    await register.sign()
    [replica] = await read(scene)
    told = replica.model_dump(exclude={"age", "last_seen", "held"})
    assert told == register.state().model_dump() | {"in_flight": 0, "drained": None}
    assert (replica.id, replica.version, replica.config_hash) == (register.id, VERSION, "c0ffee")
    assert (replica.token_expires_at, replica.commit) == (until, "abc123")
    assert 0 <= replica.age < 15


async def test_a_process_leaves_and_a_killed_one_expires(scene: Scene, client: Redis) -> None:
    """One that stops is gone at once; the others remove the id of one that was killed."""
    stopped, killed, alive = [register_of(scene.redis, CHAIN, name) for name in "abc"]
    for each in (stopped, killed, alive):
        await each.sign()
    assert 0 < client.pttl(keys.process(killed.id)) <= 15_000
    await stopped.leave()
    client.delete(keys.process(killed.id))  # as its time to live does
    assert [each.id for each in await read(scene)] == [alive.id]
    await alive.sign()
    assert client.smembers(keys.PROCESSES) == {alive.id}


async def test_a_sign_under_way_does_not_register_a_process_that_left(
    scene: Scene, client: Redis
) -> None:
    """The removal is written after it, although its caller was cancelled."""
    register = register_of(scene.redis, CHAIN)
    signing = asyncio.create_task(register.sign())
    await asyncio.sleep(0)  # it has given its command
    signing.cancel()
    await register.leave()
    assert client.keys("pc:process*") == []


async def test_what_a_replica_holds_is_told_with_chain_step_and_since(scene: Scene) -> None:
    """As long as its worker runs it; a query without runs has the count alone."""
    begun, gate = asyncio.Event(), asyncio.Event()

    async def slow(vcon_uuid: str, *_: Any) -> str:
        begun.set()
        await gate.wait()
        return vcon_uuid

    chain = configured(links=[link(slow)])
    register = register_of(scene.redis, chain, workers=["one", "idle"])
    await register.sign()
    await scene.start(chain, "one")
    [vcon_uuid] = await scene.feed()
    await begun.wait()

    async def reported() -> Any:
        [replica] = await read(scene, chain)
        return replica if replica.held and replica.held[0].step else None

    replica = await eventually(reported)
    [held] = replica.held
    assert (replica.in_flight, held.vcon, held.chain, held.worker) == (1, vcon_uuid, "main", "one")
    assert (held.list_name, held.step) == ("in", "slow")
    assert held.since is not None
    [counted] = await read(scene, chain, held=0)
    assert (counted.in_flight, counted.held) == (1, [])
    gate.set()
    await scene.finished()
    assert (await read(scene, chain))[0].in_flight == 0


async def test_many_runs_are_counted_and_few_are_shown(scene: Scene, client: Redis) -> None:
    """The answer is bounded by the query."""
    register = register_of(scene.redis, CHAIN, workers=["one", "two"])
    await register.sign()
    for worker in ("one", "two"):
        rows = {f"v{n}": f"{n}\nr{n}\nrun:other\nv{n}|r{n}" for n in range(300)}
        client.hset(keys.inflight(worker), mapping=rows)
    [replica] = await read(scene, held=100)
    assert (replica.in_flight, len(replica.held)) == (600, 100)
    assert {each.chain for each in replica.held} == {"other"}


async def test_notes_are_bounded_and_have_no_secrets(scene: Scene) -> None:
    """The first of them, cut, beside their count."""
    secret = canary("note-of-a-configuration-7751")
    keep_secret(secret)
    notes = tuple(f"{n} {secret} " + "x" * 1000 for n in range(40))
    chain = configured()
    object.__setattr__(chain.config, "notes", notes)
    await register_of(scene.redis, chain).sign()
    [replica] = await read(scene)
    assert (replica.notes_count, len(replica.notes)) == (40, MOST_TEXTS)
    assert all(secret not in note and len(note) <= LONGEST_TEXT for note in replica.notes)


async def test_only_the_replicas_asked_for_are_shown(scene: Scene) -> None:
    """By the beginning of the id, which is the host."""
    for name in ("web-1", "web-2", "batch-1"):
        await register_of(scene.redis, CHAIN, name).sign()
    assert len(await read(scene, replica="web-")) == 2
    assert [each.id.partition(":")[0] for each in await read(scene)] == [
        "batch-1",
        "web-1",
        "web-2",
    ]


HOSTILE: list[dict[str, str | bytes]] = [
    {"id": '"x"', "kind": '"serve"', "seen": "nan", "surplus": "{"},
    {"id": '"other"', "kind": '"serve"', "seen": "5"},
    {"id": '"x"', "kind": '"monster"', "seen": "5"},
    {"id": "x", "kind": "serve", "seen": "5"},
    {"id": '"x"', "kind": '"serve"', "workers": '"w"'},
    {"id": '"x"', "kind": '"serve"', "started": "1e300"},
    {"id": '"x"', "kind": '"serve"', "host": "[" * 100_000},
    {"id": b'"x"', "kind": b'"serve"', "host": b'"\xff\xfe"'},
    {"id": '"x"', "kind": '"serve"', "notes": '["' + "n" * 10_000 + '"]'},
]


@pytest.mark.parametrize("fields", HOSTILE)
async def test_entries_of_other_programs_are_counted_or_read(
    scene: Scene, client: Redis, fields: dict[str, str | bytes]
) -> None:
    """Neither hides the replicas beside it."""
    alive = register_of(scene.redis, CHAIN)
    await alive.sign()
    client.sadd(keys.PROCESSES, "x")
    client.hset(keys.process("x"), mapping=fields)
    reader = ReplicaReader(scene.redis, CHAIN)
    found = await reader.replicas(ReplicasQuery())
    others = [each for each in found.replicas if each.id != alive.id]
    assert len(found.replicas) == 1 + len(others)
    assert len(others) + found.unreadable == 1
    assert found.model_dump_json()


async def test_keys_of_another_type_are_named_or_passed_over(scene: Scene, client: Redis) -> None:
    """One process's key is counted; a register of another type is an error with its name."""
    client.sadd(keys.PROCESSES, "x")
    client.set(keys.process("x"), "another program's")
    client.set(keys.DRAINED, "another program's")
    await register_of(scene.redis, CHAIN).sign()
    found = await ReplicaReader(scene.redis, CHAIN).replicas(ReplicasQuery())
    assert (len(found.replicas), found.unreadable) == (1, 1)
    client.delete(keys.PROCESSES)
    client.set(keys.PROCESSES, "another program's")
    with pytest.raises(UnusableKeyError, match=keys.PROCESSES):
        await read(scene)
