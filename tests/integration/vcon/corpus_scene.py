"""Whether a vCon that came out is the one that went in, told member by member.

Written apart from the code that it judges: what may change is listed here, and nothing else may.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[3] / "samples"
LISTS = ("parties", "dialog", "analysis", "attachments")
ABSENT: Any = object()

_ENTRY = {"schema_version": "schema", "mimetype": "mediatype", "must_support": "critical"}
NAMES: dict[str, dict[str, str]] = {
    "": {"appended": "amended", "must_support": "critical"},
    "parties": {},
    "dialog": _ENTRY,
    "analysis": _ENTRY,
    "attachments": {**_ENTRY, "type": "purpose"},
}
PLACEHOLDERS = {"group": [], "redacted": {}, "appended": None, "subject": None}
"""What 0.0.1 writes for none of these."""


def corpus() -> dict[str, dict[str, Any]]:
    """Every sample, ours and those in the shapes of other makers, by its name."""
    files = [*SAMPLES.glob("*.json"), *SAMPLES.glob("makers/*.json")]
    return {file.stem: json.loads(file.read_bytes()) for file in sorted(files)}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The members that were lost, changed or made up, each with its place."""
    head = {name: value for name, value in before.items() if name not in (*LISTS, "vcon", "uuid")}
    found = [*_members(head, after, NAMES[""], "")]
    for name in LISTS:
        found += _lists(before.get(name) or [], after.get(name), name)
    made_up = set(after) - set(before) - {"vcon", "uuid", *LISTS, *NAMES[""].values()}
    return [*found, *(f"made up: {name}" for name in made_up - _allowed(before, after))]


def _allowed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """What may be added: placeholders of 0.0.1, older names of what is there, a told time."""
    placeholders = {name for name, none in PLACEHOLDERS.items() if after.get(name, ABSENT) == none}
    older = {old for old, new in NAMES[""].items() if new in before}
    untold = before.get("created_at") is None
    return placeholders | older | ({"created_at", "created_at_source"} if untold else set())


def _lists(before: list[Any], after: Any, name: str) -> Iterator[str]:
    if not isinstance(after, list) or len(after) != len(before):
        yield f"{name}: not as many"
        return
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        where = f"{name}[{place}]."
        yield from _members(one, other, NAMES[name], where)
        both = NAMES[name] | {new: old for old, new in NAMES[name].items()}
        names = {*one, *(both[each] for each in one if each in both), "encoding"}
        yield from (f"made up: {where}{each}" for each in set(other) - names)


def _members(
    one: dict[str, Any], other: dict[str, Any], names: Mapping[str, str], where: str
) -> Any:
    both = [*names.items(), *((new, old) for old, new in names.items())]
    for name, value in one.items():
        kept = [other.get(name, ABSENT)]
        kept += [other.get(new, ABSENT) for old, new in both if old == name]
        if name in ("body", "encoding") and where.startswith(("analysis", "attachments")):
            if _said(one) != _said(other):
                yield f"{where}{name}: {_said(one)} is {_said(other)}"
        elif value is None or (not where and PLACEHOLDERS.get(name, ABSENT) == value):
            continue
        elif not any(_same(value, each) for each in kept):
            yield f"{where}{name}: {value!r:.60} is {kept!r:.80}"


def _same(one: Any, other: Any) -> bool:
    """Equal in type, too: 1, 1.0 and true are three things."""
    return other is not ABSENT and _canonical(one) == _canonical(other)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _said(entry: dict[str, Any]) -> tuple[str, str]:
    """What the body of an analysis or attachment says, in whichever form it stands."""
    body, encoding = entry.get("body"), entry.get("encoding") or "none"
    if not isinstance(body, str):
        return ("nothing", "") if body is None else ("json", _canonical(body))
    if encoding == "json":
        try:
            return "json", _canonical(json.loads(body))
        except ValueError:
            return "json", body
    return encoding, body
