"""A replica that stops leaves at once, and its callers get their answers through its peers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from devstack.plugboard import Variant
from pipeline.admin.answer_relay import RedisAnswerRelay
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.consumer import Consumer, consumer, replica
from tests.integration.support.plugboard_scene import PATIENCE, Scene, plugboard
from tests.unit.support.actions_for_tests import Echo, Hold


@pytest.fixture(autouse=True)
def hold(monkeypatch: pytest.MonkeyPatch) -> type[Hold]:
    """`Hold` with events of this test's loop."""
    Hold.prepare(monkeypatch)
    return Hold


@asynccontextmanager
async def two_replicas(redis_url: str) -> AsyncIterator[tuple[Consumer, Consumer]]:
    """Two joined replicas that have shown themselves; requests go to the first one first."""
    async with plugboard(variant=Variant.BUGFIXES) as scene:
        connections = [RedisConnection(redis_url) for _ in range(2)]
        relays = [RedisAnswerRelay(connection, look_seconds=0.2) for connection in connections]
        async with replica(scene, Hold, Echo, relay=relays[0]) as first:
            await scene.board.wait_joined(scene.service, 1)
            async with replica(scene, Hold, Echo, relay=relays[1]) as second:
                await all_know_the_count(scene, first, second)
                await shown(connections[0], scene, 2)
                yield first, second
        for connection in connections:
            await connection.close()


async def all_know_the_count(scene: Scene, *replicas: Consumer) -> None:
    """Return when each replica knows how many they are."""
    for connection in await scene.board.wait_joined(scene.service, len(replicas)):
        await replicas[0].hears(connection)
    assert [each.client.num_consumers for each in replicas] == [len(replicas)] * len(replicas)


async def shown(connection: RedisConnection, scene: Scene, count: int) -> None:
    """Return when so many replicas are in the register."""
    async with asyncio.timeout(PATIENCE):
        while await connection.command("ZCARD", f"pc:replicas:{scene.service.id}") != count:  # noqa: ASYNC110 -- Redis has no event for it
            await asyncio.sleep(0.005)


async def leaves(running: Consumer, grace: float) -> asyncio.Task[None]:
    """Let a replica leave; returns when the Plugboard has let it go."""
    scene = running.scene
    leaving = asyncio.create_task(running.client.leave(grace))
    await scene.board.wait_for(lambda: len(scene.board.joined(scene.service)) == 1)
    return leaving


async def test_answers_that_finish_after_the_leave_reach_their_callers(
    redis_url: str, hold: type[Hold]
) -> None:
    """The request runs on, a peer sends its answer, and meanwhile the peer gets all requests."""
    async with two_replicas(redis_url) as (first, second):
        held = first.scene.calling(action="Hold", fields={})
        await hold.begun.wait()
        leaving = await leaves(first, PATIENCE)
        for _ in range(3):
            assert (await second.ask("Echo", text="x"))[0] == 200
        assert not held.done()
        hold.go.set()
        assert (await held).status_code == 200
        async with asyncio.timeout(PATIENCE):
            await leaving
        await first.ended()


async def test_what_is_not_done_in_time_is_answered_through_the_peer(
    redis_url: str, hold: type[Hold]
) -> None:
    """At the end of the grace the caller hears 503, and not the Plugboard's 408."""
    async with two_replicas(redis_url) as (first, _):
        held = first.scene.calling(action="Hold", fields={})
        await hold.begun.wait()
        await leaves(first, 0.05)
        assert (await held).status_code == 503


async def test_replicas_that_stop_together_lose_no_answer(redis_url: str, hold: type[Hold]) -> None:
    """Both stop with a request in work: one leaves, the other sends both answers."""
    async with two_replicas(redis_url) as (first, second):
        held = [first.scene.calling(action="Hold", fields={}) for _ in range(2)]
        await running_in(first, second)
        leaving = [asyncio.create_task(each.client.leave(PATIENCE)) for each in (first, second)]
        board, service = first.board, first.scene.service
        await board.wait_for(lambda: len(board.joined(service)) == 1)
        hold.go.set()
        assert [(await each).status_code for each in held] == [200, 200]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*leaving)
        assert board.joined(service) == []


async def running_in(*replicas: Consumer) -> None:
    """Return when each replica works on a request."""
    board: Any = replicas[0].board
    await board.wait_for(lambda: board.counters.pushed >= len(replicas))
    await Hold.begun.wait()


async def test_alone_a_replica_stays_and_answers(redis_url: str, hold: type[Hold]) -> None:
    """Without a peer it is joined until its callers have their answers; new requests get 503."""
    async with plugboard(variant=Variant.BUGFIXES) as scene:
        connection = RedisConnection(redis_url)
        async with replica(
            scene, Hold, Echo, relay=RedisAnswerRelay(connection, look_seconds=0.2)
        ) as running:
            await running.joined()
            held = scene.calling(action="Hold", fields={})
            await hold.begun.wait()
            leaving = asyncio.create_task(running.client.leave(PATIENCE))
            await asyncio.sleep(0)
            assert (await running.ask("Echo"))[0] == 503
            assert scene.board.joined(scene.service)
            hold.go.set()
            assert (await held).status_code == 200
            await leaving
            assert await connection.command("KEYS", "pc:*") == []
        await connection.close()


async def test_alone_a_replica_connects_again_to_send_what_it_still_answers(
    hold: type[Hold],
) -> None:
    """A connection that breaks while it is stopping costs no answer."""
    async with consumer(Hold, Echo, variant=Variant.BUGFIXES) as running:
        connection = await running.joined()
        held = running.scene.calling(action="Hold", fields={})
        await hold.begun.wait()
        leaving = asyncio.create_task(running.client.leave(PATIENCE))
        await asyncio.sleep(0)
        connection.abort()
        await running.joined()
        hold.go.set()
        assert (await held).status_code == 200
        async with asyncio.timeout(PATIENCE):
            await leaving
        await running.ended()


async def test_a_second_stop_answers_all_requests_at_once(hold: type[Hold]) -> None:
    """Who stops in a hurry does not leave its callers waiting for the Plugboard's 408."""
    async with consumer(Hold, variant=Variant.BUGFIXES) as running:
        await running.joined()
        held = running.scene.calling(action="Hold", fields={})
        await hold.begun.wait()
        leaving = asyncio.create_task(running.client.leave(1_000))
        await asyncio.sleep(0)
        await running.client.leave(0)
        assert (await held).status_code == 503
        await leaving
        await running.ended()
