"""The WebSocket below Phoenix: idling, closing, pings, sizes, and what the board remembers."""

import asyncio
import json
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.integration.support.plugboard_scene import (
    Client,
    Scene,
    handshake,
    plugboard,
    raw_connection,
)

SUCCESS = {"status": "success", "message": None}


async def ping(client: Client, scene: Scene) -> None:
    """A WebSocket ping and its pong."""
    await (await client.socket.ping())


async def heartbeat(client: Client, scene: Scene) -> None:
    """A Phoenix heartbeat."""
    await client.alive()


async def pong(client: Client, scene: Scene) -> None:
    """An unsolicited pong is ignored."""
    (consumer,) = scene.board.consumers
    before = consumer.last_traffic
    await client.socket.pong()
    await scene.board.wait_for(lambda: consumer.last_traffic > before)


async def response(client: Client, scene: Scene) -> None:
    """A response frame, which is answered by silence."""
    unmatched = scene.board.counters.unmatched
    await client.say("response", {}, ref="none")
    await scene.board.wait_for(lambda: scene.board.counters.unmatched > unmatched)


async def server_push(client: Client, scene: Scene) -> None:
    """A push from the server while the client is mute."""
    scene.board.rename_service(scene.service, "same")
    await client.hear("service_updated")


@pytest.mark.parametrize("joined", [False, True])
async def test_an_idle_socket_is_closed_with_1002(joined: bool) -> None:
    """Joined or not, a socket on which nothing moves is closed with an empty reason."""
    async with plugboard(idle_timeout=0.02) as scene:
        client = await scene.connect()
        with suppress(ConnectionClosed):  # the end may come before the join
            if joined:
                await client.say("phx_join")
        assert await client.closed() == 1002
        assert client.socket.close_reason == ""
        assert scene.board.consumers == []


@pytest.mark.parametrize("traffic", [ping, heartbeat, pong, response, server_push])
async def test_traffic_in_either_direction_restarts_the_idle_time(traffic: object) -> None:
    """Pings, pongs, heartbeats, responses and pushes from the server all count."""
    async with plugboard() as scene:
        client = await scene.join()
        (consumer,) = scene.board.consumers
        before = consumer.last_traffic
        await traffic(client, scene)
        assert consumer.last_traffic > before


async def test_the_idle_time_counts_from_the_last_traffic() -> None:
    """A socket that was busy after connecting is closed no earlier than the limit after that."""
    async with plugboard(idle_timeout=0.5) as scene:
        client = await scene.connect()
        (consumer,) = scene.board.consumers
        await asyncio.sleep(0.05)
        with suppress(ConnectionClosed):  # a busy machine may need longer than that
            await client.alive()
        busy = consumer.last_traffic
        assert await client.closed() == 1002
        assert asyncio.get_running_loop().time() >= busy + 0.5


@pytest.mark.parametrize("code", [1000, 1001, 4000])
async def test_any_close_of_the_client_is_echoed_as_1000(code: int) -> None:
    """The server's close frame says 1000; the board remembers what the client said."""
    async with plugboard() as scene:
        client = await scene.join()
        await client.socket.close(code)
        assert client.socket.protocol.close_rcvd.code == 1000
        (consumer,) = scene.board.history
        assert consumer.close_code == code
        assert scene.board.joined(scene.service) == []


async def test_a_lost_line_is_noticed_at_once() -> None:
    """A client that drops the line is out of the rotation, without a close code."""
    async with plugboard() as scene:
        client = await scene.join()
        (consumer,) = scene.board.consumers
        client.socket.transport.abort()
        await scene.board.wait_for(lambda: not scene.board.consumers)
        assert consumer.closed
        assert consumer.close_code is None


async def test_a_close_frame_survives_unread_data() -> None:
    """A client that is still sending when the server closes gets the code, not a reset line."""
    async with plugboard() as scene, raw_connection(scene.board) as (reader, writer):
        writer.write(handshake(scene.target()))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\x81\x00\x00\x00\x00{" + b"\x81" * 4_000_000)
        assert await reader.readexactly(4) == b"\x88\x02" + (1011).to_bytes(2)


async def test_a_frame_may_follow_the_handshake_at_once() -> None:
    """A client that does not wait for the 101 before it speaks is heard."""
    async with plugboard() as scene, raw_connection(scene.board) as (reader, writer):
        heartbeat = b'{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"early"}'
        frame = b"\x81" + bytes([0x80 | len(heartbeat)]) + bytes(4) + heartbeat
        writer.write(handshake(scene.target()) + frame)
        await reader.readuntil(b"\r\n\r\n")
        assert b'"ref":"early"' in await reader.readuntil(b'"topic":"phoenix"}')


async def test_binary_and_fragmented_answers_are_answers() -> None:
    """The same JSON in a binary frame or in pieces is the same message."""
    async with plugboard() as scene:
        client = await scene.join()
        for pieces in (1, 3):
            call = scene.calling()
            ref = (await client.hear("request"))["payload"]["response_ref"]
            frame = {"topic": "service", "event": "response", "ref": ref, "join_ref": "wrong"}
            frame |= {"payload": {"status": "success", "message": "é"}, "more": 1}
            text = json.dumps(frame, ensure_ascii=False)
            if pieces == 1:
                await client.socket.send(text.encode(), text=False)
            else:
                await client.socket.send([text[:9], text[9:90], text[90:]])
            assert (await call).json()["message"] == "é"


async def test_messages_above_eight_megabytes_pass() -> None:
    """There is no limit on what a consumer sends, nor on what is pushed."""
    async with plugboard() as scene:
        client = await scene.join()
        call = scene.calling(fields="é" * 3_900_000)
        request = await client.hear("request")
        assert len(request["payload"]["fields"]) == 3_900_000
        await client.answer(request, SUCCESS | {"message": "x" * 9_000_000})
        assert len((await call).json()["message"]) == 9_000_000


async def test_what_went_over_a_socket_is_remembered() -> None:
    """Both directions are recorded, newest last, up to the limit, and outlive the socket."""
    async with plugboard(recorded_frames=2) as scene:
        client = await scene.join()
        (consumer,) = scene.board.consumers
        await client.alive()
        await client.say("bogus")
        await client.hear("phx_error")
        assert [frame["event"] for frame in consumer.received] == ["heartbeat", "bogus"]
        assert [frame["event"] for frame in consumer.sent] == ["phx_reply", "phx_error"]
        await client.socket.close()
        await scene.board.wait_for(lambda: consumer.closed)
        assert scene.board.history == [consumer]
