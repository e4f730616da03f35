"""No command or script keeps Redis from other clients for long, however large a vCon is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest

from core.errors import UnavailableError
from pipeline.ingest.entry import Entry
from pipeline.redis_client.client import installed
from pipeline.redis_client.staging import Trash, staged
from pipeline.runs.vcon_store import VconStore
from tests.integration.redis_client.slowlog_scene import Slowlog, slowlog
from tests.integration.support.operations_scene import Operations
from tests.integration.support.pipeline_fixtures import a_vcon, configured, link

LIMIT = 8_000_000
"""Bytes: what MAX_VCON_BYTES is, rounded down."""
UUID = "0a0b0c0d-0000-4000-8000-000000000000"
REPLAY: dict[str, Any] = {"cause": None, "limit": 1000, "from_start": False}
COMMANDS = tuple(f"json.{each}" for each in ("get", "strappend", "arrappend", "merge", "arrtrim"))
"""Judged by what they do; scripts by the time they take."""
MOST_BYTES = 2_600_000
"""Of one command's words."""


def nested(levels: int) -> list[Any]:
    """Empty lists in each other."""
    inner: list[Any] = []
    for _ in range(levels - 1):
        inner = [inner]
    return inner


SHAPES: dict[str, Callable[[], dict[str, Any]]] = {
    "one text": lambda: {"analysis": [{"type": "report", "body": "ä" * (LIMIT // 2)}]},
    "many entries": lambda: {
        "parties": [{"tel": f"+{n}"} for n in range(100_000)],
        "dialog": [{"type": "text", "start": f"2026-{n}"} for n in range(100_000)],
    },
    "deep": lambda: {"meta": {"x": [{"y": [nested(50)] * 1000}] * 10}},
    "wide": lambda: {"attachments": [{"meta": [[]] * 60_000}] * 6},
    "many names": lambda: {"meta": {"x": {f"k{n}": n for n in range(200_000)}, "y": None}},
}


async def change(vcon_uuid: str, name: str, options: dict[str, Any]) -> None:
    """A link that changes the vCon, and fails the first time."""
    store = VconStore(installed())
    document = await store.get(vcon_uuid)
    assert document is not None
    document["times"] = document.get("times", 0) + 1
    await store.put(document)
    if document["times"] == 1:
        raise ValueError("the first time")


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[Slowlog]:
    """A chain from `in` to `out` with that link."""
    async with slowlog(redis_url) as opened:
        opened.ops.configure(configured(links=[link(change)], max_attempts=1))
        yield opened


def entry(document: dict[str, Any], digest: str) -> Entry:
    """As it goes in."""
    return Entry(UUID, orjson.dumps(document), 1.0, digest, [])


@dataclass
class Watched:
    """Bytes of each command that was sent, and of each document when it was freed."""

    sent: list[int] = field(default_factory=list)
    freed: list[int] = field(default_factory=list)


def watched(ops: Operations) -> Watched:
    """What is sent from now on."""
    seen, command = Watched(), ops.redis.command

    async def sent(*words: Any) -> Any:
        seen.sent.append(sum(len(each) for each in words if isinstance(each, str | bytes)))
        if words[0] == "UNLINK":
            text: Any = ops.client.execute_command("JSON.GET", words[1])  # type: ignore[no-untyped-call]
            seen.freed.append(len(text))
        return await command(*words)

    ops.redis.command = sent  # type: ignore[method-assign]
    return seen


def stored(ops: Operations) -> dict[str, Any]:
    """The document that Redis has."""
    text: Any = ops.client.execute_command("JSON.GET", f"vcon:{UUID}")  # type: ignore[no-untyped-call]
    document: dict[str, Any] = orjson.loads(text)
    return document


def bound(ops: Operations) -> int:
    """The time that the document has to live, rounded up to thousands of seconds."""
    return -(-ops.left(UUID) // 1000) * 1000 if ops.left(UUID) > 0 else ops.left(UUID)


def left_over(ops: Operations) -> set[str]:
    """Keys that are written beside a document's place, and not yet removed."""
    return {*ops.client.scan_iter("pc:staged:*"), *ops.client.scan_iter("pc:trash*")}


async def test_terms_of_an_earlier_version(log: Slowlog) -> None:
    """50,000 of them are removed in slices, but for one that the new document has, too."""
    ops = log.ops
    terms = [f"tel:+1{number:010}" for number in range(50_000)]
    kept = replace(entry(a_vcon(UUID, subject="new"), "new"), index_keys=terms[7:8])

    def indexed() -> None:
        ops.client.json().set(f"vcon:{UUID}", ".", a_vcon(UUID))
        ops.client.hset(f"pc:about:{UUID}", "index", orjson.dumps(terms).decode())
        pipe = ops.client.pipeline(transaction=False)
        for term in terms:
            pipe.sadd(term, UUID)
        pipe.execute()

    async def replaced() -> None:
        assert (await ops.intake.ingest(kept, [])).outcome == "replaced"
        await Trash(ops.redis).empty()
        assert {*ops.client.scan_iter("tel:*")} == {terms[7]}
        assert left_over(ops) == set()

    await log.check(replaced, indexed)


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_writer_that_dies(log: Slowlog, number: int) -> None:
    """What it has written so far is freed; the vCon that was there is as it was."""
    ops, before = log.ops, a_vcon(UUID)
    assert (await ops.intake.ingest(entry(before, "d"), ["in"])).outcome == "new"
    large = entry(a_vcon(UUID, **SHAPES["one text"]()), "large")
    command, count = ops.redis.command, 0

    async def dying(*words: Any) -> Any:
        nonlocal count
        count += str(words[0]).startswith("JSON.")
        if count == number:
            raise asyncio.CancelledError
        return await command(*words)

    ops.redis.command = dying  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await ops.intake.ingest(large, [])
    ops.redis.command = command  # type: ignore[method-assign]
    staged = ops.client.zrange("pc:trash", 0, -1)
    assert len(staged) == 1
    assert ops.client.ttl(staged[0].partition("\n")[0]) > 0
    assert stored(ops) == before
    ops.client.zadd("pc:trash", {staged[0]: 1})
    await ops.sweep()
    assert left_over(ops) == set()


async def test_a_script_that_is_sent_again(log: Slowlog) -> None:
    """No reply came, so the link's write is repeated; the document is in its place once."""
    ops, document = log.ops, a_vcon(UUID, **SHAPES["one text"]())
    given = await staged(ops.redis, orjson.dumps(document))
    assert given != orjson.dumps(document)
    for _ in range(2):
        await ops.redis.script("place", UUID, given, 0)
    assert stored(ops) == document
    assert left_over(ops) == set()
    ops.client.delete(f"vcon:{UUID}", f"pc:about:{UUID}")
    with pytest.raises(UnavailableError):
        await ops.redis.script("place", UUID, given, 0)
    assert ops.client.exists(f"vcon:{UUID}") == 0


@pytest.mark.parametrize("first", ["one text", "small"])
@pytest.mark.parametrize("then", ["one text", "small"])
async def test_the_time_to_live(log: Slowlog, first: str, then: str) -> None:
    """It stays the same when another document takes the place, for all sizes."""
    ops = log.ops
    time = -1
    for shape in (first, then):
        document = a_vcon(UUID, **SHAPES.get(shape, dict)())
        await VconStore(ops.redis).put(document)
        assert stored(ops) == document
        assert bound(ops) == time
        ops.client.expire(f"vcon:{UUID}", time := 5000)
    from_thread = a_vcon(UUID, **SHAPES["one text"]())
    await asyncio.to_thread(VconStore(ops.redis).put_from_thread, from_thread, 3000)
    assert stored(ops) == from_thread
    assert bound(ops) == 3000


async def test_a_redis_without_memory(log: Slowlog) -> None:
    """A run with a large document ends, since its script may write then."""
    ops, document = log.ops, a_vcon(UUID, **SHAPES["one text"]())
    assert (await ops.intake.ingest(entry(document, "d"), ["in"])).outcome == "new"
    before = ops.client.config_get("maxmemory")
    try:
        ops.client.config_set("maxmemory", 1_000_000)
        await ops.work()
        assert stored(ops) == document | {"times": 1}
    finally:
        ops.client.config_set("maxmemory", before["maxmemory"])


async def refused(ops: Operations, **members: Any) -> None:
    """A run of a vCon that its chain does not take."""
    assert (await ops.intake.ingest(entry(a_vcon(UUID, **members), "d"), ["in"])).outcome == "new"
    await ops.work()
    assert ops.list("DLQ:in") == [UUID]


def stored_reason(ops: Operations) -> str:
    """Why it is a dead letter."""
    return str(ops.client.hget("pc:dead:DLQ:in", UUID))


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_vcon_at_the_limit(log: Slowlog, shape: str) -> None:
    """It comes in, is changed, fails, is replayed, ends, is replaced and is deleted."""
    ops, document = log.ops, a_vcon(UUID, **SHAPES[shape]())
    changed = document | {"subject": "other"}

    async def live() -> None:
        assert (await ops.intake.ingest(entry(document, "d"), ["in"])).outcome == "new"
        assert stored(ops) == document
        assert (await ops.intake.ingest(entry(document, "d"), ["in"])).outcome == "duplicate"
        await ops.work()
        assert await ops.operations.replay("in", None, vcon_uuids=[UUID], **REPLAY) == 1
        await ops.work()
        assert stored(ops) == document | {"times": 2}
        assert (await ops.intake.ingest(entry(changed, "other"), [])).outcome == "replaced"
        assert await ops.index.delete(UUID, ["in", "out"])
        await ops.sweep()
        assert left_over(ops) == set()
        assert ops.traces(UUID) == []

    given = watched(ops)
    await log.check(live, lambda: None, besides=(*COMMANDS, "unlink"))
    assert max(given.sent) < MOST_BYTES
    assert len(given.freed) >= 2
    if shape not in ("one text", "many names"):  # which are freed in one step
        assert max(given.freed) < MOST_BYTES


@pytest.mark.parametrize("critical", [["CC"] * 300_000, {"CC": "x" * LIMIT}, [["CC"] * 300_000]])
async def test_critical_extensions_as_large_as_the_vcon(log: Slowlog, critical: Any) -> None:
    """They are not read by the scripts; a chain does not take what could not be looked at."""
    await log.check(lambda: refused(log.ops, critical=critical), lambda: None, besides=COMMANDS)
    assert "more than can be looked at" in stored_reason(log.ops)


async def test_very_many_members(log: Slowlog) -> None:
    """The scripts do not read their names; that a critical extension is named is still seen."""
    many = {f"k{n}": n for n in range(200_000)} | {"critical": ["sealed_money"]}
    more = (*COMMANDS, "unlink")
    await log.check(lambda: refused(log.ops, **many), lambda: None, besides=more)
    assert "sealed_money" in stored_reason(log.ops)
