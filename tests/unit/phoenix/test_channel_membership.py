"""How a channel gets into its topic, out of it, and in again."""

from typing import Any

import pytest

from core.phoenix.events import (
    ChannelClosed,
    ChannelCrashed,
    Disconnected,
    Dropped,
    DropReason,
    Joined,
    JoinRefused,
    Left,
)
from core.phoenix.lifecycle import TABLE, State
from tests.unit.phoenix.phoenix_peer import Peer


@pytest.fixture(params=["1.0.0", "2.0.0"])
def peer(request: pytest.FixtureRequest) -> Peer:
    """A server at the other end, once in each version."""
    return Peer(request.param)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"reason": "unmatched topic"}, "unmatched topic"),
        ({"reason": "join crashed"}, "join crashed"),
        ({}, "no reason given"),
        ("join crashed", "no reason given"),
        ({"reason": ["x" * 1000]}, "['" + "x" * 78),
    ],
)
def test_a_refused_join_says_why(peer: Peer, response: Any, reason: str) -> None:
    """The server's reason comes with the refusal, cut short, and the channel backs off."""
    join = peer.opens()
    assert peer.replies(join.ref, response, "error") == (JoinRefused(reason),)
    assert peer.channel.state is State.BACKING_OFF


@pytest.mark.parametrize(
    ("event", "effect"), [("phx_error", ChannelCrashed()), ("phx_close", ChannelClosed())]
)
@pytest.mark.parametrize("named", [True, False])
def test_the_end_of_our_channel_leads_to_another_join(
    peer: Peer, event: str, effect: object, named: bool
) -> None:
    """phx_error or phx_close, with our join_ref or none, and the channel joins again by itself."""
    join = peer.joins()
    assert peer.ends(event, join.ref if named else None) == (effect,)
    assert peer.channel.state is State.BACKING_OFF
    assert peer.heard() == []
    peer.waits_until_due()
    (again,) = peer.heard()
    assert again.event == "phx_join"
    assert again.ref not in (None, join.ref)
    assert peer.replies(again.ref, {"num_consumers": 1}) == (Joined({"num_consumers": 1}),)


@pytest.mark.parametrize("event", ["phx_error", "phx_close"])
def test_the_end_of_an_older_channel_is_not_ours(peer: Peer, event: str) -> None:
    """An ending that names an older join_ref leaves the present channel joined."""
    old = peer.joins()
    peer.ends("phx_error", old.ref)
    peer.waits_until_due()
    (join,) = peer.heard()
    peer.replies(join.ref)
    assert peer.ends(event, old.ref) == (Dropped(DropReason.OLD_CHANNEL, event),)
    assert peer.channel.state is State.JOINED


@pytest.mark.parametrize("event", ["phx_error", "phx_close"])
def test_an_anonymous_ending_before_the_join_reply_is_not_ours(peer: Peer, event: str) -> None:
    """A server answers a join before it ends it, so what ends earlier was another channel."""
    join = peer.opens()
    assert peer.ends(event, None) == (Dropped(DropReason.OLD_CHANNEL, event),)
    assert peer.replies(join.ref) == (Joined({}),)


@pytest.mark.parametrize(
    ("event", "effect"), [("phx_error", ChannelCrashed()), ("phx_close", ChannelClosed())]
)
def test_an_ending_that_names_the_unanswered_join_is_its_end(
    peer: Peer, event: str, effect: object
) -> None:
    """The server says that this very join came to nothing: wait, and join again."""
    join = peer.opens()
    assert peer.ends(event, join.ref) == (effect,)
    assert peer.channel.state is State.BACKING_OFF


def test_a_channel_ends_once(peer: Peer) -> None:
    """A second ending of the same join is about a channel that is no more."""
    join = peer.joins()
    peer.ends("phx_error", join.ref)
    assert peer.ends("phx_close", join.ref) == (Dropped(DropReason.OLD_CHANNEL, "phx_close"),)


