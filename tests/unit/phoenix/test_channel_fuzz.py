"""Random messages of the peer at random times: no exception, and no state without an exit."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.phoenix.events import Effects
from core.phoenix.frames import SERIALIZERS, Frame, Malformed
from core.phoenix.lifecycle import State
from tests.unit.phoenix.phoenix_peer import Peer

FEW = settings(max_examples=40, derandomize=True, deadline=None, database=None)

VERSIONS = st.sampled_from(["1.0.0", "2.0.0"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
LISTS = st.lists(SCALARS, max_size=5)
OBJECTS = st.dictionaries(st.text(max_size=5), SCALARS | LISTS, max_size=5)
JSON = SCALARS | LISTS | OBJECTS
TOPICS = st.sampled_from(["service", "phoenix", "other"])
EVENTS = st.sampled_from(
    ["phx_reply", "phx_error", "phx_close", "phx_join", "phx_leave", "request", "heartbeat", ""]
)
REFS = st.sampled_from([None, "join-1", "join-2", "join-3", "leave-2", "heartbeat-1", "7f"])
PAYLOADS = st.builds(
    lambda status, response: {"status": status, "response": response},
    st.sampled_from(["ok", "error", None, 7]),
    SCALARS | OBJECTS,
)
NEAR_MISSES = st.fixed_dictionaries(
    {"topic": TOPICS | SCALARS, "event": EVENTS | SCALARS, "payload": PAYLOADS | JSON},
    optional={"ref": REFS | SCALARS},
) | st.tuples(REFS | SCALARS, REFS | SCALARS, TOPICS, EVENTS | SCALARS, PAYLOADS | JSON)

type Step = Callable[[Peer, list[Frame]], Effects]
"""One thing that happens to a channel; the list is all that it has sent on this socket."""


def _answers(status: str, which: int) -> Step:
    def step(peer: Peer, sent: list[Frame]) -> Effects:
        frame = sent[which % len(sent)] if sent else Frame("service", "", {}, "7f")
        return peer.replies(frame.ref, {}, status, frame.topic)

    return step


def _ends(event: str, ref: str | None) -> Step:
    return lambda peer, _: peer.ends(event, ref)


def _says(payload: Any, ref: str | None, join_ref: str | None, event: str, topic: str) -> Step:
    return lambda peer, _: peer.says(event, payload, ref, join_ref, topic)


def _sends(text: str | bytes) -> Step:
    return lambda peer, _: peer.channel.received(text, peer.now)


def _waits(seconds: float) -> Step:
    def step(peer: Peer, _: list[Frame]) -> Effects:
        effects = peer.waits(seconds)
        deadline = peer.channel.next_deadline()
        assert deadline is None or deadline > peer.now
        return effects

    return step


def _opened(peer: Peer, sent: list[Frame]) -> Effects:
    sent.clear()
    return peer.channel.opened(peer.now)


def _pushed(peer: Peer, _: list[Frame]) -> Effects:
    assert peer.channel.push("response", {}, "7f") is (peer.channel.state is State.JOINED)
    return ()


STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.builds(_answers, st.sampled_from(["ok", "ok", "error"]), st.integers(-3, 3))
    | st.builds(_ends, st.sampled_from(["phx_error", "phx_close"]), REFS)
    | st.builds(_says, PAYLOADS, REFS, REFS, EVENTS, TOPICS)
    | st.builds(_sends, NEAR_MISSES.map(json.dumps))
    | st.builds(_waits, st.sampled_from([0.0, 0.5, 1.0, 9.0, 10.0, 30.0, 70.0, 1e6]))
    | st.just(_opened)
    | st.just(lambda peer, _: peer.channel.closed("1006"))
    | st.just(lambda peer, _: peer.channel.leave(peer.now))
    | st.just(_pushed),
    min_size=3,
    max_size=12,
)


def _play(peer: Peer, steps: list[Step]) -> list[Frame]:
    """Do the steps; all that the channel has sent on the socket it has now."""
    sent: list[Frame] = []
    for step in steps:
        effects = step(peer, sent)
        assert len(effects) <= 2
        assert type(peer.channel.state) is State
        sent += peer.heard()
    return sent


def _must_join_on_a_new_socket(peer: Peer, _: list[Frame]) -> None:
    peer.joins()
    assert peer.channel.state is State.JOINED


def _must_join_by_itself(peer: Peer, sent: list[Frame]) -> None:
    """While it has a socket and no wish to leave, a server that answers is all it needs."""
    if peer.channel.state in (State.OFFLINE, State.LEAVING, State.CLOSED):
        return
    for _ in range(5):
        for frame in sent:
            peer.replies(frame.ref, {}, "ok", frame.topic)
        if peer.channel.state is State.JOINED:
            break
        peer.waits_until_due()
        sent = peer.heard()
    assert peer.channel.state is State.JOINED


def _must_leave_unanswered(peer: Peer, _: list[Frame]) -> None:
    peer.channel.leave(peer.now)
    peer.waits(10.0)
    assert peer.channel.state is State.CLOSED


@FEW
@given(vsn=VERSIONS, text=st.text() | st.binary() | (JSON | NEAR_MISSES).map(json.dumps))
def test_any_text_is_a_well_typed_frame_or_malformed(vsn: str, text: str | bytes) -> None:
    """Decoding never raises, and a frame has the types it promises."""
    frame = SERIALIZERS[vsn].decode(text)
    if isinstance(frame, Malformed):
        return
    assert {type(frame.topic), type(frame.event)} == {str}
    assert type(frame.payload) is dict
    assert {type(frame.ref), type(frame.join_ref)} <= {str, type(None)}


@FEW
@given(vsn=VERSIONS, texts=st.lists(st.text() | st.binary() | JSON.map(json.dumps), max_size=5))
def test_a_channel_survives_any_texts(vsn: str, texts: list[str | bytes]) -> None:
    """A joined channel that hears nonsense is still joined."""
    peer = Peer(vsn)
    peer.joins()
    _play(peer, [_sends(text) for text in texts])
    assert peer.channel.state is State.JOINED


@FEW
@given(vsn=VERSIONS, steps=STEPS)
def test_there_is_a_way_out_of_every_state(vsn: str, steps: list[Step]) -> None:
    """After any sequence the channel can join by itself, join on a new socket, and leave."""
    for way_out in (_must_join_by_itself, _must_join_on_a_new_socket, _must_leave_unanswered):
        peer = Peer(vsn)
        way_out(peer, _play(peer, [_opened, *steps]))
