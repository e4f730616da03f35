"""What a channel makes of what the server says, and of what its owner asks."""

from typing import Any

import pytest

from core.phoenix.channel import Channel, ChannelMisuseError
from core.phoenix.events import Dropped, DropReason, EventReceived, Joined, ReplyReceived
from core.phoenix.lifecycle import State
from tests.unit.phoenix.phoenix_peer import Peer

VERSIONS = ["1.0.0", "2.0.0"]

V1_JOIN_REPLY = (
    '{"event":"phx_reply","payload":{"response":{"num_consumers":1,"service":{"id":3,"name":'
    '"basic","inserted_at":"2026-11-21T09:35:13Z","updated_at":"2026-11-21T09:35:13Z"},"token":'
    '{"context":"api-token","expires_at":"2027-02-19T09:35:13Z","id":3,"inserted_at":'
    '"2026-11-21T09:35:13Z","service_id":3}},"status":"ok"},"ref":"join-1","topic":"service"}'
)
V2_JOIN_REPLY = (
    '["join-1","join-1","service","phx_reply",{"response":{"num_consumers":1},"status":"ok"}]'
)
V1_REQUEST = (
    '{"event":"request","payload":{"action":"Foo","fields":{"a":"1"},"response_ref":"7f047d16"},'
    '"ref":null,"topic":"service"}'
)
V2_REQUEST = (
    '["join-1",null,"service","request",{"action":"Foo","fields":{"a":"1"},'
    '"response_ref":"7f047d16"}]'
)


@pytest.fixture(params=VERSIONS)
def peer(request: pytest.FixtureRequest) -> Peer:
    """A server at the other end, once in each version."""
    return Peer(request.param)


def test_v1_speaks_literally() -> None:
    """Join, join reply, request and response are the texts that a V1 server exchanges."""
    channel = Channel("service", vsn="1.0.0")
    channel.opened(0.0)
    assert channel.outgoing() == [
        b'{"topic":"service","event":"phx_join","payload":{},"ref":"join-1","join_ref":"join-1"}'
    ]
    (joined,) = channel.received(V1_JOIN_REPLY, 0.0)
    assert isinstance(joined, Joined)
    assert joined.response["service"]["name"] == "basic"
    (request,) = channel.received(V1_REQUEST, 0.0)
    fields = {"action": "Foo", "fields": {"a": "1"}, "response_ref": "7f047d16"}
    assert request == EventReceived("request", fields, None)
    assert channel.push("response", {"status": "success"}, "7f047d16")
    assert channel.outgoing() == [
        b'{"topic":"service","event":"response","payload":{"status":"success"},"ref":"7f047d16",'
        b'"join_ref":"join-1"}'
    ]


def test_v2_speaks_literally() -> None:
    """Join, join reply, request and response are the texts that a V2 server exchanges."""
    channel = Channel("service", vsn="2.0.0")
    channel.opened(0.0)
    assert channel.outgoing() == [b'["join-1","join-1","service","phx_join",{}]']
    reply = (
        '["join-1","join-1","service","phx_reply",{"response":{"num_consumers":1},"status":"ok"}]'
    )
    assert channel.received(reply, 0.0) == (Joined({"num_consumers": 1}),)
    (request,) = channel.received(V2_REQUEST, 0.0)
    assert isinstance(request, EventReceived)
    assert channel.push("response", {"status": "success"}, "7f047d16")
    assert channel.outgoing() == [
        b'["join-1","7f047d16","service","response",{"status":"success"}]'
    ]


def test_events_still_come_while_leaving(peer: Peer) -> None:
    """What the server pushed before it read the leave is passed on."""
    peer.joins()
    peer.channel.leave(peer.now)
    assert peer.says("request", {"n": 1}) == (EventReceived("request", {"n": 1}, None),)


@pytest.mark.parametrize("state", [state for state in State if state is not State.JOINED])
def test_an_answer_is_not_taken_unless_joined(peer: Peer, state: State) -> None:
    """A push that cannot be sent says so, and sends nothing."""
    peer.goes(state)
    assert peer.channel.push("response", {}, "7f047d16") is False
    assert peer.heard() == []


@pytest.mark.parametrize("payload", [{}, None, [], "text", 0, {"status": "success"}])
def test_any_json_can_be_pushed(peer: Peer, payload: Any) -> None:
    """The payload arrives as it was given, empty ones included."""
    peer.joins()
    assert peer.channel.push("response", payload, "7f047d16")
    assert [(frame.payload, frame.ref) for frame in peer.heard()] == [(payload, "7f047d16")]