def test_leaving_ends_with_the_servers_confirmation(peer: Peer) -> None:
    """phx_leave names the join; its reply makes it Left, and the phx_close after it is nothing."""
    join = peer.joins()
    assert peer.channel.leave(peer.now) == ()
    (leave,) = peer.heard()
    assert (leave.event, leave.join_ref) == ("phx_leave", join.ref)
    assert peer.replies(leave.ref) == (Left(acknowledged=True),)
    assert peer.ends("phx_close", join.ref) == ()
    assert peer.channel.state is State.CLOSED


@pytest.mark.parametrize("event", ["phx_error", "phx_close"])
def test_a_channel_that_ends_while_leaving_has_left(peer: Peer, event: str) -> None:
    """Whichever word comes first, the channel is left and does not join again."""
    join = peer.joins()
    peer.channel.leave(peer.now)
    assert peer.ends(event, join.ref) == (Left(acknowledged=True),)
    assert peer.channel.state is State.CLOSED


def test_leaving_twice_is_leaving_once(peer: Peer) -> None:
    """A second leave sends nothing and changes nothing, before and after the first succeeded."""
    peer.joins()
    assert peer.channel.leave(peer.now) == peer.channel.leave(peer.now) == ()
    (leave,) = peer.heard()
    peer.replies(leave.ref)
    assert peer.channel.leave(peer.now) == ()
    assert peer.heard() == []


@pytest.mark.parametrize("online", [True, False])
def test_leaving_what_was_not_joined_is_done_at_once(peer: Peer, online: bool) -> None:
    """Between two joins, or without a socket, there is no channel to leave."""
    if online:
        peer.replies(peer.opens().ref, {}, "error")
    assert peer.channel.leave(peer.now) == (Left(acknowledged=False),)
    assert peer.heard() == []


def test_leaving_while_joining_asks_the_server_to_forget_the_join(peer: Peer) -> None:
    """The join's reply no longer counts; the leave's does."""
    join = peer.opens()
    peer.channel.leave(peer.now)
    (leave,) = peer.heard()
    assert leave.join_ref == join.ref
    assert peer.replies(join.ref) == (Dropped(DropReason.LATE_REPLY, "join-1"),)
    assert peer.replies(leave.ref) == (Left(acknowledged=True),)


def test_a_lost_socket_is_a_leave_if_leaving_was_the_wish(peer: Peer) -> None:
    """The loss of the socket completes the leave."""
    peer.joins()
    peer.channel.leave(peer.now)
    assert peer.channel.closed("1006") == (Left(acknowledged=False),)


@pytest.mark.parametrize("state", [State.JOINING, State.JOINED, State.BACKING_OFF, State.CLOSED])
def test_a_lost_socket_is_reported_once(peer: Peer, state: State) -> None:
    """The reason comes back once, and there is nothing more to wait for."""
    peer.goes(state)
    assert peer.channel.closed("1012") == (Disconnected("1012"),)
    assert peer.channel.closed("1012") == ()
    assert peer.channel.next_deadline() is None


def test_unsent_texts_are_discarded_with_the_socket(peer: Peer) -> None:
    """Nothing meant for one socket is sent on the next, even if closed went unsaid."""
    peer.joins()
    peer.channel.push("response", {})
    peer.channel.closed("1006")
    assert peer.heard() == []
    peer.joins()
    peer.channel.push("response", {})
    assert peer.opens().event == "phx_join"


def test_a_new_socket_joins_anew(peer: Peer) -> None:
    """After a lost socket the next one joins with a ref of its own, even if closed went unsaid."""
    first = peer.joins()
    second = peer.opens()
    assert second.event == "phx_join"
    assert second.ref != first.ref
    assert peer.replies(first.ref) == (Dropped(DropReason.LATE_REPLY, "join-1"),)
    assert peer.replies(second.ref) == (Joined({}),)


def test_every_state_has_a_row_and_a_way_in() -> None:
    """The table speaks of all states and no other, and each but the first can be reached."""
    reached = {after for row in TABLE.values() for after in row.values()}
    assert set(TABLE) == set(State) == reached
