"""What a run tells the ledger: in its checkpoint, and at its end with its history.

Deliveries are rows in Postgres before their calls (`pipeline/ledger/deliveries.py`). How they ended
is known here, goes from attempt to attempt with the checkpoint, and to Postgres in the record of
the run's end (`core/db/law/endings.py`). An outcome that is lost with a process is `unknown` there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

MOST_ENDED = 1000
"""Outcomes that a checkpoint holds; those of earlier deliveries are `unknown` in the ledger."""
_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}", re.ASCII)


@dataclass(slots=True)
class LedgerNotes:
    """The notes of one run of a chain with `custody`."""

    digest: str = ""
    """That of the last document which the ledger has of this run."""
    versions: list[Mapping[str, Any]] = field(default_factory=list)
    """Documents that the ledger does not have yet, as `core.db.law.deliveries.NewVersion`."""
    ended: list[tuple[int, str, str | None, str]] = field(default_factory=list)
    """Deliveries with their outcome, the type of the error, and the time."""
    under_way: dict[tuple[str, str], int] = field(default_factory=dict)

    def began(self, kind: str, name: str, delivery: int) -> None:
        """A call begins; an earlier one of the same step, which had no outcome, has failed."""
        self.end(kind, name, "failed")
        self.under_way[kind, name] = delivery

    def end(self, kind: str, name: str, outcome: str, error: str | None = None) -> None:
        """A call has ended, if there was one. Of the error its type is kept."""
        if (delivery := self.under_way.pop((kind, name), None)) is None:
            return
        told = "failed" if outcome == "failed" else "ok"
        self.ended.append((delivery, told, _type_of(error), datetime.now(UTC).isoformat()))
        del self.ended[:-MOST_ENDED]

    def told(self) -> dict[str, Any]:
        """The member of the checkpoint."""
        return {"digest": self.digest, "versions": self.versions, "ended": self.ended}

    @classmethod
    def told_in(cls, checkpoint: Mapping[str, Any]) -> "LedgerNotes | None":
        """Those of an earlier attempt.

        Raises:
            TypeError, KeyError, ValueError: they cannot be read.
        """
        if not (told := checkpoint.get("law")):
            return None
        ended = [(int(each[0]), str(each[1]), each[2], str(each[3])) for each in told["ended"]]
        return cls(str(told["digest"]), list(told["versions"]), ended)


def _type_of(error: str | None) -> str | None:
    """The type that an error's text begins with: the rest may tell about persons."""
    if error is None:
        return None
    found = _TYPE.fullmatch(error.partition(":")[0])
    return found[0] if found else "Error"
