"""What of a vCon a trial compares: tags, analyses, attachments, dialogs, and the other members.

An entry is compared by its whole content, and shown by a label without its body.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import orjson

from core.observability.redaction import KNOWN

type Document = dict[str, Any]
type Part = Literal["tags", "analysis", "attachments", "dialog"]
type Entries = list[tuple[str, str]]
"""Label and digest of each entry."""

PARTS: Final[tuple[Part, ...]] = ("tags", "analysis", "attachments", "dialog")
MOST_ENTRIES = 2000
"""Entries of one part that are compared."""
LONGEST_LABEL = 120
_TAGS = "tags"
_NOT_COMPARED = {"uuid", "vcon", "updated_at", *PARTS}
"""Members that are not compared as a whole."""


def view(document: Document) -> dict[str, Entries]:
    """The parts of a vCon, and under `members` what else it has."""
    parts: dict[str, Entries] = {
        part: [_shown(part, item) for item in _items(document, part)][:MOST_ENTRIES]
        for part in PARTS
    }
    others = [(_cut(name), value) for name, value in document.items() if name not in _NOT_COMPARED]
    parts["members"] = [(name, _digest(value)) for name, value in others][:MOST_ENTRIES]
    return parts


def without(document: Document, part: Part) -> Document:
    """A copy without a part; entries of other parts are shared."""
    return _with(document, part, [])


def made(before: Document, after: Document, part: Part) -> list[Any]:
    """The items of a part that `after` has more than `before`."""
    had = Counter(map(_digest, _items(before, part)))
    found = []
    for item in _items(after, part):
        if had[_digest(item)]:
            had[_digest(item)] -= 1
        else:
            found.append(item)
    return found


def less(document: Document, part: Part, items: Sequence[Any]) -> Document:
    """A copy without these items, each once; the last ones that equal them are left out."""
    leaving = Counter(map(_digest, items))
    kept = []
    for item in reversed(_items(document, part)):
        if leaving[_digest(item)]:
            leaving[_digest(item)] -= 1
        else:
            kept.append(item)
    return _with(document, part, kept[::-1])


def _items(document: Document, part: Part) -> list[Any]:
    entries = document.get(_member(part))
    entries = entries if isinstance(entries, list) else []
    if part == _TAGS:
        return [tag for each in entries for tag in _tags_in(each)]
    return [each for each in entries if part != "attachments" or not _holds_tags(each)]


def _with(document: Document, part: Part, items: list[Any]) -> Document:
    """A copy whose part has these items; tags stay in the attachments that have them."""
    if not _items(document, part):
        return dict(document)
    entries = document[_member(part)]
    if part == _TAGS:
        left = Counter(map(_digest, items))
        changed = [each for entry in entries if (each := _with_tags(entry, left)) is not None]
    elif part == "attachments":
        changed = [*filter(_holds_tags, entries), *items]
    else:
        changed = items
    return {**document, _member(part): changed}


def _member(part: Part) -> str:
    return "attachments" if part == _TAGS else part


def _holds_tags(entry: object) -> bool:
    return isinstance(entry, Mapping) and _TAGS in (entry.get("purpose"), entry.get("type"))


def _tags_in(entry: object) -> Iterator[Any]:
    if not _holds_tags(entry):
        return
    body = _body(entry)
    if isinstance(body, Mapping):
        yield from (f"{name}:{value}" for name, value in body.items())
    elif isinstance(body, list):
        yield from body


def _body(entry: Any) -> Any:
    body = entry.get("body")
    try:
        return orjson.loads(body) if isinstance(body, str) else body
    except orjson.JSONDecodeError:
        return None


def _with_tags(entry: Any, left: Counter[str]) -> Any:
    """The entry with those of its tags that are left; None if it had only others."""
    had = list(_tags_in(entry))
    if not had:
        return entry
    kept = []
    for tag in had:
        if left[_digest(tag)]:
            left[_digest(tag)] -= 1
            kept.append(tag)
    if len(kept) == len(had):
        return entry
    return {**entry, "body": orjson.dumps(kept).decode(), "encoding": "json"} if kept else None


def _shown(part: Part, item: object) -> tuple[str, str]:
    if part == _TAGS:
        return _cut(item if isinstance(item, str) else repr(item)), _digest(item)
    if not isinstance(item, Mapping):
        return f"an entry that is no object ({type(item).__name__})", _digest(item)
    names = ("purpose", "type") if part == "attachments" else ("type", "purpose")
    label = next((str(item[name]) for name in names if item.get(name)), "without a type")
    details = [f"{name} {item[name]}" for name in ("dialog", "vendor", "party") if name in item]
    return _cut(f"{label} ({', '.join(details)})" if details else label), _digest(item)


def _cut(text: object) -> str:
    """A label without known secrets: a tag may be filled from the environment."""
    shown = KNOWN.text(str(text)[: 10 * LONGEST_LABEL])
    return shown if len(shown) <= LONGEST_LABEL else f"{shown[: LONGEST_LABEL - 1]}…"


def _digest(value: object) -> str:
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # numbers or surrogates that orjson refuses
        text = json.dumps(value, sort_keys=True, default=str).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def differences(
    before: Mapping[str, Iterable[Sequence[str]]], after: Mapping[str, Iterable[Sequence[str]]]
) -> list[tuple[str, str, str]]:
    """Part, `added`, `removed` or `changed`, and label, of each entry that differs.

    An entry that is gone and one with its label that is new are one that has changed.
    """
    found = []
    for part in (*PARTS, "members"):
        had = Counter((each[0], each[1]) for each in before.get(part, ()))
        has = Counter((each[0], each[1]) for each in after.get(part, ()))
        gone = [label for label, _ in (had - has).elements()]
        new = [label for label, _ in (has - had).elements()]
        both = Counter(gone) & Counter(new)
        found += [(part, "changed", label) for label in both.elements()]
        found += [(part, "removed", label) for label in (Counter(gone) - both).elements()]
        found += [(part, "added", label) for label in (Counter(new) - both).elements()]
    return found
