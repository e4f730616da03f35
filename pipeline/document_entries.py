"""What can be wrong inside one party, dialog, analysis or attachment."""

from collections.abc import Callable, Iterator
from typing import Any

from pipeline.document_fields import epoch_seconds
from schemas.vcon import Entry, Severity

type Problem = tuple[Severity, str, str]
"""Severity, path inside the entry, message."""

type Counts = dict[str, int]
"""How many entries each list of the vCon has; one that is something else is left out."""

_SEARCHED = ("tel", "mailto", "name")
_ROLES = ("originator", "transferor", "transferee", "transfer_target")
_ENCODINGS = ("json", "none", "base64url", None)
_ENCODING: Problem = ("warning", "encoding", "expected json, none or base64url")
_NOUNS = {"parties": ("party", "parties"), "dialog": ("dialog", "dialogs")}
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}


def kind(value: object) -> str:
    """What JSON calls a value: "an object", "a number", ..."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "a number" if number else _KINDS.get(type(value), f"a {type(value).__name__}")


def _party(party: Entry, _: Counts) -> Iterator[Problem]:
    for field in _SEARCHED:
        value = party.get(field)
        if value is not None and not isinstance(value, str):
            yield "warning", field, f"expected a text, got {kind(value)}"


def _dialog(dialog: Entry, counts: Counts) -> Iterator[Problem]:
    if dialog.get("encoding") not in _ENCODINGS:
        yield _ENCODING
    if not _all_indexes(dialog.get("parties"), counts.get("parties")):
        yield from _indexes("error", "parties", dialog["parties"], "parties", counts)
    for role in [role for role in _ROLES if role in dialog]:
        yield from _indexes("warning", role, dialog[role], "parties", counts)
    start, duration = dialog.get("start"), dialog.get("duration")
    if start is not None and epoch_seconds(start) is None:
        yield "warning", "start", "not a date and time"
    if duration is not None:
        yield from _duration(duration)


def _duration(seconds: object) -> Iterator[Problem]:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        yield "warning", "duration", f"expected a number of seconds, got {kind(seconds)}"
    elif seconds < 0:
        yield "error", "duration", "a duration cannot be negative"


def _analysis(analysis: Entry, counts: Counts) -> Iterator[Problem]:
    if analysis.get("encoding") not in _ENCODINGS:
        yield _ENCODING
    if not _all_indexes(analysis.get("dialog"), counts.get("dialog")):
        yield from _indexes("warning", "dialog", analysis["dialog"], "dialog", counts)


def _attachment(attachment: Entry, _: Counts) -> Iterator[Problem]:
    if attachment.get("encoding") not in _ENCODINGS:
        yield _ENCODING


def _all_indexes(value: object, count: int | None) -> bool:
    """Whether it is certainly right; the usual case, worth not starting a generator for."""
    if value is None:
        return True
    if count is None or type(value) is not list:
        return type(value) is int and count is not None and 0 <= value < count
    return all([type(index) is int and 0 <= index < count for index in value])  # noqa: C419 faster


def _indexes(
    severity: Severity, field: str, value: Any, of: str, counts: Counts
) -> Iterator[Problem]:
    """An index, or a list of them; in it null is a silent channel, a list one shared by several."""
    if not isinstance(value, list):
        yield from _index(severity, field, value, of, counts)
        return
    for place, item in enumerate(value):
        shared = item if isinstance(item, list) else [item]
        for index in shared:
            yield from _index(severity, f"{field}[{place}]", index, of, counts)


def _index(
    severity: Severity, field: str, value: object, of: str, counts: Counts
) -> Iterator[Problem]:
    if value is None:
        return
    singular, plural = _NOUNS[of]
    if isinstance(value, bool) or not isinstance(value, int):
        yield severity, field, f"expected the index of a {singular}, got {kind(value)}"
    elif of in counts and not 0 <= value < counts[of]:
        there = f"is 1 {singular}" if counts[of] == 1 else f"are {counts[of]} {plural}"
        index = value if abs(value) < 10**9 else "far too large"
        yield severity, field, f"index {index}, but there {there}"


CHECKS: dict[str, Callable[[Entry, Counts], Iterator[Problem]]] = {
    "parties": _party,
    "dialog": _dialog,
    "analysis": _analysis,
    "attachments": _attachment,
}
"""By the list that the entry is in."""
