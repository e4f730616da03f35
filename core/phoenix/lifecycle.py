"""What each move through the channel's table does: refs, deadlines, joining again, leaving."""

import math
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, StrEnum
from itertools import count
from typing import Any

from core.backoff import Backoff
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

# The life of a Phoenix channel on the client's side, as one table.
#
# The theory
# ----------
# A channel lives on two machines at once, and neither sees the other's half. What can go wrong is
# always the same: one side believes it is joined and the other does not. Three rules keep the two
# beliefs together:
#
# 1. *Whatever happens is a value, and its class is the key into `TABLE`.* The row says which state
#    follows. What a row does not list cannot happen in that state: it is dropped and changes
#    nothing. Every move goes through the table, so the table is the whole lifecycle.
# 2. *Every join has a ref of its own, which is its join_ref too.* A reply, a phx_error or a
#    phx_close that names an older one is about a channel that is no more. A server that does not
#    echo the join_ref sends null instead. That leaves one doubt: after a join that timed out, the
#    server may hold a channel that this side gave up, a *ghost*. It is told to leave, and the
#    channel remembers that one anonymous phx_close is still to come, which must not be taken for
#    the end of the channel joined since. While a join is unanswered an anonymous ending is never
#    ours, because a server answers a join before it ends it.
# 3. *Every state that waits has a deadline, and passing it is a move too.* So nothing the peer says
#    or fails to say can hold the channel: it backs off and joins again for as long as the socket is
#    open. Only CLOSED is final until the next socket, because leaving was our own wish.
#
# The heartbeat belongs to the socket rather than to the topic, and runs beside the table. A missed
# one ends the socket, which is a move like any other.
#
# How the states follow each other (BACKING_OFF is the wait between two joins on one socket):
#
#     OFFLINE --> JOINING --> JOINED --> LEAVING --> CLOSED
#                    ^  |        |
#                    |  v        v        refused, timed out, crashed, closed by the server
#                  BACKING_OFF <-+


class State(StrEnum):
    """Where the channel stands, as far as this side can know."""

    OFFLINE = "offline"
    JOINING = "joining"
    JOINED = "joined"
    BACKING_OFF = "backing off"
    LEAVING = "leaving"
    CLOSED = "closed"


class Move(Enum):
    """What moves the channel without being an effect: our own calls, and a wait that is over."""

    OPENED = "opened"
    LEAVE_ASKED = "leave asked"
    WAITED = "waited"


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
        Move.LEAVE_ASKED: State.LEAVING,
        Disconnected: State.OFFLINE,
    },
    State.JOINED: {
        EventReceived: State.JOINED,
        ReplyReceived: State.JOINED,
        ChannelCrashed: State.BACKING_OFF,
        ChannelClosed: State.BACKING_OFF,
        Move.LEAVE_ASKED: State.LEAVING,
        Disconnected: State.OFFLINE,
    },
    State.BACKING_OFF: {
        Move.WAITED: State.JOINING,
        ReplyReceived: State.BACKING_OFF,
        Left: State.CLOSED,
        Disconnected: State.OFFLINE,
    },
    State.LEAVING: {
        EventReceived: State.LEAVING,
        ReplyReceived: State.LEAVING,
        Move.LEAVE_ASKED: State.LEAVING,
        Left: State.CLOSED,
    },
    State.CLOSED: {
        ReplyReceived: State.CLOSED,
        Move.LEAVE_ASKED: State.CLOSED,
        Disconnected: State.CLOSED,
    },
}


type Send = Callable[[str, str, str | None], None]
"""Sends one of Phoenix's own events on the topic: event, ref, join_ref."""

CRASH_PAUSES = (0.05, 5.0)
"""First and longest pause in seconds after a second crash right behind a join that worked."""

ENDINGS: dict[str, type[ChannelCrashed | ChannelClosed]] = {
    "phx_error": ChannelCrashed,
    "phx_close": ChannelClosed,
}


