"""A vCon in its canonical form, back in an old one, and the keys it is found by.

Inside, every vCon is a 0.4.0 one. Older names become today's when it comes in, and nothing else is
touched: what is not known stays. Nothing here changes the document it is given; what comes back
shares every part that did not have to change: whoever edits one in place edits both.
"""

import copy
from collections.abc import Callable, Mapping
from functools import partial

import orjson

from pipeline.document_fields import epoch_seconds
from schemas.uuids import canonical_uuid
from schemas.vcon import CANONICAL_VERSION, CONTAINERS, Document, Entry

LEGACY_VERSIONS = frozenset({"0.0.1"})
"""The versions `to_legacy` knows."""

_TOP = {"appended": "amended", "must_support": "critical"}
_ENTRY = {"schema_version": "schema", "mimetype": "mediatype", "must_support": "critical"}
_ATTACHMENT = {**_ENTRY, "type": "purpose"}
_NAMES = {"dialog": _ENTRY, "analysis": _ENTRY, "attachments": _ATTACHMENT}
_PLACEHOLDERS: dict[str, list[object]] = {
    "group": [None, []],
    "redacted": [None, {}],
    "amended": [None],
}
"""What 0.0.1 writes for "none of these": 0.4.0 leaves the field out."""

_SEARCHED = ("tel", "mailto", "name")
_STRUCTURES = (dict, list)


def normalised(document: Document) -> Document:
    """The same vCon in the form of 0.4.0, for a document in which nothing was found wrong.

    Doing it again changes nothing. Of an old and a new name for the same thing, the new one wins
    unless it is null.
    """
    canonical = dict(_renamed(document, _TOP))
    for field, placeholders in _PLACEHOLDERS.items():
        if field in canonical and canonical[field] in placeholders:
            del canonical[field]
    canonical["vcon"] = CANONICAL_VERSION
    if uuid := canonical_uuid(canonical.get("uuid")):
        canonical["uuid"] = uuid
    for name in CONTAINERS:
        canonical[name] = _each(canonical.get(name), _TO_CANONICAL[name])
    return canonical


def with_todays_names(document: Document) -> Document:
    """The same vCon with no old name in it; bodies and everything else stay as they are.

    For one that says it is in the form of 0.4.0 and was written by somebody else.
    """
    renamed = _renamed(document, _TOP)
    changed = {
        name: [_renamed(entry, names) if isinstance(entry, dict) else entry for entry in entries]
        for name, names in _NAMES.items()
        if isinstance(entries := document.get(name), list) and _any_old(entries, names)
    }
    return {**renamed, **changed} if changed else renamed


def to_legacy(document: Document, version: str) -> Document:
    """A canonical vCon as an old version would have it: a copy that shares nothing.

    Raises:
        ValueError: the version is not one of `LEGACY_VERSIONS`.
    """
    if version not in LEGACY_VERSIONS:
        raise ValueError(
            f"no way back to vCon {version}, only to {', '.join(sorted(LEGACY_VERSIONS))}"
        )
    legacy = dict(_renamed(copy.deepcopy(document), _inverted(_TOP)))
    for name in CONTAINERS:
        if name in legacy:
            legacy[name] = _each(legacy[name], _TO_LEGACY[name])
    return {"group": [], "redacted": {}, "appended": None, **legacy, "vcon": version}


def outgoing(document: Document, version: str) -> Document:
    """A vCon in the form in which it shall leave: as it is for 0.4.0, else as `to_legacy` has it.

    Raises:
        ValueError: there is no way to this version.
    """
    if version == CANONICAL_VERSION:
        return document
    return to_legacy(normalised(document), version)


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


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _each(entries: object, change: Callable[[Entry], Entry]) -> object:
    """Every object in a list changed; no list at all is an empty one, anything else stays."""
    if entries is None:
        return []
    if not isinstance(entries, list):
        return entries
    return [change(entry) if isinstance(entry, dict) else entry for entry in entries]


def _any_old(entries: list[object], names: Mapping[str, str]) -> bool:
    return any(isinstance(each, dict) and not names.keys().isdisjoint(each) for each in entries)


def _renamed(entry: Entry, names: Mapping[str, str]) -> Entry:
    if names.keys().isdisjoint(entry):
        return entry
    renamed = {name: value for name, value in entry.items() if name not in names}
    for old, new in names.items():
        if old in entry and renamed.get(new) is None:
            renamed[new] = entry[old]
    return renamed


def _inverted(names: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}


def _with_text_body(entry: Entry, names: Mapping[str, str]) -> Entry:
    """Renamed, and a body that is an object or a list as JSON text."""
    renamed = _renamed(entry, names)
    body = renamed.get("body")
    if not isinstance(body, _STRUCTURES):
        return renamed
    return {**renamed, "body": orjson.dumps(body).decode(), "encoding": "json"}


def _with_open_body(entry: Entry, names: Mapping[str, str]) -> Entry:
    """Renamed, and a body that is JSON text as what the text says."""
    renamed = _renamed(entry, names)
    if renamed.get("encoding") != "json" or not isinstance(renamed.get("body"), str):
        return renamed
    try:
        return {**renamed, "body": orjson.loads(renamed["body"]), "encoding": "none"}
    except orjson.JSONDecodeError:
        return renamed


type _Change = Callable[[Entry], Entry]

_TO_CANONICAL: dict[str, _Change] = {
    "parties": partial(_renamed, names={}),
    "dialog": partial(_renamed, names=_ENTRY),
    "analysis": partial(_with_text_body, names=_ENTRY),
    "attachments": partial(_with_text_body, names=_ATTACHMENT),
}
_TO_LEGACY: dict[str, _Change] = {
    "parties": partial(_renamed, names={}),
    "dialog": partial(_renamed, names=_inverted(_ENTRY)),
    "analysis": partial(_with_open_body, names=_inverted(_ENTRY)),
    "attachments": partial(_with_open_body, names=_inverted(_ATTACHMENT)),
}
