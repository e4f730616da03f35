"""What the scripts of destinations reply, as values, and the text of what a run waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from pipeline.config.model import Destination
from pipeline.runs.parking import WAITING_TEXT

type Reason = Literal["open", "probe", "rate", "full"]
"""The breaker is open, another run tries whether it may close, the rate, or all slots are taken."""


@dataclass(frozen=True, slots=True)
class Go:
    """The call may be made, after so many seconds."""

    seconds: float = 0.0
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Later:
    """The call may not be made; it is worth asking again after so many seconds."""

    seconds: float
    reason: Reason
    in_flight: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """What the end of a call has changed; `seconds`: the time of the run's turn if it is open."""

    change: str = ""
    seconds: float = 0.0
    failures: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open now."""
        return self.change in ("opened", "reopened", "open")

    @classmethod
    def of(cls, reply: Sequence[Any]) -> "Ended":
        """The reply of `leave_destination.lua`."""
        change, milliseconds, failures = reply
        return cls(str(change), int(milliseconds) / 1000, int(failures))


def entered(reply: Sequence[Any]) -> Go | Later:
    """The reply of `enter_destination.lua`."""
    if reply[0] == "go":
        return Go(int(reply[1]) / 1000, bool(int(reply[2])))
    _, wait, reason, busy, waiting = reply
    return Later(int(wait) / 1000, cast("Reason", str(reason)), int(busy), int(waiting))


def waiting_text(to: Destination, later: Later) -> str:
    """What a run waits for, for its record: shown by `why` and `GetRun`."""
    return f"{WAITING_TEXT}{to.name}: {_why(to, later)}"


def _why(to: Destination, later: Later) -> str:
    match later.reason:
        case "open":
            return f"it failed repeatedly and is not called now; next try in {later.seconds:.0f} s"
        case "probe":
            return "it failed repeatedly, and another run tries whether it answers again"
        case "rate":
            return f"{to.requests_per_minute} requests a minute, {later.waiting} runs wait"
        case "full":
            return f"{later.in_flight} of {to.max_in_flight} in flight, {later.waiting} runs wait"
