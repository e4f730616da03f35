"""How a replay goes on with a run of which a step may have happened. No I/O."""

from collections.abc import Mapping
from typing import Any

from core.observability.storable_text import LONGEST, storable_text
from schemas.dead_letter import DeadLetter, Uncertain
from schemas.run import MARKED, attempts_made

SKIPPED = "skipped by "
"""How the text of a step that a replay has gone past begins."""


def as_told(reason: Mapping[str, Any]) -> dict[str, Any]:
    """A dead letter's reason; in one of a version without marks, the attempts tell of a mark."""
    attempts = reason.get("attempts")
    if not isinstance(attempts, int) or attempts < MARKED:
        return dict(reason)
    return {**reason, "attempts": attempts_made(attempts), "uncertain": True}


def can_skip(letter: DeadLetter, failed: Mapping[str, Any] | None) -> bool:
    """Whether everything before the step that may have happened is known to be done."""
    mark = _mark_of(letter, failed or {})
    if mark is None or failed is None:
        return False
    links = [step for step in _done(failed) if step["kind"] == "link"]
    return bool(mark["kind"] == "storage" or mark["index"] == len(links))


def going_on(
    failed: Mapping[str, Any], letter: DeadLetter, uncertain: Uncertain | None, asked: str = ""
) -> dict[str, Any]:
    """What the run of a replay has of the failed one, with whose keys it goes on.

    Steps that may have happened, and are not those of this dead letter, keep their marks.
    A step that is skipped counts as done, also for earlier versions; `asked`: by whom and why.
    """
    found = {"vcon_out": failed["vcon_out"], "steps": _done(failed)}
    found["continues"] = failed.get("continues") or failed.get("run_id", "")
    if failed.get("untraced"):
        found["untraced"] = failed["untraced"]
    mark = _mark_of(letter, failed) if uncertain and letter.uncertain else None
    if mark is not None and uncertain == "skip":
        step = {"name": mark["name"], "kind": mark["kind"], "outcome": "ok", "seconds": 0}
        text = storable_text(SKIPPED + (asked or "a replay"), LONGEST)
        found["steps"].append({**step, "error": text, "effect": "once"})
    if others := [each for each in failed.get("begun") or () if each != mark]:
        found["begun"] = others
    return found


def _done(failed: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [step for step in failed["steps"] if step["outcome"] == "ok"]


def _mark_of(letter: DeadLetter, failed: Mapping[str, Any]) -> dict[str, Any] | None:
    wanted = letter.kind, letter.step
    marks: list[dict[str, Any]] = failed.get("begun") or []
    return next((each for each in marks if (each["kind"], each["name"]) == wanted), None)
