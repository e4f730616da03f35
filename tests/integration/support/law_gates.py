"""A gate of the law whose answers a test decides."""

from __future__ import annotations

from typing import Any

from pipeline.ledger.basis import Basis
from pipeline.ledger.outside_runs import SavesOutsideRuns
from pipeline.live_config import Configuration
from pipeline.runs.run_state import RunState
from pipeline.runs.withholding import Withheld


class Purposes:
    """Allows the purposes of a set, which a test may change; none by default."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = set(allowed)
        self.asked: list[str] = []

    async def basis(self, _live: RunState, purpose: str) -> Basis:
        """That of an allowed purpose."""
        self.asked.append(purpose)
        if purpose in self.allowed:
            return Basis(purpose, "lb-02", "attachments[0]")
        raise Withheld("PermissionDeniedError", "attachments[0]", purpose)


def without_law(configuration: Configuration) -> SavesOutsideRuns:
    """Saves of a configuration whose storages have no `requires`, and whose chains no `custody`."""
    unused: Any = None
    return SavesOutsideRuns(configuration, unused, unused, unused, unused)
