"""Phoenix as the development Plugboard speaks it: joins, leaves, crashes, bad input."""

from typing import Any

import pytest

from tests.integration.support.plugboard_scene import Client, plugboard

VERSIONS = ["1.0.0", "2.0.0"]
UNMATCHED = {"status": "error", "response": {"reason": "unmatched topic"}}
OK = {"status": "ok", "response": {}}


def v2(join_ref: Any, ref: Any, topic: str, event: str, payload: Any) -> dict[str, Any]:
    """A version 2 frame as the client helper shows it."""
    return {"join_ref": join_ref, "ref": ref, "topic": topic, "event": event, "payload": payload}


async def counts(client: Client, number: int) -> list[int]:
    """The next few frames, all of them num_consumers."""
    frames = [await client.hear("num_consumers") for _ in range(number)]
    return [frame["payload"]["num_consumers"] for frame in frames]


@pytest.mark.parametrize("ref", ["hb-1", 7, None, 1.5, {"a": []}])
@pytest.mark.parametrize("joined", [False, True])
async def test_heartbeats_echo_any_ref(ref: object, joined: bool) -> None:
    """A heartbeat is answered before and after the join, the ref keeping its type."""
    async with plugboard() as scene:
        client = await (scene.join() if joined else scene.connect())
        assert await client.ask("heartbeat", topic="phoenix", ref=ref) == {
            "event": "phx_reply",
            "payload": OK,
            "ref": ref,
            "topic": "phoenix",
        }


@pytest.mark.parametrize("payload", [{}, [], {"anything": 1}])
async def test_the_join_reply_is_the_measured_frame(payload: object) -> None:
    """Count, service and token without its value, for any payload of the join."""
    async with plugboard() as scene:
        client = await scene.connect()
        service, token = scene.service.public(), scene.token.public()
        assert await client.ask("phx_join", payload, ref=None) == {
            "event": "phx_reply",
            "payload": {
                "status": "ok",
                "response": {"num_consumers": 1, "service": service, "token": token},
            },
            "ref": None,
            "topic": "service",
        }
        assert "value" not in token


async def test_the_join_reply_is_a_snapshot_of_the_connect() -> None:
    """Joining again on the same socket after a rename still gives the old name."""
    async with plugboard() as scene:
        client = await scene.join()
        scene.board.rename_service(scene.service, "renamed")
        await client.hear("service_updated")
        await client.leave()
        assert (await client.join())["service"]["name"] == "basic"


async def test_v2_frames_carry_the_join_ref() -> None:
    """Replies, pushes, phx_error and phx_close of version 2 are the measured arrays."""
    async with plugboard() as scene:
        client = await scene.connect(vsn="2.0.0")
        heartbeat = await client.ask("heartbeat", topic="phoenix", ref="1")
        assert heartbeat == v2(None, "1", "phoenix", "phx_reply", OK)
        reply = await client.ask("phx_join", ref="3", join_ref="3")
        assert (reply["join_ref"], reply["ref"]) == ("3", "3")
        call = scene.calling(fields={})
        request = await client.hear("request")
        ref = request["payload"]["response_ref"]
        assert request == v2(
            "3", None, "service", "request", {"action": "Foo", "fields": {}, "response_ref": ref}
        )
        await client.answer(request, {"status": "success", "message": "v2 ok"})
        assert (await call).json()["message"] == "v2 ok"
        await client.say("bogus")
        assert await client.hear() == v2("3", "3", "service", "phx_error", {})
        unmatched = await client.ask("phx_join", topic="nosuch", ref="12", join_ref="9")
        assert unmatched == v2(None, "12", "nosuch", "phx_reply", UNMATCHED)
        await client.join(ref="9", join_ref="9")
        left = await client.leave(ref="11", join_ref="9")
        assert left[-2:] == [
            v2("9", "11", "service", "phx_reply", OK),
            v2("9", "9", "service", "phx_close", {}),
        ]


async def test_the_others_are_told_once_of_a_join_and_twice_of_a_leave() -> None:
    """The joiner gets no count of its own; a leave, a crash and a lost line are told twice."""
    async with plugboard() as scene:
        stays, leaves, crashes, dies = [await scene.connect() for _ in range(4)]
        for client in (stays, leaves, crashes, dies):
            await client.join()
        assert await counts(stays, 3) == [2, 3, 4]
        await leaves.hear("num_consumers")
        await leaves.leave()
        assert await counts(stays, 2) == [3, 3]
        await crashes.say("bogus")
        assert await counts(stays, 2) == [2, 2]
        dies.socket.transport.abort()
        assert await counts(stays, 2) == [1, 1]
        await stays.alive()


