"""The client's side of a Phoenix channel's lifecycle: states, refs, deadlines, rejoin, leave."""

# Theory
# ------
# A channel exists on two machines, and neither sees the state of the other. The failure to guard
# against is always the same: one side believes that the channel is joined and the other does not.
#
#     OFFLINE --> JOINING --> JOINED --> LEAVING --> CLOSED
#                    ^  |        |
#                    |  v        v        refused, timed out, crashed, closed by the server
#                  BACKING_OFF <-+
#
# BACKING_OFF is the wait between two joins on the same socket. The loss of the socket leads to
# OFFLINE from every state but LEAVING and CLOSED, which are about our own wish to leave; a new
# socket starts from OFFLINE again.
#
# 1. Everything that can happen is a value whose class is a key of `TABLE`: an effect (what the
#    peer did, or failed to do in time) or a `Move` (what the caller did). The row of the present
#    state says which state follows. A key that the row does not have is dropped and changes
#    nothing, so the peer can send anything at any time: a second reply to a join, events before
#    the join is accepted, a phx_close after our leave. No other code changes the state.
#
# 2. Each join has a new ref, which also is its join_ref. A reply, a phx_error or a phx_close with
#    an older one is about an earlier channel and is dropped. Servers that do not echo the join_ref
#    send null; for these endings the state decides:
#    - While a join is unanswered the ending belongs to an earlier channel, because a server
#      answers a join before it can end the channel.
#    - After a join that timed out the server may still have a channel that this side has given up.
#      A phx_leave is sent for it, and one phx_close without a join_ref is expected as its
#      confirmation. It must not end the channel that was joined since.
#    - Otherwise the ending is that of the joined channel.
#
# 3. Each state that waits for the peer has a deadline: JOINING and LEAVING last at most
#    `reply_timeout` seconds. After a failed join BACKING_OFF waits as `rejoin` says. After a crash
#    of a joined channel the next join is sent at once, because the Plugboard crashes all channels
#    of a service when a child service is added; repeated crashes shortly after a join wait longer
#    each time. So a peer that does not answer cannot stop the channel: it tries again as long as
#    the socket is open. Only CLOSED is final until the next socket.
#
# A leave ends by the reply to it, by phx_close or phx_error, by its deadline, or with the socket;
# `Left.acknowledged` tells the first two from the others.
#
# Heartbeats belong to the socket, not to the topic; see `core.phoenix.channel`. A missed one ends
# the socket, which is a move like any other.

import math
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, StrEnum
from itertools import count
from typing import Any

from core.concurrency.backoff import Backoff
from core.phoenix.events import (
    ChannelClosed,
    ChannelCrashed,
    Disconnected,
    DropReason,
    Effect,
    Effects,
    EventReceived,
    Joined,
    JoinRefused,
    JoinTimedOut,
    Left,
    ReplyReceived,
    dropped,
)

CRASH_PAUSES = (0.05, 5.0)
"""First and longest pause in seconds before the join that follows a repeated crash."""

ENDINGS: dict[str, type[ChannelCrashed | ChannelClosed]] = {
    "phx_error": ChannelCrashed,
    "phx_close": ChannelClosed,
}

type SendControl = Callable[[str, str, str | None], None]
"""Sends one of Phoenix's own events on the topic: event, ref, join_ref."""


class State(StrEnum):
    """The state of the channel as this side knows it."""

    OFFLINE = "offline"
    JOINING = "joining"
    JOINED = "joined"
    BACKING_OFF = "backing off"
    LEAVING = "leaving"
    CLOSED = "closed"


class Move(Enum):
    """Keys of the table that are not effects: the caller's calls, and the end of a wait."""

    OPENED = "opened"
    LEAVE_REQUESTED = "leave requested"
    WAIT_OVER = "wait over"


type Row = dict[type[Effect] | Move, State]

TABLE: dict[State, Row] = {
    State.OFFLINE: {
        Move.OPENED: State.JOINING,
        Left: State.CLOSED,
    },
    State.JOINING: {
        Joined: State.JOINED,
        JoinRefused: State.BACKING_OFF,
        JoinTimedOut: State.BACKING_OFF,
        ChannelCrashed: State.BACKING_OFF,
        ChannelClosed: State.BACKING_OFF,
        ReplyReceived: State.JOINING,
        Move.LEAVE_REQUESTED: State.LEAVING,
        Disconnected: State.OFFLINE,
    },
    State.JOINED: {
        EventReceived: State.JOINED,
        ReplyReceived: State.JOINED,
        ChannelCrashed: State.BACKING_OFF,
        ChannelClosed: State.BACKING_OFF,
        Move.LEAVE_REQUESTED: State.LEAVING,
        Disconnected: State.OFFLINE,
    },
    State.BACKING_OFF: {
        Move.WAIT_OVER: State.JOINING,
        ReplyReceived: State.BACKING_OFF,
        Left: State.CLOSED,
        Disconnected: State.OFFLINE,
    },
    State.LEAVING: {
        EventReceived: State.LEAVING,
        ReplyReceived: State.LEAVING,
        Move.LEAVE_REQUESTED: State.LEAVING,
        Left: State.CLOSED,
    },
    State.CLOSED: {
        ReplyReceived: State.CLOSED,
        Move.LEAVE_REQUESTED: State.CLOSED,
        Disconnected: State.CLOSED,
    },
}


