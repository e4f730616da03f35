"""The canonical form of a vCon, the forms of egress, and the search terms.

Redis and storages have every vCon as 0.4.0 with JSON bodies as text. Older member names are renamed
when it comes in; unknown members stay. No function here changes its argument. A result shares the
parts that are unchanged, so code that edits one document in place edits both.
"""

import copy
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from pipeline.vcon.fields import ENTRIES, TOP, each_entry, epoch_seconds, storable, with_older_names
from pipeline.vcon.fields import with_todays_names as _renamed
from schemas.uuids import canonical_uuid
from schemas.vcon import (
    CANONICAL_VERSION,
    CONTAINERS,
    RECEIVED,
    TEXT_FORM,
    TOLD_BY_UUID,
    Document,
    Entry,
)

# The body of an analysis or attachment with `encoding: json`: as JSON text, and as the value.
#
# Inside, such a body is text. Readers since core-04 take the value itself. A text is opened for
# them only if closing the value again gives the same JSON, with any store or reader between:
# numbers that a double holds exactly, no name twice in one object, nothing that Postgres or UTF-8
# cannot hold. A JSON string and `null` are never opened: as values they could not be told from
# JSON text and from a body that is absent.

_VALUES = (dict, list, bool, int, float)
_OPEN = (None, "", "none", "json")
"""The encodings that a value may come with; another one says that it is something else."""

_EXACT = 2**53 - 1
"""The largest integer that every reader of JSON holds (RFC 7493)."""


def with_text_body(entry: Entry) -> Entry:
    """The entry with its body as JSON text, if that is a value; the same object if it is not."""
    body = entry.get("body")
    if not isinstance(body, _VALUES) or entry.get("encoding") not in _OPEN:
        return entry
    return {**entry, "body": orjson.dumps(body).decode(), "encoding": "json"}


def with_sorted_body(entry: Entry) -> Entry:
    """The entry with the members of its JSON body in order, if the text was made of a value."""
    body = entry.get("body")
    if entry.get("encoding") != "json" or not isinstance(body, str):
        return entry
    try:
        value = orjson.loads(body)
        if orjson.dumps(value).decode() != body:  # such as an integer that was rounded
            return entry
        return {**entry, "body": orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()}
    except (ValueError, TypeError):  # no JSON, or nested too deeply to be written
        return entry


def with_open_body(entry: Entry, encoding: str) -> Entry:
    """The entry with its body as the value, under this encoding; the same where text must stay."""
    body = entry.get("body")
    if entry.get("encoding") != "json" or not isinstance(body, str):
        return entry
    try:
        return {**entry, "body": _value(body), "encoding": encoding}
    except (ValueError, RecursionError):
        return entry


def _value(text: str) -> Any:
    """What the text says.

    Raises:
        ValueError: it is no JSON, or closing the value would not give the same.
    """
    value = orjson.loads(text)
    if isinstance(value, dict | list):
        if not storable([[[value]]]):  # as deep as it will lie in the vCon
            raise ValueError("cannot be kept as a value")
        json.loads(text, parse_int=_integer, parse_float=_decimal, object_pairs_hook=_object)
    elif not isinstance(value, _VALUES) or orjson.dumps(value).decode() != text:
        raise ValueError("would be another text")
    elif not isinstance(value, bool):
        _number(text)
    return value


def _number(text: str) -> None:
    _decimal(text) if "." in text or "e" in text else _integer(text)


def _integer(text: str) -> None:
    if text == "-0" or abs(int(text)) > _EXACT:
        raise ValueError("an integer that not every reader holds")


def _decimal(text: str) -> None:
    number = float(text)
    exact = Decimal(text) == Decimal(repr(number)) and abs(number) <= _EXACT
    if not exact or (number == 0 and text.startswith("-")):
        raise ValueError("a number that not every reader holds")


