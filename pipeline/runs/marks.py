"""Marks of steps that have begun and must not be repeated unseen: `effect = "once"`.

Before a worker calls such a step it writes a mark into the run's checkpoint, and with custody in
Postgres into the row of the vCon. The mark leaves with the checkpoint that has the step's result,
or with the end of an attempt in which the step failed by an ordinary exception. So a mark that is
found is that of a step whose outcome is unknown. A link's run then becomes a dead letter; a
storage's does so for that storage, and its other storages are written. `repeat_uncertain` of the
chain makes no marks.

Versions before this one ignore marks. So the scripts raise the attempts in `pc:attempts` by
`MARKED` along with a mark: such a version finds the attempts used up, and makes a dead letter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from core.observability.storable_text import LONGEST, storable_text
from schemas.run import StepKind

UNKNOWN_OUTCOME = "OutcomeUnknownError: "
"""How the error of such a dead letter begins."""
LOST = "its worker has died or lost it meanwhile"
MARK_LOST = (
    f"{UNKNOWN_OUTCOME}a step that must not be repeated may have happened: replay with "
    "uncertain=repeat to repeat it. It had begun, and an earlier version has dropped its mark"
)


class OutcomeUnknownError(Exception):
    """A plugin cannot tell whether its call has taken effect, such as after a lost answer."""


class UncertainStepError(OutcomeUnknownError):
    """A step with a mark has ended so that its outcome is unknown; it is not tried again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A step that has begun; `index` is that of a link in its chain, `at` the time in ISO 8601."""

    kind: StepKind
    name: str
    index: int
    at: str

    @property
    def step(self) -> str:
        """The step, as in `link tag`."""
        return f"{self.kind} {self.name}"

    def is_of(self, kind: StepKind, name: str) -> bool:
        """Whether it is that of this step."""
        return (self.kind, self.name) == (kind, name)

    def told(self) -> dict[str, Any]:
        """The mark in a checkpoint."""
        return asdict(self)


def mark_of(kind: StepKind, name: str, index: int = 0) -> Mark:
    """A mark of a step that begins now."""
    return Mark(kind, name, index, datetime.now(UTC).isoformat(timespec="seconds"))


def is_once(step: Mapping[str, Any]) -> bool:
    """Whether a step of a checkpoint must not be repeated."""
    return step.get("effect") == "once"


def marks_in(checkpoint: dict[str, Any]) -> Iterable[Mark]:
    """The marks of a checkpoint.

    Raises:
        TypeError, KeyError, ValueError: it cannot be read.
    """
    return [
        Mark(str_kind(each["kind"]), str(each["name"]), int(each["index"]), str(each["at"]))
        for each in checkpoint.get("begun") or ()
    ]


def str_kind(kind: object) -> StepKind:
    """The kind of a step.

    Raises:
        ValueError: it is none.
    """
    if kind == "link":
        return "link"
    if kind == "storage":
        return "storage"
    raise ValueError("a mark of neither a link nor a storage")


def uncertain(mark: Mark, why: str | None) -> str:
    """The error of a step whose outcome is unknown; `why`: what is known about that."""
    if why and why.startswith(UNKNOWN_OUTCOME):
        return why
    text = (
        f"{UNKNOWN_OUTCOME}{mark.step} may have happened: it is not repeated by itself; replay "
        "with uncertain=repeat to repeat it, uncertain=skip to go on after it. It began at "
        f"{mark.at}, then: {storable_text(why or LOST, LONGEST // 2)}"
    )
    return storable_text(text, LONGEST)


def began(mark: Mark) -> str:
    """What a version that ignores marks appends to the error of its dead letter."""
    return f"{mark.step} had begun at {mark.at}, and may have happened"