class Membership:
    """The state of one topic's membership; only `_enter` changes it."""

    REFS = ("join-", "leave-")
    """Prefixes of the refs made here. No ref is used twice, not even on another socket."""

    def __init__(
        self, send: SendControl, *, reply_timeout: float, rejoin: Backoff, healthy_after: float
    ) -> None:
        self._send = send
        self._reply_timeout = reply_timeout
        self._rejoin = rejoin
        shortest, longest = (min(seconds, rejoin.cap) for seconds in CRASH_PAUSES)
        self._rejoin_after_crash = replace(rejoin, first=shortest, cap=longest)
        self._healthy_after = healthy_after
        self._numbers = count(1)
        self.join_ref: str | None = None
        """The ref of the present join; None while there is none."""
        self._reset()

    def _reset(self) -> None:
        self._failed_joins = self._crashes = 0
        self._has_abandoned_join = False
        self._enter(State.OFFLINE, 0.0)

    # Transitions

    def apply(self, effect: Effect, now: float) -> Effects:
        """Make the transition for an effect: the effect, or a drop if the state does not allow it.

        Effects that keep the state are the common case and are checked first.
        """
        if self._row.get(type(effect)) is self.state or self._move(type(effect), now):
            return (effect,)
        return dropped(DropReason.UNEXPECTED, f"{type(effect).__name__} while {self.state}")

    def _move(self, key: type[Effect] | Move, now: float) -> bool:
        after = self._row.get(key)
        if after is None:
            return False
        if after is not self.state:
            self._enter(after, now)
        return True

    def _enter(self, state: State, now: float) -> None:
        self.state, self._row = state, TABLE[state]
        self.deadline: float | None = None
        """When `expired` must be called; None if the present state has no limit."""
        self._leave_ref: str | None = None
        on_entry = _ON_ENTRY.get(state)
        if on_entry is not None:
            on_entry(self, now)

    def _enter_joining(self, now: float) -> None:
        self._joined_at = math.inf
        self.join_ref = f"join-{next(self._numbers)}"
        self._send("phx_join", self.join_ref, self.join_ref)
        self.deadline = now + self._reply_timeout

    def _enter_joined(self, now: float) -> None:
        self._joined_at = now
        self._failed_joins = 0

    def _enter_backing_off(self, now: float) -> None:
        held = now - self._joined_at  # minus infinity if the join was never accepted
        self.join_ref = None
        self.deadline = now + (self._after_failure() if held < 0 else self._after_crash(held))

    def _after_failure(self) -> float:
        self._failed_joins += 1
        return self._rejoin.wait(self._failed_joins - 1)

    def _after_crash(self, held: float) -> float:
        self._crashes = 1 if held >= self._healthy_after else self._crashes + 1
        return self._rejoin_after_crash.wait(self._crashes - 2) if self._crashes > 1 else 0.0

    def _enter_leaving(self, now: float) -> None:
        self._leave_ref = self._send_leave()
        self.deadline = now + self._reply_timeout

    def _send_leave(self) -> str:
        ref = f"leave-{next(self._numbers)}"
        self._send("phx_leave", ref, self.join_ref)
        return ref

    # Calls of the owner

    def opened(self, now: float) -> None:
        """Join on a new socket; the state of an earlier socket is discarded."""
        self._reset()
        self._move(Move.OPENED, now)

    def leave(self, now: float) -> Effects:
        """Leave for good; returns `Left` at once if no join is open."""
        if self._move(Move.LEAVE_REQUESTED, now):
            return ()
        return self.apply(Left(acknowledged=False), now)

    def disconnected(self, reason: str) -> Effects:
        """The socket is gone; `Left` if a leave was under way."""
        leaving = self.state is State.LEAVING
        return self.apply(Left(acknowledged=False) if leaving else Disconnected(reason), 0.0)

    def expired(self, now: float) -> Effects:
        """The deadline has passed: join again after a wait, or give up the join or the leave."""
        if self.state is State.BACKING_OFF:
            self._move(Move.WAIT_OVER, now)
            return ()
        if self.state is State.LEAVING:
            return self.apply(Left(acknowledged=False), now)
        self._has_abandoned_join = True
        self._send_leave()
        return self.apply(JoinTimedOut(), now)

    # Messages of the server

    def replied(self, ref: str, status: str, response: Any, now: float) -> Effects:
        """Take the reply to a join or a leave; one that is no longer awaited is dropped."""
        if ref == self._leave_ref:
            return self.apply(Left(acknowledged=True), now)
        if ref == self.join_ref and self.state is State.JOINING:
            return self.apply(_join_outcome(status, response), now)
        if status != "ok":
            self._has_abandoned_join = False  # the server did not accept the abandoned join
        return dropped(DropReason.LATE_REPLY, ref)

    def ended(self, event: str, join_ref: str | None, now: float) -> Effects:
        """Take a phx_error or phx_close with the join_ref that it names, or None."""
        if event not in ENDINGS:
            return dropped(DropReason.UNEXPECTED, event)
        if self._is_of_earlier_channel(event, join_ref):
            self._has_abandoned_join = False
            return dropped(DropReason.OLD_CHANNEL, event)
        if self.state is State.CLOSED:
            return ()  # the server confirms a leave that is complete already
        leaving = self.state is State.LEAVING
        return self.apply(Left(acknowledged=True) if leaving else ENDINGS[event](), now)

    def _is_of_earlier_channel(self, event: str, join_ref: str | None) -> bool:
        if join_ref is not None:
            return join_ref != self.join_ref
        if self.state in (State.JOINING, State.BACKING_OFF):
            return True
        return self._has_abandoned_join and event == "phx_close"


_ON_ENTRY: dict[State, Callable[[Membership, float], None]] = {
    State.JOINING: Membership._enter_joining,
    State.JOINED: Membership._enter_joined,
    State.BACKING_OFF: Membership._enter_backing_off,
    State.LEAVING: Membership._enter_leaving,
}


def _join_outcome(status: str, response: Any) -> Joined | JoinRefused:
    content = response if isinstance(response, dict) else {}
    if status == "ok":
        return Joined(content)
    return JoinRefused(str(content.get("reason", "no reason given"))[:80])