def _object(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name twice in one object")


LEGACY_VERSIONS = frozenset({"0.0.1"})
"""The versions `to_legacy` knows."""

_WITH_BODY = ("analysis", "attachments")
_RENAMED = tuple(name for name, names in ENTRIES.items() if names)
_OLDER = {name: frozenset(ENTRIES[name]) for name in _RENAMED}
_PLACEHOLDERS: dict[str, list[object]] = {
    "group": [None, []],
    "redacted": [None, {}],
    "appended": [None],
    "amended": [None],
}
"""What 0.0.1 writes for "none of these": 0.4.0 leaves the field out."""

_MANY = 1000
"""Entries of a vCon that are gone through on the event loop."""
_LONG = 100_000
"""Characters of a body that may be parsed there."""

_EARLIEST, _FARTHEST = 946_684_800_000, 253_402_300_799_000
"""Milliseconds: the years from 2000 to 9999."""
_AHEAD = timedelta(days=1)

_SEARCHED = ("tel", "mailto", "name")


def normalised(document: Document) -> Document:
    """The same vCon in the form of 0.4.0, for a document in which nothing was found wrong.

    Doing it again changes nothing. No member goes unless its value stands under its new name; where
    an old and a new name both have a value, both stay.
    """
    canonical = dict(readable(document))
    for field, placeholders in _PLACEHOLDERS.items():
        if field in canonical and canonical[field] in placeholders:
            del canonical[field]
    canonical["vcon"] = CANONICAL_VERSION
    if uuid := canonical_uuid(canonical.get("uuid")):
        canonical["uuid"] = uuid
    for name in CONTAINERS:
        if canonical.get(name) is None:
            canonical[name] = []
    return canonical


def readable(document: Document) -> Document:
    """The same vCon with today's names and JSON bodies as text; everything else stays as it is.

    For one that says it is in the form of 0.4.0 and was written by another program.
    """
    renamed = _renamed(document, TOP)
    return each_entry(renamed, _to_canonical, _RENAMED) if _may_change(renamed) else renamed


def _may_change(document: Document) -> bool:
    """False if surely no entry has an older name or a body that is a value.

    Most vCons that a link reads or writes are so, and it takes a tenth of the time to see that.
    """
    try:
        for name, older in _OLDER.items():
            entries = document.get(name)
            if not isinstance(entries, list):
                continue
            if not older.isdisjoint(set().union(*entries)):
                return True
            if name in _WITH_BODY and any(
                isinstance(each.get("body"), _VALUES) for each in entries
            ):
                return True
    except (TypeError, AttributeError):  # an entry is no object
        return True
    return False


def with_values(document: Document) -> Document:
    """A canonical vCon with JSON bodies as values, as core-04 has them."""
    return each_entry(document, _with_value, _WITH_BODY)


def sorted_text(document: Document) -> bytes:
    """A canonical vCon as JSON with the members of each object in order, also in JSON bodies."""
    ordered = each_entry(document, _with_sorted_body, _WITH_BODY)
    return orjson.dumps(ordered, option=orjson.OPT_SORT_KEYS)


def to_legacy(document: Document, version: str) -> Document:
    """A canonical vCon as an old version would have it: a copy that shares nothing.

    Raises:
        ValueError: the version is not one of `LEGACY_VERSIONS`.
    """
    if version not in LEGACY_VERSIONS:
        raise ValueError(
            f"no way back to vCon {version}, only to {', '.join(sorted(LEGACY_VERSIONS))}"
        )
    legacy = with_older_names(each_entry(copy.deepcopy(document), _to_legacy), TOP)
    return {"group": [], "redacted": {}, "appended": None, **legacy, "vcon": version}


def outgoing(document: Document, form: str) -> Document:
    """A vCon in the form in which it shall leave, one of those of EGRESS_FORMAT_VERSION.

    Raises:
        ValueError: there is no such form.
    """
    canonical = normalised(document)
    if form == TEXT_FORM:
        return canonical
    return with_values(canonical) if form == CANONICAL_VERSION else to_legacy(canonical, form)


def takes_long(document: Document) -> bool:
    """Whether giving a vCon another form would hold the event loop."""
    lists = [each for name in CONTAINERS if isinstance(each := document.get(name), list)]
    return sum(map(len, lists)) > _MANY or any(_is_long(entry) for each in lists for entry in each)


def _is_long(entry: object) -> bool:
    body = entry.get("body") if isinstance(entry, dict) else None
    return isinstance(body, dict | list) or (isinstance(body, str) and len(body) > _LONG)


def search_keys(document: Document) -> list[str]:
    """`tel:...`, `mailto:...` and `name:...` of every party, each once, values as they stand."""
    listed = document.get("parties")
    parties = (
        [party for party in listed if isinstance(party, dict)] if isinstance(listed, list) else []
    )
    found = [(field, party.get(field)) for party in parties for field in _SEARCHED]
    return list(dict.fromkeys(f"{field}:{value}" for field, value in found if _is_text(value)))


def created_at_epoch(document: Document) -> float | None:
    """When the vCon was made, in seconds since 1970; None only if that was found to be wrong."""
    return epoch_seconds(document.get("created_at"))


def dated(document: Document, now: datetime) -> Document:
    """The vCon; without `created_at` it gets the time in its uuid, or that of receipt, marked so.

    The first 48 bits of a uuid of version 7 or 8 are milliseconds since 1970, if they are a time
    that can be: not before 2000, and not a day or more ahead.
    """
    if document.get("created_at") is not None:
        return document
    uuid = document["uuid"]
    if uuid[14] in "78" and (ms := int(uuid[:8] + uuid[9:13], 16)) >= _EARLIEST:
        told = datetime.fromtimestamp(ms / 1000, UTC) if ms < _FARTHEST else now + _AHEAD
        if told < now + _AHEAD:
            return {**document, "created_at": told.isoformat(), **TOLD_BY_UUID}
    return {**document, "created_at": now.isoformat(), **RECEIVED}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _to_canonical(entry: Entry, name: str) -> Entry:
    renamed = _renamed(entry, ENTRIES[name])
    return with_text_body(renamed) if name in _WITH_BODY else renamed


def _with_value(entry: Entry, _: str) -> Entry:
    return with_open_body(entry, "json")


def _with_sorted_body(entry: Entry, _: str) -> Entry:
    return with_sorted_body(entry)


def _to_legacy(entry: Entry, name: str) -> Entry:
    renamed = with_older_names(entry, ENTRIES[name])
    return with_open_body(renamed, "none") if name in _WITH_BODY else renamed
