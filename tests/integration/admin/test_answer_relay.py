"""The list of answers and the register of replicas, in a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from core.errors import UnavailableError
from core.interfaces import PeerCounts
from pipeline.admin import answer_relay
from pipeline.admin.answer_relay import RedisAnswerRelay
from pipeline.redis_client.client import RedisConnection

SERVICE = 3
Relay = partial(RedisAnswerRelay, look_seconds=0.01)


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    """A connection for all relays of a test."""
    connection = RedisConnection(redis_url)
    yield connection
    await connection.close()


async def test_answers_come_out_once_and_in_order(connection: RedisConnection) -> None:
    """Whichever replica looks gets the oldest; an empty list says so after a while."""
    giver, *takers = (Relay(connection) for _ in range(3))
    for text in (b"one", b"zw\xc3\xb6lf"):
        await giver.hand_over(SERVICE, text)
    assert await connection.command("TTL", "pc:answers:3") in {answer_relay.KEPT_SECONDS, 29}
    assert await takers[0].next_answer(SERVICE, serving=True) == "one"
    assert await takers[1].next_answer(SERVICE + 1, serving=True) is None
    assert await takers[1].next_answer(SERVICE, serving=True) == "zw\u00f6lf"
    assert await takers[0].next_answer(SERVICE, serving=True) is None


async def test_each_replica_sees_what_the_others_do(connection: RedisConnection) -> None:
    """Serving, leaving, gone: counted without oneself, and for each service by itself."""
    a, b, c = (Relay(connection) for _ in range(3))
    for each in (a, b, c):
        await each.next_answer(SERVICE, serving=True)
    assert await a.leave(SERVICE, 60) == PeerCounts(serving=2, leaving=0)
    assert await b.leave(SERVICE, 60) == PeerCounts(serving=1, leaving=1)
    assert await c.leave(SERVICE, 60) == PeerCounts(serving=0, leaving=2)
    assert await c.deregister(SERVICE) == PeerCounts(serving=0, leaving=2)
    assert await a.deregister(SERVICE) == PeerCounts(serving=0, leaving=1)
    assert await b.deregister(SERVICE) == PeerCounts(serving=0, leaving=0)
    assert await connection.command("EXISTS", "pc:replicas:3") == 0


async def test_a_replica_that_only_looks_is_not_shown(connection: RedisConnection) -> None:
    """A replica that only reads answers is not counted as a peer."""
    a, b = Relay(connection), Relay(connection)
    await a.next_answer(SERVICE, serving=False)
    assert await b.deregister(SERVICE) == PeerCounts(0, 0)


async def test_a_replica_that_goes_is_not_shown_by_a_look_before(
    connection: RedisConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands may overtake each other; a replica that has left is not registered again."""
    show, shown, go_on = connection.script, asyncio.Event(), asyncio.Event()

    async def slow(name: str, *arguments: object) -> object:
        if "serving" in arguments:
            shown.set()
            await go_on.wait()
        return await show(name, *arguments)

    monkeypatch.setattr(connection, "script", slow)
    replica = Relay(connection)
    looks = [asyncio.create_task(replica.next_answer(SERVICE, serving=True)) for _ in range(2)]
    await shown.wait()
    gone = asyncio.create_task(replica.deregister(SERVICE))
    await connection.command("PING")
    go_on.set()
    await asyncio.gather(*looks, gone)
    assert await connection.command("EXISTS", "pc:replicas:3") == 0


async def test_a_dead_replica_is_forgotten(
    connection: RedisConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has not shown itself for long counts for nothing, and the register goes away."""
    a, b = Relay(connection), Relay(connection)
    monkeypatch.setattr(answer_relay, "SHOWN_SECONDS", 0.001)
    await a.next_answer(SERVICE, serving=True)
    assert await connection.command("TTL", "pc:replicas:3") <= 2
    assert await b.leave(SERVICE, 60) == PeerCounts(0, 0)
    assert 60 <= await connection.command("TTL", "pc:replicas:3") <= 62


async def test_a_list_of_the_wrong_kind_is_no_relay(connection: RedisConnection) -> None:
    """A command that Redis refuses does not stop the replica."""
    await connection.command("SET", "pc:answers:3", "x")
    await connection.command("SET", "pc:replicas:3", "x")
    replica = Relay(connection)
    for operation in (
        replica.hand_over(SERVICE, b"one"),
        replica.leave(SERVICE, 1),
        replica.deregister(SERVICE),
    ):
        with pytest.raises(UnavailableError, match="refuses to relay"):
            await operation
    looking = asyncio.create_task(replica.next_answer(SERVICE, serving=True))
    await connection.command("DEL", "pc:replicas:3", "pc:answers:3")
    await replica.hand_over(SERVICE, b"one")
    assert await looking == "one"