@pytest.mark.parametrize("sees", [True, False])
async def test_a_leave_is_answered_and_closed(sees: bool) -> None:
    """Reply, then phx_close without a ref; the leaver's own counts come first, if at all."""
    async with plugboard(leaver_sees_count=sees) as scene:
        client = await scene.join()
        *own, reply, close = await client.leave(ref="99")
        assert [frame["payload"] for frame in own] == [{"num_consumers": 0}] * (2 if sees else 0)
        assert (reply["ref"], reply["payload"]) == ("99", OK)
        assert close == {"event": "phx_close", "payload": {}, "ref": None, "topic": "service"}
        assert (await client.join())["num_consumers"] == 1


@pytest.mark.parametrize("vsn", VERSIONS)
async def test_a_leave_must_carry_the_joins_join_ref(vsn: str) -> None:
    """After a join with a join_ref, a leave without it is silently ignored."""
    async with plugboard() as scene:
        client = await scene.connect(vsn=vsn)
        await client.join(ref="1", join_ref="1")
        await client.say("phx_leave", ref="2")
        await client.say("phx_leave", ref="3", join_ref="other")
        await client.alive()
        assert (await client.leave(ref="4", join_ref="1"))[-1]["ref"] == "1"


async def test_a_leave_without_a_join_is_fine() -> None:
    """A phx_leave is answered ok though nothing was joined."""
    async with plugboard() as scene:
        client = await scene.connect()
        assert (await client.ask("phx_leave", ref="5"))["payload"] == OK


async def test_a_second_join_replaces_the_first() -> None:
    """The reply, then phx_close of the old channel; others see one less, then as before."""
    async with plugboard() as scene:
        other, client = await scene.join(), await scene.connect()
        await client.join(ref="1", join_ref="old")
        assert await counts(other, 1) == [2]
        assert (await client.join(ref="2"))["num_consumers"] == 2
        assert (await client.hear("phx_close"))["ref"] == "old"
        assert await counts(other, 2) == [1, 2]


@pytest.mark.parametrize("vsn", VERSIONS)
@pytest.mark.parametrize(
    ("topic", "event"),
    [
        ("nosuch", "phx_join"),
        ("service:1", "phx_join"),
        ("phoenix", "phx_join"),
        ("phoenix", "bogus"),
        ("nosuch", "bogus"),
        ("service", "response"),
        ("service", "heartbeat"),
    ],
)
async def test_what_nobody_joined_is_an_unmatched_topic(vsn: str, topic: str, event: str) -> None:
    """The reply carries the ref, and the socket is fine."""
    async with plugboard() as scene:
        client = await scene.connect(vsn=vsn)
        reply = await client.ask(event, topic=topic, ref="2")
        assert (reply["ref"], reply["topic"], reply["payload"]) == ("2", topic, UNMATCHED)
        await client.alive()


@pytest.mark.parametrize("vsn", VERSIONS)
@pytest.mark.parametrize("event", ["bogus", "heartbeat", "phx_reply", "phx_close", "", 7, None])
async def test_an_unknown_event_crashes_the_channel(vsn: str, event: Any) -> None:
    """phx_error and no reply; out of the rotation until it joins again on the same socket."""
    async with plugboard() as scene:
        client = await scene.join(vsn=vsn)
        await client.say(event, ref="8")
        assert (await client.hear())["event"] == "phx_error"
        assert (await scene.post()).status_code == 422
        await client.alive()
        assert (await client.join())["num_consumers"] == 1


@pytest.mark.parametrize(
    ("vsn", "message"),
    [
        *(
            ("1.0.0", message)
            for message in (
                "{",
                "",
                "[]",
                "7",
                '{"event":"phx_join","payload":{},"ref":"1"}',
                '{"topic":"service","payload":{},"ref":"1"}',
                '{"topic":"service","event":"phx_join","ref":"1"}',
                '{"topic":"service","event":"phx_join","payload":{}}',
                b"\x00\x01",
            )
        ),
        ("2.0.0", '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}'),
    ],
)
async def test_a_malformed_frame_closes_the_socket_with_1011(vsn: str, message: Any) -> None:
    """Not even an error reply: code 1011, empty reason, consumer gone."""
    async with plugboard() as scene:
        client = await scene.join(vsn=vsn)
        await client.socket.send(message)
        assert await client.closed() == 1011
        assert client.socket.close_reason == ""
        assert scene.board.joined(scene.service) == []


async def test_broken_utf8_closes_the_socket_with_1007() -> None:
    """A text frame that is not UTF-8 has a close code of its own."""
    async with plugboard() as scene:
        client = await scene.join()
        await client.socket.send(b'{"topic":"\xff"}', text=True)
        assert await client.closed() == 1007
