"""The effects that a channel's calls return: one frozen class per kind, named in the past tense.

`repr` omits the data that the peer sent, so an effect can be logged.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Joined:
    """The server accepted the join; `response` is the body of its reply."""

    response: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class JoinRefused:
    """The server replied to the join with an error; the channel joins again after a wait."""

    reason: str


@dataclass(frozen=True, slots=True)
class JoinTimedOut:
    """The server did not reply to the join in time; the channel joins again after a wait."""


@dataclass(frozen=True, slots=True)
class ChannelCrashed:
    """phx_error: the channel's process ended on the server; the channel joins again."""


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """phx_close without a leave; the channel joins again."""


class EventReceived(NamedTuple):
    """The server pushed an event on the topic. A tuple, because each request creates one."""

    event: str
    payload: dict[str, Any]
    ref: str | None

    def __repr__(self) -> str:
        return f"EventReceived(event={self.event!r}, ref={self.ref!r})"


@dataclass(frozen=True, slots=True)
class ReplyReceived:
    """The server replied to the push with this ref; `status` is "ok" or "error".

    "error" is also the reply to a push that reached the server after the channel had crashed.
    """

    ref: str
    status: str
    response: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeartbeatMissed:
    """The server did not reply to a heartbeat in time; the caller must drop the socket."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The socket is gone; `push` returns False until a new one is joined."""

    reason: str


@dataclass(frozen=True, slots=True)
class Left:
    """The leave is complete; `acknowledged`: the server confirmed it."""

    acknowledged: bool


class DropReason(StrEnum):
    """Why a message was dropped; a closed set, so that it can label a metric."""

    MALFORMED = "malformed"
    OTHER_TOPIC = "other topic"
    LATE_REPLY = "late reply"
    OLD_CHANNEL = "old channel"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A received message was dropped; `detail` identifies it in at most 80 characters."""

    reason: DropReason
    detail: str = ""


type Effect = (
    Joined
    | JoinRefused
    | JoinTimedOut
    | ChannelCrashed
    | ChannelClosed
    | EventReceived
    | ReplyReceived
    | HeartbeatMissed
    | Disconnected
    | Left
    | Dropped
)
type Effects = tuple[Effect, ...]


def dropped(reason: DropReason, detail: str) -> Effects:
    """The effects of one drop. `detail` is cut, because it may quote the peer."""
    return (Dropped(reason, detail[:80]),)
