"""What a channel does when nothing comes: heartbeats, deadlines, waits; no test sleeps."""

import pytest

from core.concurrency.backoff import Backoff
from core.phoenix.events import (
    ChannelClosed,
    ChannelCrashed,
    Disconnected,
    Dropped,
    DropReason,
    HeartbeatMissed,
    Joined,
    JoinTimedOut,
    Left,
)
from core.phoenix.lifecycle import State
from tests.unit.phoenix.phoenix_peer import Peer


@pytest.fixture(params=["1.0.0", "2.0.0"])
def peer(request: pytest.FixtureRequest) -> Peer:
    """A server at the other end, once in each version."""
    return Peer(request.param)


def test_nothing_is_due_without_a_socket(peer: Peer) -> None:
    """Before the first socket there is no deadline, and a tick does nothing."""
    assert peer.channel.next_deadline() is None
    assert peer.waits(1e6) == ()
    assert peer.heard() == []


def test_a_tick_before_anything_is_due_does_nothing(peer: Peer) -> None:
    """A tick may come early and as often as it likes."""
    peer.joins()
    assert peer.waits(29.9) == ()
    assert peer.heard() == []


def test_a_heartbeat_goes_out_every_interval(peer: Peer) -> None:
    """While replies come, one heartbeat an interval is sent, each with a ref of its own."""
    peer.joins()
    refs = set()
    for _ in range(3):
        assert peer.waits(30.0) == ()
        (beat,) = peer.heard()
        assert (beat.topic, beat.event, beat.join_ref) == ("phoenix", "heartbeat", None)
        assert peer.replies(beat.ref, topic="phoenix") == ()
        refs.add(beat.ref)
    assert len(refs) == 3


def test_a_heartbeat_without_a_reply_ends_the_socket(peer: Peer) -> None:
    """Pushes of the server prove nothing: only the reply in time keeps the socket."""
    peer.joins()
    peer.waits(30.0)
    peer.heard()
    peer.now += 9.9
    peer.says("num_consumers", {"num_consumers": 2})
    assert peer.waits(0.1) == (HeartbeatMissed(), Disconnected("heartbeat missed"))
    assert peer.channel.state is State.OFFLINE
    assert peer.channel.next_deadline() is None
    assert peer.channel.closed("1006") == ()


def test_a_missed_heartbeat_while_leaving_ends_the_leave(peer: Peer) -> None:
    """Who waits for Left gets it."""
    peer.joins()
    peer.waits(30.0)
    peer.now += 9.0
    peer.channel.leave(peer.now)
    assert peer.waits(1.0) == (HeartbeatMissed(), Left(acknowledged=False))


def test_the_reply_to_an_older_heartbeat_does_not_save_the_socket(peer: Peer) -> None:
    """A reply counts for the heartbeat it names."""
    peer.joins()
    peer.waits(30.0)
    (old,) = peer.heard()
    peer.replies(old.ref, topic="phoenix")
    peer.waits(30.0)
    assert peer.replies(old.ref, topic="phoenix") == (
        Dropped(DropReason.LATE_REPLY, "heartbeat-1"),
    )
    assert HeartbeatMissed() in peer.waits(10.0)


def test_the_reply_to_a_missed_heartbeat_is_late(peer: Peer) -> None:
    """Once given up, the socket does not come back to life."""
    peer.joins()
    peer.waits(30.0)
    (beat,) = peer.heard()
    peer.waits(10.0)
    assert peer.replies(beat.ref, topic="phoenix") == (
        Dropped(DropReason.LATE_REPLY, "heartbeat-1"),
    )


def test_heartbeats_go_on_while_not_joined(peer: Peer) -> None:
    """The heartbeat belongs to the socket: it beats between joins and after leaving as well."""
    join = peer.joins()
    peer.channel.leave(peer.now)
    peer.ends("phx_close", join.ref)
    peer.heard()
    peer.waits(30.0)
    assert [frame.event for frame in peer.heard()] == ["heartbeat"]


def test_a_join_without_an_answer_is_given_up_and_made_again(peer: Peer) -> None:
    """The join that the server may have accepted is left, and sent again after a wait."""
    join = peer.opens()
    assert peer.waits(10.0) == (JoinTimedOut(),)
    (leave,) = peer.heard()
    assert (leave.event, leave.join_ref) == ("phx_leave", join.ref)
    assert peer.waits(1.0) == ()
    (again,) = peer.heard()
    assert again.event == "phx_join"
    assert peer.replies(again.ref) == (Joined({}),)


@pytest.mark.parametrize("status", ["ok", "error"])
def test_a_late_answer_to_an_old_join_is_dropped(peer: Peer, status: str) -> None:
    """Neither an ok nor an error changes the state, before the next join and after."""
    join = peer.opens()
    peer.waits(10.0)
    late = (Dropped(DropReason.LATE_REPLY, "join-1"),)
    assert peer.replies(join.ref, {}, status) == late
    peer.waits(1.0)
    assert peer.replies(join.ref, {}, status) == late
    assert peer.channel.state is State.JOINING


@pytest.mark.parametrize("named", [True, False])
def test_the_close_of_a_join_given_up_does_not_end_the_next(peer: Peer, named: bool) -> None:
    """After a duplicate join the server closes the older channel, with its join_ref or null."""
    old = peer.opens()
    peer.waits(10.0)
    peer.waits(1.0)
    join = peer.heard()[-1]
    peer.replies(join.ref)
    ending = peer.ends("phx_close", old.ref if named else None)
    assert ending == (Dropped(DropReason.OLD_CHANNEL, "phx_close"),)
    assert peer.channel.state is State.JOINED


