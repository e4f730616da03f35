"""What is to be done about a Redis, from what it says of itself and what Postgres knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import batched

from core.db.identity import Identity

WAIT_SECONDS = 5.0
"""So long ago at most another replica must have seen a server for it to count as in use."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The reply of `see_server.lua`."""

    server: str
    """What changes with each start of the server and with each promotion."""
    name: str
    approved: str
    """The server that was approved last with these data; "" while claims are closed."""
    generation: str
    recovering: str
    """The recovery that has begun with these data and has not ended."""
    counter: int
    paused: Sequence[str] = ()
    """The pauses of chains: name and entry of each, one after the other."""
    drained: Sequence[str] = ()

    @property
    def kept(self) -> dict[str, dict[str, str]]:
        """What holds up claims, as Postgres keeps it."""
        parts = {"paused": self.paused, "drained": self.drained}
        return {name: dict(batched(flat, 2)) for name, flat in parts.items()}  # type: ignore[arg-type]

    @property
    def is_approved(self) -> bool:
        """Whether workers claim here."""
        return self.approved == self.server


class Verdict(Enum):
    """What to do."""

    HEALTHY = "healthy"
    RECOVER = "recover"
    GO_ON = "go on"
    """A recovery of this server is under way."""
    SUPERSEDED = "superseded"
    """Another server has taken this one's place: close it."""
    DIFFERENT = "different"
    """Another replica uses another server: wait."""


def judged(row: Identity | None, seen: Seen, replica: str) -> Verdict:
    """What this replica has to do; `row` was read before Redis was asked."""
    if row is None:
        return Verdict.RECOVER
    in_use = row.seen_by != replica and row.age < WAIT_SECONDS and row.server != ""
    if seen.server != row.server and in_use:
        is_older = seen.is_approved and int(seen.generation or 0) < row.generation
        return Verdict.SUPERSEDED if is_older else Verdict.DIFFERENT
    if _goes_on(row, seen):
        return Verdict.GO_ON
    return Verdict.HEALTHY if _is_healthy(row, seen) else Verdict.RECOVER


def _is_healthy(row: Identity, seen: Seen) -> bool:
    return (
        seen.server == row.server
        and seen.is_approved
        and seen.name == row.name
        and seen.generation == str(row.generation)
        and seen.counter > row.counter  # each look raises it
        and seen.recovering == ""
    )


def _goes_on(row: Identity, seen: Seen) -> bool:
    recovery = row.recovery
    if recovery is None or recovery["server"] != seen.server:
        return False
    if recovery["phase"] == "begin":
        return True
    if seen.recovering != recovery["id"]:
        return recovery["phase"] == "end" and seen.counter > row.counter
    return not recovery.get("approved") or seen.counter > row.counter
