"""The client reconnects after each kind of loss, and sends the answers that it kept."""

from typing import Any

import pytest

from core.concurrency.backoff import Backoff
from devstack.plugboard import ConsumerConnection
from tests.integration.support.consumer import Consumer, consumer
from tests.unit.support.actions_for_tests import Echo

each_version = pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])


async def _crash(running: Consumer, connection: ConsumerConnection) -> None:
    running.board.crash_channel(connection)


async def _close_channel(running: Consumer, connection: ConsumerConnection) -> None:
    running.board.close_channel(connection)


async def _create_child(running: Consumer, connection: ConsumerConnection) -> None:
    running.board.create_service("child", running.scene.service)


async def _abort(running: Consumer, connection: ConsumerConnection) -> None:
    connection.abort()


async def _restart(running: Consumer, connection: ConsumerConnection) -> None:
    await running.board.restart()


async def _kill(running: Consumer, connection: ConsumerConnection) -> None:
    await running.board.kill()
    await running.board.start()


def closed_with(code: int) -> Any:
    """A close frame with that code."""

    async def close(running: Consumer, connection: ConsumerConnection) -> None:
        connection.close(code)

    return close


@each_version
@pytest.mark.parametrize(
    "accident",
    [
        _abort,
        _restart,
        _kill,
        closed_with(1000),
        closed_with(1002),
        closed_with(1011),
        closed_with(1012),
    ],
    ids=["1006", "restart", "kill", "1000", "1002", "1011", "1012"],
)
async def test_a_lost_connection_is_made_again(accident: Any, vsn: str) -> None:
    """However the socket ended, the client connects, joins and answers again."""
    async with consumer(Echo, vsn=vsn) as running:
        first = await running.joined()
        await accident(running, first)
        await running.serves()
        assert running.board.consumers[-1] is not first
        assert not running.running.done()


@each_version
@pytest.mark.parametrize("accident", [_crash, _close_channel, _create_child])
async def test_a_lost_channel_is_joined_again_on_the_same_socket(accident: Any, vsn: str) -> None:
    """After phx_error the client is back in the rotation, twice if need be."""
    async with consumer(Echo, vsn=vsn) as running:
        first = await running.joined()
        for _ in range(2):
            await accident(running, first)
            assert not first.joined
            await running.serves()
        assert running.board.consumers == [first]


async def test_five_children_in_a_row_are_survived_without_long_pauses() -> None:
    """Each new child crashes the channel; pauses of the rejoin backoff would outlast this test."""
    async with consumer(Echo, rejoin=Backoff(first=60.0, cap=60.0)) as running:
        connection = await running.joined()
        for number in range(5):
            running.board.create_service(f"child {number}", running.scene.service)
            assert not connection.joined
            assert await running.joined() is connection
        await running.serves()


async def test_a_crashed_join_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """A refused join is repeated until it is accepted; the reason is logged once."""
    async with consumer(Echo) as running:
        running.board.faults.crash_joins = True
        [connection] = await refused_joins(running, 3)
        running.board.faults.crash_joins = False
        await running.serves()
        assert running.board.consumers == [connection]
    refused = [each for each in caplog.records if each.message == "join refused"]
    assert [each.__dict__["error"] for each in refused] == ["join crashed"]


async def refused_joins(running: Consumer, count: int) -> list[ConsumerConnection]:
    """The consumers, once that many joins have been heard."""

    def joins() -> int:
        heard = [frame for each in running.board.consumers for frame in each.received]
        return sum(frame[3] == "phx_join" for frame in heard)

    await running.board.wait_for(lambda: joins() >= count)
    return running.board.consumers


async def test_a_half_dead_connection_is_dropped() -> None:
    """A server that pushes but answers no heartbeat is left for a new connection."""
    async with consumer(Echo, heartbeat=(0.05, 0.05)) as running:
        first = await running.joined()
        running.board.faults.ignore_heartbeats = True
        await running.board.wait_for(lambda: first.closed)
        running.board.faults.ignore_heartbeats = False
        await running.serves()


@each_version
async def test_heartbeats_keep_an_idle_connection(vsn: str) -> None:
    """Heartbeats are answered and count as traffic, without which the Plugboard closes a socket."""
    async with consumer(Echo, vsn=vsn, heartbeat=(0.02, 60.0)) as running:
        first = await running.joined()
        began = first.last_traffic

        def beats() -> int:
            return sum("heartbeat" in frame for frame in map(str, first.received))

        await running.board.wait_for(lambda: beats() >= 5)
        assert first.joined
        assert first.last_traffic > began


async def test_what_makes_no_sense_is_survived() -> None:
    """Text that is no JSON, no frame or no known event costs neither connection nor neighbours."""
    async with consumer(Echo) as running:
        connection = await running.joined()
        for text in (b"", b"{", b"null", b"[1,2]", b'{"topic":"service"}', b'["a"]'):
            connection.send(text)
        connection.push("nonsense", {"a": 1})
        connection.push("request", {})
        connection.push("request", {"response_ref": 7})
        connection.push("num_consumers", {"num_consumers": "many"})
        connection.push("service_deleted", {"service": None})
        await running.serves()
        assert running.board.consumers == [connection]


async def test_two_clients_share_the_requests() -> None:
    """A second replica joins beside the first, and the first hears how many they are."""
    async with consumer(Echo) as running:
        connection = await running.joined()
        await running.scene.join(actions=actions_of(connection))
        await running.hears(connection)
        assert running.client.num_consumers == 2


def actions_of(connection: ConsumerConnection) -> str:
    """What the consumer registered."""
    return str(connection.socket.actions)