class Membership:
    """This side's belief about being in the topic, and the one place where it changes."""

    REFS = ("join-", "leave-")
    """How the refs given out here begin. None is used twice, on whatever socket."""

    def __init__(
        self, send: Send, *, reply_timeout: float, rejoin: Backoff, healthy_after: float
    ) -> None:
        self._send = send
        self._reply_timeout = reply_timeout
        self._rejoin = rejoin
        shortest, longest = (min(seconds, rejoin.cap) for seconds in CRASH_PAUSES)
        self._recrash = replace(rejoin, first=shortest, cap=longest)
        self._healthy_after = healthy_after
        self._numbers = count(1)
        self.join_ref: str | None = None
        """The ref of the present join; None while there is none."""
        self._reset()

    def _reset(self) -> None:
        self._failed_joins = self._crashes = 0
        self._ghost = False
        self._enter(State.OFFLINE, 0.0)

    # Moving through the table

    def happened(self, effect: Effect, now: float) -> Effects:
        """Let something happen: its effect comes back, or a drop if it cannot happen now."""
        if self._row.get(type(effect)) is self.state or self._moved(type(effect), now):
            return (effect,)  # nothing to move is the rule, and quick
        return dropped(DropReason.UNEXPECTED, f"{type(effect).__name__} while {self.state}")

    def _moved(self, key: type[Effect] | Move, now: float) -> bool:
        after = self._row.get(key)
        if after is None:
            return False
        if after is not self.state:
            self._enter(after, now)
        return True

    def _enter(self, state: State, now: float) -> None:
        self.state, self._row = state, TABLE[state]
        self.deadline: float | None = None
        """When the present state has lasted too long; None if it may last."""
        self._leave_ref: str | None = None
        on_entry = _ON_ENTRY.get(state)
        if on_entry is not None:
            on_entry(self, now)

    def _join(self, now: float) -> None:
        self._joined_at = math.inf
        self.join_ref = f"join-{next(self._numbers)}"
        self._send("phx_join", self.join_ref, self.join_ref)
        self.deadline = now + self._reply_timeout

    def _settle(self, now: float) -> None:
        self._joined_at = now
        self._failed_joins = 0

    def _back_off(self, now: float) -> None:
        held = now - self._joined_at  # minus infinity if the join was never accepted
        self.join_ref = None
        self.deadline = now + (self._after_failure() if held < 0 else self._after_crash(held))

    def _after_failure(self) -> float:
        self._failed_joins += 1
        return self._rejoin.wait(self._failed_joins - 1)

    def _after_crash(self, held: float) -> float:
        """None at first: the Plugboard crashes every channel of a service that gets a child."""
        self._crashes = 1 if held >= self._healthy_after else self._crashes + 1
        return self._recrash.wait(self._crashes - 2) if self._crashes > 1 else 0.0

    def _leave(self, now: float) -> None:
        self._leave_ref = self._send_leave()
        self.deadline = now + self._reply_timeout

    def _send_leave(self) -> str:
        ref = f"leave-{next(self._numbers)}"
        self._send("phx_leave", ref, self.join_ref)
        return ref

    # What the caller does

    def opened(self, now: float) -> None:
        """There is a new socket: join, and forget whatever an earlier one left behind."""
        self._reset()
        self._moved(Move.OPENED, now)

    def leave(self, now: float) -> Effects:
        """Leave for good; `Left` comes at once if there is nothing to leave."""
        if self._moved(Move.LEAVE_ASKED, now):
            return ()
        return self.happened(Left(acknowledged=False), now)

    def disconnected(self, reason: str) -> Effects:
        """The socket is gone, which also ends a leave that was under way."""
        leaving = self.state is State.LEAVING
        return self.happened(Left(acknowledged=False) if leaving else Disconnected(reason), 0.0)

    def expired(self, now: float) -> Effects:
        """The deadline has passed: join again, or give up on the join or the leave."""
        if self.state is State.BACKING_OFF:
            self._moved(Move.WAITED, now)
            return ()
        if self.state is State.LEAVING:
            return self.happened(Left(acknowledged=False), now)
        self._ghost = True
        self._send_leave()
        return self.happened(JoinTimedOut(), now)

    # What the server says

    def replied(self, ref: str, status: str, response: Any, now: float) -> Effects:
        """Take the reply to a join or a leave of ours; one that is no longer awaited is dropped."""
        if ref == self._leave_ref:
            return self.happened(Left(acknowledged=True), now)
        if ref == self.join_ref and self.state is State.JOINING:
            return self.happened(_join_outcome(status, response), now)
        if status != "ok":
            self._ghost = False  # the server never took the join that was given up
        return dropped(DropReason.LATE_REPLY, ref)

    def ended(self, event: str, channel: str | None, now: float) -> Effects:
        """Take phx_error or phx_close; `channel` is the join_ref it names, if it names one."""
        if event not in ENDINGS:
            return dropped(DropReason.UNEXPECTED, event)
        if self._is_old(event, channel):
            self._ghost = False
            return dropped(DropReason.OLD_CHANNEL, event)
        if self.state is State.CLOSED:
            return ()  # the server's last word on the channel we left
        leaving = self.state is State.LEAVING
        return self.happened(Left(acknowledged=True) if leaving else ENDINGS[event](), now)

    def _is_old(self, event: str, channel: str | None) -> bool:
        if channel is not None:
            return channel != self.join_ref
        if self.state in (State.JOINING, State.BACKING_OFF):
            return True
        return self._ghost and event == "phx_close"


_ON_ENTRY: dict[State, Callable[[Membership, float], None]] = {
    State.JOINING: Membership._join,
    State.JOINED: Membership._settle,
    State.BACKING_OFF: Membership._back_off,
    State.LEAVING: Membership._leave,
}


def _join_outcome(status: str, response: Any) -> Joined | JoinRefused:
    content = response if isinstance(response, dict) else {}
    if status == "ok":
        return Joined(content)
    return JoinRefused(str(content.get("reason", "no reason given"))[:80])