@pytest.mark.parametrize("state", [state for state in State if state is not State.OFFLINE])
def test_the_reply_to_a_push_comes_in_any_state(peer: Peer, state: State) -> None:
    """A reply that names none of the channel's own refs is passed on while there is a socket."""
    peer.goes(state)
    assert peer.replies("7f047d16", {}) == (ReplyReceived("7f047d16", "ok", {}),)
    assert peer.channel.state is state


def test_a_refused_push_is_reported(peer: Peer) -> None:
    """The reply to an answer that crossed a crash carries the answer's ref, also afterwards."""
    join = peer.joins()
    peer.channel.push("response", {}, "7f047d16")
    peer.ends("phx_error", join.ref)
    response = {"reason": "unmatched topic"}
    assert peer.replies("7f047d16", response, "error") == (
        ReplyReceived("7f047d16", "error", response),
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"event": "request", "payload": {}, "topic": "other"}, DropReason.OTHER_TOPIC),
        ({"event": "heartbeat", "payload": {}, "topic": "phoenix"}, DropReason.UNEXPECTED),
        ({"event": "phx_join", "payload": {}}, DropReason.UNEXPECTED),
        ({"event": "phx_leave", "payload": {}}, DropReason.UNEXPECTED),
        ({"event": "phx_reply", "payload": {"status": "ok"}}, DropReason.MALFORMED),
        ({"event": "phx_reply", "payload": {}, "ref": "join-1"}, DropReason.MALFORMED),
        ({"event": "phx_reply", "payload": {"status": 1}, "ref": "7f"}, DropReason.MALFORMED),
        ({"event": "phx_reply", "payload": {"status": "ok"}, "ref": "join-1"}, "late reply"),
        ({"event": "phx_reply", "payload": {}, "ref": "x", "topic": "phoenix"}, "late reply"),
        ({"event": "phx_reply", "payload": {}, "topic": "phoenix"}, "late reply"),
        ({"event": "request", "payload": []}, DropReason.MALFORMED),
    ],
)
def test_unexpected_messages_are_dropped(peer: Peer, said: dict[str, Any], reason: str) -> None:
    """A joined channel names what it ignores, and stays joined."""
    peer.joins()
    (effect,) = peer.says(**said)
    assert isinstance(effect, Dropped)
    assert effect.reason == reason
    assert peer.channel.state is State.JOINED


def test_an_event_before_the_join_is_answered_is_dropped(peer: Peer) -> None:
    """Nothing can be pushed to who has not joined."""
    peer.opens()
    (effect,) = peer.says("request", {})
    assert effect == Dropped(DropReason.UNEXPECTED, "EventReceived while joining")


def test_a_drop_quotes_little_of_the_peer(peer: Peer) -> None:
    """However long a topic is, the detail is short."""
    (effect,) = peer.says("request", {}, topic="t" * 10_000)
    assert isinstance(effect, Dropped)
    assert len(effect.detail) <= 80


def test_effects_do_not_show_what_they_carry(peer: Peer) -> None:
    """Logging an effect never prints the data in it, which may be a token."""
    join = peer.opens()
    (joined,) = peer.replies(join.ref, {"token": "1-iQ0kcc"})
    (event,) = peer.says("token_created", {"token": {"value": "1-iQ0kcc"}})
    (reply,) = peer.replies("7f047d16", {"token": "1-iQ0kcc"})
    assert "iQ0kcc" not in f"{joined!r}{event!r}{reply!r}"


@pytest.mark.parametrize("event", ["phx_leave", "phx_join"])
def test_phoenix_events_are_not_the_callers_to_push(peer: Peer, event: str) -> None:
    """Pushing one of them is our own mistake, and raises."""
    peer.joins()
    with pytest.raises(ChannelMisuseError, match=event):
        peer.channel.push(event, {})


def test_a_payload_that_is_not_json_raises_and_sends_nothing(peer: Peer) -> None:
    """The mistake is the action's; the channel is as before."""
    peer.joins()
    with pytest.raises(ChannelMisuseError, match="not JSON"):
        peer.channel.push("response", {"a": object()})
    assert peer.heard() == []


@pytest.mark.parametrize(
    "wrong", [{"vsn": "3.0.0"}, {"join_timeout": 0}, {"heartbeat_timeout": -1}]
)
def test_a_channel_that_cannot_work_is_not_built(wrong: dict[str, Any]) -> None:
    """An unknown version or a time that is not positive raises at once."""
    with pytest.raises(ChannelMisuseError):
        Channel("service", **wrong)
