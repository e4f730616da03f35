"""The names of vCon members that have changed, and renaming them without losing a value.

An older name becomes today's only where that place is free, that is, absent or null. Where both
stand, both stay: which of two different values counts is for the reader to say.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from schemas.vcon import Document, Entry

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


def each_entry(document: Document, change: Callable[[Entry, str], Entry]) -> Document:
    """The document with every object of its four lists changed; what is no such object stays.

    Lists in which nothing has changed, and a document without any other, are the same objects.
    """
    changed: Document = {}
    for name in ENTRIES:
        entries = document.get(name)
        if not isinstance(entries, list):
            continue
        new = [change(each, name) if isinstance(each, dict) else each for each in entries]
        if any(one is not other for one, other in zip(new, entries, strict=True)):
            changed[name] = new
    return {**document, **changed} if changed else document
