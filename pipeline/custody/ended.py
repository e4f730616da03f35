"""What the script that ends a run does for custody; without Postgres' drivers.

Workers without custody in Postgres import this, and no driver of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

RECORDED = "recorded"
"""In place of what the history is told: Postgres has the run."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What the script that ends a run does for custody.

    `history` is `RECORDED`, "" without custody, or JSON that is added to the run as `custody`.
    `released` and `follow_ups` are rows that end and begin: vCon, place and ref.
    """

    history: str = ""
    released: Sequence[tuple[str, str, str]] = ()
    follow_ups: Sequence[tuple[str, str, str]] = ()

    def words(self) -> tuple[object, ...]:
        """The arguments of the script."""
        released = [word for each in self.released for word in each]
        follow_ups = [word for each in self.follow_ups for word in each]
        return self.history, len(self.released), *released, *follow_ups


NO_CUSTODY = Ended()
"""Without custody."""
