"""The state of destinations, as all replicas share it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.redis_client.client import RedisConnection


@dataclass(frozen=True, slots=True)
class State:
    """What Redis has about a destination; times are in seconds, None where there is none."""

    in_flight: int = 0
    waiting: int = 0
    next_in: float | None = None
    failures: int = 0
    open_for: float | None = None
    """None: the breaker is closed; 0: the next call tries."""
    mean: float | None = None
    since: str = ""
    error: str = ""
    failed_at: str = ""
    unusable: str = ""
    """The error of a key of another type."""

    @property
    def is_open(self) -> bool:
        """Whether it is called again only after a try has succeeded."""
        return self.open_for is not None


async def states_of(connection: RedisConnection, names: Sequence[str]) -> dict[str, State]:
    """The states of these destinations, in one script.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    if not names:
        return {}
    rows = await connection.script("show_destinations", "", *names)
    return {name: _state(row) for name, row in zip(names, rows, strict=True)}


def _state(row: Any) -> State:
    if isinstance(row, str):
        return State(unusable=row)
    in_flight, waiting, first, failures, open_for, mean, since, error, failed_at = row
    return State(
        in_flight=int(in_flight),
        waiting=int(waiting),
        next_in=_seconds(first, -1),
        failures=int(failures),
        open_for=_seconds(open_for, -1),
        mean=_seconds(mean, 0),
        since=since,
        error=error,
        failed_at=failed_at,
    )


def _seconds(milliseconds: int, absent: int) -> float | None:
    return None if int(milliseconds) == absent else int(milliseconds) / 1000
