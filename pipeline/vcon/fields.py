"""The names of vCon members that have changed, and renaming them without losing a value.

An older name becomes today's only where that place is free, that is, absent or null. Where both
stand, both stay: which of two different values counts is for the reader to say.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from operator import is_not
from typing import Any

from schemas.vcon import Document, Entry, Finding

# Checks that every value inside a vCon can be stored in Redis and Postgres unchanged.
#
# The drafts allow any JSON; the stores do not. Postgres text and JSONB hold no NUL character,
# UTF-8 no lone surrogate, JSON no NaN, and RedisJSON rounds integers beyond 64 bits. Nearly every
# vCon is fine, so the walk comes twice: `storable` says quickly whether anything is wrong, level
# by level and without paths; only then does `value_findings` look for what and where. Neither
# recurses.

MAX_DEPTH = 64
"""Nested objects and lists, the vCon itself being the first."""

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_NO_NUMBER = "not a finite number, or an integer of more than 64 bits"
_STRUCTURES = (dict, list)
_NUMBERS = (int, float)
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"

type _Level = list[dict[str, Any] | list[Any]]
type _Pair = tuple[Any, Any]
type _Step = tuple[str, Any, str]


def storable(document: Any) -> bool:
    """True if every value can be stored; False may be wrong, and `value_findings` decides."""
    texts: list[str] = []
    level: _Level = [document]
    for _ in range(MAX_DEPTH):
        below = _next_level(_values(level, texts), texts)
        if not below:
            return below is not None and _keepable(texts)
        level = below
    return False


def holds_storable(text: bytes) -> bool:
    """True if every value in JSON that orjson has parsed can be stored; False may be wrong.

    The parser refuses numbers that are not finite and characters that are no valid Unicode. It
    leaves the depth, of which as many brackets are a bound, and NUL characters. Integers that it
    rounds are found by `may_be_rounded`. Much faster than `storable`, for a small text.
    """
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        return False
    return b"\0" not in text and (b"\\" not in text or b"\\u0000" not in text)


def _next_level(values: list[Any], texts: list[str]) -> _Level | None:
    """The containers among the values; the texts go to `texts`; None: something cannot be kept."""
    level: _Level = []
    for value in values:
        kind = type(value)
        if kind is str:
            texts.append(value)
        elif kind is dict or kind is list:
            level.append(value)
        elif value is not None and kind is not bool and not _holds(value):
            return None
    return level


def _values(level: _Level, texts: list[str]) -> list[Any]:
    """Everything one level down; the names go to `texts`."""
    values: list[Any] = []
    for container in level:
        if isinstance(container, dict):
            texts += container
            values += container.values()
        else:
            values += container
    return values


def _keepable(texts: list[str]) -> bool:
    try:
        joined = "".join(texts)
        return "\0" not in joined and (joined.isascii() or bool(joined.encode()))
    except (TypeError, UnicodeEncodeError):  # a name that is no text; a lone surrogate
        return False


def _holds(number: object) -> bool:
    if isinstance(number, int):
        return _SMALLEST <= number <= _LARGEST
    return isinstance(number, float) and isfinite(number)


def value_findings(document: Any) -> Iterator[Finding]:
    """One error for every value and name that cannot be kept, in the order of the document."""
    trail = [("", _steps(document))]
    while trail:
        step = next(trail[-1][1], None)
        if step is None:
            trail.pop()
            continue
        part, value, fault = step
        if isinstance(value, _STRUCTURES) and len(trail) < MAX_DEPTH:
            trail.append((part, _steps(value)))
        else:
            yield Finding("error", _path(trail, part), fault or _TOO_DEEP)


def _steps(container: dict[Any, Any] | list[Any]) -> Iterator[_Step]:
    """What is faulty or a container itself: its part of the path, itself, the fault."""
    named = isinstance(container, dict)
    pairs: Iterable[_Pair] = (
        container.items() if isinstance(container, dict) else enumerate(container)
    )
    for name, value in pairs:
        if named and (fault := _name_fault(name)):
            yield _part(name), None, fault
        if (fault := _fault(value)) or isinstance(value, _STRUCTURES):
            yield _part(name) if named else f"[{name}]", value, fault


def _path(trail: list[tuple[str, Iterator[_Step]]], last: str) -> str:
    return "".join([*(part for part, _ in trail), last]).removeprefix(".")


def _part(name: object) -> str:
    if isinstance(name, str) and _PLAIN_NAME.fullmatch(name):
        return f".{name}"
    return f"[{name[:40] if isinstance(name, str) else type(name).__name__!a}]"


def _name_fault(name: object) -> str:
    if not isinstance(name, str):
        return "the name of a field must be a text"
    fault = _text_fault(name)
    return fault and f"the name of this field {fault}"


def _text_fault(text: str) -> str:
    if "\0" in text:
        return "holds a NUL character, which cannot be stored"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which is no valid Unicode"
    return ""


def _fault(value: object) -> str:
    if isinstance(value, str):
        return _text_fault(value)
    if isinstance(value, _NUMBERS):
        return "" if _holds(value) else _NO_NUMBER
    known = value is None or isinstance(value, _STRUCTURES)
    return "" if known else f"a {type(value).__name__} is no JSON value"


# A vCon's `created_at`, in every form the vCon world writes it.

_LEAP_SECOND = re.compile(r"([T ][0-9]{2}:?[0-5][0-9]:?)60(?![0-9])")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # the years 1 to 9999
_MILLISECONDS_FROM = 20_000_000_000  # as seconds this would be the year 2603


def epoch_seconds(value: object) -> float | None:
    """A point in time as seconds since 1970, or None when it cannot be read as one.

    Takes ISO 8601 (no offset means UTC) and seconds or milliseconds since 1970, as number or text.
    A moment that is outside the years 1 to 9999 in UTC only because of its offset becomes the
    nearest one inside, since neither Python nor most databases can hold it.
    """
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _from_number(value)


def is_time(value: object) -> bool:
    """Whether `epoch_seconds` can read it; faster, since nothing is converted."""
    if not isinstance(value, str):
        return epoch_seconds(value) is not None
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return _from_odd_text(value.strip()) is not None
    return True


def _from_number(value: float) -> float | None:
    if _MILLISECONDS_FROM < abs(value) <= _LAST * 1000:
        value = value / 1000
    return float(value) if _FIRST <= value <= _LAST else None


def _from_text(text: str) -> float | None:
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        return _from_odd_text(text.strip())


def _from_odd_text(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return _from_number(float(text))
    # vcon-server's own constructor writes the offset twice: "...00.769118+00+00:00".
    text = text.upper().replace("+00+00:00", "+00:00")
    # RFC 3339 has 23:59:60; seconds since 1970 count it as the one that follows.
    text, leaps = _LEAP_SECOND.subn(r"\g<1>59", text)
    try:
        return _utc(datetime.fromisoformat(text)) + leaps
    except ValueError:
        return None


def _utc(moment: datetime) -> float:
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return min(max(seconds, float(_FIRST)), float(_LAST))


type Names = Mapping[str, str]
"""Older name to today's."""

