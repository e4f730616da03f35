"""What a channel reports, in the past tense: the values its calls return.

`repr` leaves out what the peer sent as data, so an effect can be logged without leaking it.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Joined:
    """The server let us into the topic; `response` is what it said to that."""

    response: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class JoinRefused:
    """The server answered the join with an error; the channel tries again after a wait."""

    reason: str

    def __str__(self) -> str:
        return f"the join was refused: {self.reason}; joining again on the same connection"


@dataclass(frozen=True, slots=True)
class JoinTimedOut:
    """No answer to the join in time; the channel tries again after a wait."""

    def __str__(self) -> str:
        return "the join was not answered in time; joining again on the same connection"


@dataclass(frozen=True, slots=True)
class ChannelCrashed:
    """phx_error: our channel died on the server; the channel joins again after a wait."""

    def __str__(self) -> str:
        return "the channel has crashed at the other end; joining again on the same connection"


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """phx_close without our asking; the channel joins again after a wait."""

    def __str__(self) -> str:
        return "the channel was closed by the other end; joining again on the same connection"


class EventReceived(NamedTuple):
    """The server pushed an event on our topic. A tuple because every request makes one."""

    event: str
    payload: dict[str, Any]
    ref: str | None

    def __repr__(self) -> str:
        return f"EventReceived(event={self.event!r}, ref={self.ref!r})"


@dataclass(frozen=True, slots=True)
class ReplyReceived:
    """The server replied to one of our own pushes, found by its ref; `status` is "ok" or "error".

    An error for a push made just before a crash was noticed says that the push was not taken.
    """

    ref: str
    status: str
    response: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeartbeatMissed:
    """No reply to a heartbeat in time: the socket is half dead and should be dropped."""

    def __str__(self) -> str:
        return "a heartbeat was not answered in time; the connection is dropped and made again"


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The socket is gone; nothing can be sent until another one is opened."""

    reason: str


@dataclass(frozen=True, slots=True)
class Left:
    """The topic was left for good; `acknowledged` says whether the server confirmed it."""

    acknowledged: bool


class DropReason(StrEnum):
    """Why something received was ignored; a closed set, so that drops can be counted by it."""

    MALFORMED = "malformed"
    OTHER_TOPIC = "other topic"
    LATE_REPLY = "late reply"
    OLD_CHANNEL = "old channel"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something received was ignored; `detail` names it in a few words, without its data."""

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
    """One drop; the detail is cut short, because it may quote the peer."""
    return (Dropped(reason, detail[:80]),)
