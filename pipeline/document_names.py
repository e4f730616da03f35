"""The names of vCon members that have changed, and renaming them without losing a value.

An older name becomes today's only where that place is free, that is, absent or null. Where both
stand, both stay: which of two different values counts is for the reader to say.
"""

from collections.abc import Callable, Iterator, Mapping

from schemas.vcon import Document, Entry

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