def test_only_one_anonymous_close_is_attributed_to_the_join_given_up(peer: Peer) -> None:
    """The second one can only be ours, and leads to another join."""
    peer.opens()
    peer.waits(10.0)
    peer.waits(1.0)
    peer.replies(peer.heard()[-1].ref)
    peer.ends("phx_close", None)
    assert peer.ends("phx_close", None) == (ChannelClosed(),)


def test_an_anonymous_crash_after_joining_is_ours(peer: Peer) -> None:
    """A channel given up is closed by the next join, so it cannot crash after that."""
    peer.opens()
    peer.waits(10.0)
    peer.waits(1.0)
    peer.replies(peer.heard()[-1].ref)
    assert peer.ends("phx_error", None) == (ChannelCrashed(),)


def test_a_join_given_up_and_then_refused_expects_no_close(peer: Peer) -> None:
    """The server never took it, so an anonymous close after the next join is ours."""
    old = peer.opens()
    peer.waits(10.0)
    peer.replies(old.ref, {"reason": "join crashed"}, "error")
    peer.waits(1.0)
    peer.replies(peer.heard()[-1].ref)
    assert peer.ends("phx_close", None) == (ChannelClosed(),)


def test_joins_are_made_again_at_growing_intervals(peer: Peer) -> None:
    """Refused again and again, the channel waits 1, 2, 4, 8 s and so on, and never gives up."""
    peer.opens()
    waits = []
    for attempt in range(1, 8):
        peer.replies(f"join-{attempt}", {}, "error")
        before = peer.now
        while peer.channel.state is State.BACKING_OFF:
            peer.waits_until_due()
            for beat in peer.heard():
                peer.replies(beat.ref, topic="phoenix")
        waits.append(peer.now - before)
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def crash_after(peer: Peer, held: float) -> float:
    """Crash the joined channel after `held` seconds; the seconds until it has sent a join again."""
    peer.now += held
    peer.ends("phx_error", None)
    before = peer.now
    peer.waits_until_due()
    (join,) = peer.heard()
    assert join.event == "phx_join"
    peer.replies(join.ref)
    return peer.now - before


@pytest.fixture
def joined_peer() -> Peer:
    """A joined channel that sends no heartbeats meanwhile."""
    peer = Peer(heartbeat_interval=1000.0)
    peer.joins()
    return peer


@pytest.mark.parametrize("between", [0.0, 0.3, 1.9, 2.0, 60.0])
def test_five_children_in_a_row_cost_less_than_half_a_second_each(
    joined_peer: Peer, between: float
) -> None:
    """Each child service crashes the channel, which is joined again at once the first time."""
    away = [crash_after(joined_peer, between) for _ in range(5)]
    assert away[0] == 0
    assert max(away) <= 0.41
    assert sum(away) < 1


def test_only_crashes_right_behind_a_join_lengthen_the_pause(joined_peer: Peer) -> None:
    """A channel that crashes at each join waits up to 5 s; once a join has held, it does not."""
    away = [round(crash_after(joined_peer, 0.1), 2) for _ in range(10)]
    assert away == [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]
    assert crash_after(joined_peer, 2.0) == 0
    assert crash_after(joined_peer, 1.9) == pytest.approx(0.05)


def test_a_join_that_worked_ends_the_count_of_those_that_failed(joined_peer: Peer) -> None:
    """Failed joins lengthen the pause of failed joins only."""
    for _ in range(2):
        peer = joined_peer
        peer.ends("phx_error", None)
        pauses = []
        for _ in range(3):
            peer.waits_until_due()
            before = peer.now
            peer.replies(peer.heard()[-1].ref, {}, "error")
            deadline = peer.channel.next_deadline()
            assert deadline is not None
            pauses.append(deadline - before)
        peer.waits_until_due()
        peer.replies(peer.heard()[-1].ref)
        assert pauses == [1, 2, 4]


def test_a_new_socket_starts_the_waits_over(peer: Peer) -> None:
    """How often an earlier socket was refused says nothing about this one."""
    for _ in range(2):
        join = peer.opens()
        peer.replies(join.ref, {}, "error")
        assert peer.channel.next_deadline() == peer.now + 1.0


def test_jitter_shortens_the_wait() -> None:
    """The wait before the next join is the backoff's, jitter included."""
    peer = Peer(rejoin=Backoff(1.0, 30.0, jitter=lambda: 1.0))
    peer.replies(peer.opens().ref, {}, "error")
    assert peer.channel.next_deadline() == peer.now + 0.5


def test_a_leave_without_an_answer_ends_all_the_same(peer: Peer) -> None:
    """After the timeout the channel counts as left, unacknowledged."""
    peer.joins()
    peer.channel.leave(peer.now)
    assert peer.waits(9.9) == ()
    assert peer.waits(0.1) == (Left(acknowledged=False),)
    assert peer.channel.state is State.CLOSED


def test_one_tick_does_all_that_is_due() -> None:
    """After a long stall one tick sends the heartbeat and gives up the join."""
    peer = Peer(heartbeat_interval=5.0)
    peer.opens()
    assert peer.waits(100.0) == (JoinTimedOut(),)
    assert [frame.event for frame in peer.heard()] == ["heartbeat", "phx_leave"]
