"""The life of a Phoenix channel on the client's side, as one table.

The theory
----------
A channel lives on two machines at once, and neither sees the other's half. What can go wrong is
always the same: one side believes it is joined and the other does not. Three rules keep the two
beliefs together:

1. *Whatever happens is a value, and its class is the key into `TABLE`.* The row says which state
   follows. What a row does not list cannot happen in that state: it is dropped and changes
   nothing. Every move goes through the table, so the table is the whole lifecycle.
2. *Every join has a ref of its own, which is its join_ref too.* A reply, a phx_error or a
   phx_close that names an older one is about a channel that is no more. A server that does not
   echo the join_ref sends null instead. That leaves one doubt: after a join that timed out, the
   server may hold a channel that this side gave up, a *ghost*. It is told to leave, and the
   channel remembers that one anonymous phx_close is still to come, which must not be taken for
   the end of the channel joined since. While a join is unanswered an anonymous ending is never
   ours, because a server answers a join before it ends it.
3. *Every state that waits has a deadline, and passing it is a move too.* So nothing the peer says
   or fails to say can hold the channel: it backs off and joins again for as long as the socket is
   open. Only CLOSED is final until the next socket, because leaving was our own wish.

The heartbeat belongs to the socket rather than to the topic, and runs beside the table. A missed
one ends the socket, which is a move like any other.

How the states follow each other (BACKING_OFF is the wait between two joins on one socket):

    OFFLINE --> JOINING --> JOINED --> LEAVING --> CLOSED
                   ^  |        |
                   |  v        v        refused, timed out, crashed, closed by the server
                 BACKING_OFF <-+
"""

from enum import Enum, StrEnum

from core.channel_effects import (
    ChannelClosed,
    ChannelCrashed,
    Disconnected,
    Effect,
    EventReceived,
    Joined,
    JoinRefused,
    JoinTimedOut,
    Left,
    ReplyReceived,
)


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
