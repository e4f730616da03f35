"""Withholding: a run ends for now, because the law of its vCon does not allow the next step.

`pipeline/worker/admission.py` raises `Withheld` before the step gets the vCon. The run is settled
as `withheld`: the vCon goes to `keys.withheld(list)`, a list that is kept like a dead-letter list,
with the error and the purpose as its reason. `pipeline/withheld/` lists such vCons and releases
them: a new run goes on at that step, where the law is evaluated again.
"""

from dataclasses import dataclass
from typing import Any, Literal

from core.errors import ConflictError

type GatedKind = Literal["link", "storage", "tracer", "egress", "hook"]
"""What gets a vCon only if the law allows it."""


def refusal_text(error: str, place: str, purpose: str) -> str:
    """What is told of a refused purpose; it holds no value of the vCon."""
    return f"{error}: purpose {purpose}" + (f", decided by {place}" if place else "")


class Withheld(ConflictError):  # noqa: N818 -- control flow, not an error
    """The law does not allow a step; the text begins with the draft's name of the error."""

    def __init__(self, error: str, place: str, purpose: str) -> None:
        """`error`: a name of the lawful-basis draft. `place`: where in the vCon the reason is."""
        super().__init__(refusal_text(error, place, purpose))
        self.error = error
        self.place = place
        self.purpose = purpose
        self.kind: GatedKind = "link"
        self.name = ""

    def of(self, kind: GatedKind, name: str) -> "Withheld":
        """The same, for this step."""
        self.kind, self.name = kind, name
        return self

    def told(self) -> dict[str, str]:
        """The members of the reason, beside those of dead letters."""
        return {"law": self.error, "place": self.place, "purpose": self.purpose}


@dataclass(frozen=True, slots=True)
class Untraced:
    """A link that is done, but not all of its tracers were called: the first one that was not."""

    index: int
    vcon_in: str
    tracer: str

    @classmethod
    def told_in(cls, checkpoint: dict[str, Any]) -> "Untraced | None":
        """That of a checkpoint.

        Raises:
            TypeError, KeyError, ValueError: it cannot be read.
        """
        if not (told := checkpoint.get("untraced")):
            return None
        return cls(int(told["index"]), str(told["vcon_in"]), str(told["tracer"]))
