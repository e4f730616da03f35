"""The result of a rule."""

from dataclasses import dataclass
from typing import Any, Literal

type Outcome = Literal["pass", "fail", "not applicable", "not tried"]

MOST_TEXT = 400
"""Characters of what was seen."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`where`: the line of the plugin to change, as `file:line`; "" if nothing is to change."""

    outcome: Outcome
    seen: str
    where: str = ""

    def as_json(self) -> dict[str, Any]:
        """Its fields, the outcome as `verdict`."""
        return {"verdict": self.outcome, "seen": self.seen, "where": self.where}


def passed(seen: str) -> Verdict:
    """The plugin keeps the rule."""
    return Verdict("pass", _short(seen))


def failed(seen: str, where: str = "") -> Verdict:
    """The plugin breaks the rule."""
    return Verdict("fail", _short(seen), where)


def not_applicable(reason: str) -> Verdict:
    """The rule says nothing about this plugin."""
    return Verdict("not applicable", _short(reason))


def not_tried(reason: str) -> Verdict:
    """It is not known whether the plugin keeps the rule."""
    return Verdict("not tried", _short(reason))


def _short(text: str) -> str:
    plain = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    return plain if len(plain) <= MOST_TEXT else f"{plain[: MOST_TEXT - 3]}..."