TOP: Names = {"appended": "amended", "must_support": "critical"}
_ENTRY = {"schema_version": "schema", "mimetype": "mediatype", "must_support": "critical"}
ENTRIES: Mapping[str, Names] = {
    "parties": {},
    "dialog": _ENTRY,
    "analysis": _ENTRY,
    "attachments": {**_ENTRY, "type": "purpose"},
}
"""By the list that the entry is in."""


def with_todays_names(entry: Entry, names: Names) -> Entry:
    """The same object where it has no older name; else a copy in which today's are."""
    if names.keys().isdisjoint(entry):
        return entry
    taken = {old for old, new in names.items() if old in entry and entry.get(new) is None}
    if not taken:
        return entry
    renamed = {name: value for name, value in entry.items() if name not in taken}
    return {**renamed, **{names[old]: entry[old] for old in names if old in taken}}


def with_older_names(entry: Entry, names: Names) -> Entry:
    """The way back: today's name stays only where the older one has a value of its own."""
    older = {new: old for old, new in names.items()}
    return with_todays_names(entry, older)


def unequal(entry: Entry, names: Names) -> Iterator[tuple[str, str]]:
    """Pairs of older and today's name that both stand in an entry and say different things."""
    if names.keys().isdisjoint(entry):
        return
    for old, new in names.items():
        told, today = entry.get(old), entry.get(new)
        if told is not None and today is not None and told != today:
            yield old, new


def each_entry(
    document: Document, change: Callable[[Entry, str], Entry], lists: Iterable[str] = ENTRIES
) -> Document:
    """The document with every object of these lists changed; what is no such object stays.

    Lists in which nothing has changed, and a document without any other, are the same objects.
    """
    changed: Document = {}
    for name in lists:
        entries = document.get(name)
        if not isinstance(entries, list):
            continue
        new = [change(each, name) if isinstance(each, dict) else each for each in entries]
        if any(map(is_not, new, entries)):
            changed[name] = new
    return {**document, **changed} if changed else document
