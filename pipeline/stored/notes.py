"""The notes of `pc:index`, and what a batch of them says about each vCon.

A note comes from a script (`scripts/parts/index_note.lua`) and holds members of documents that
other programs may have written: everything in it may be of any type.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from core.db.vcon_index import IndexChange
from pipeline.stored.term_keys import TermKeys
from pipeline.vcon.fields import epoch_seconds
from pipeline.vcon.party_terms import FIELDS, Field, party_terms, split
from schemas.uuids import canonical_uuid

log = logging.getLogger(__name__)

MOST_TERMS = 400
"""Terms of one vCon."""
LONGEST_VALUE = 2000
"""Characters of a number, address or name; longer ones are not indexed."""
_YEAR_ONE, _YEAR_9999 = -62_135_000_000, 253_402_000_000


def changes_of(notes: Iterable[str], keys: TermKeys, region: str) -> list[IndexChange]:
    """One change for each vCon. A note that cannot be read is left out, with a warning."""
    found: dict[str, IndexChange] = {}
    for text in notes:
        try:
            _add(found, text, keys, region)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            log.warning("note about a vCon cannot be read", extra={"error": type(error).__name__})
    return list(found.values())


def _add(found: dict[str, IndexChange], text: str, keys: TermKeys, region: str) -> None:
    told, ms, name, members = text.split("\n", 3)
    note, at = orjson.loads(told), datetime.fromtimestamp(int(ms) / 1000, UTC)
    vcon_uuid = canonical_uuid(name)
    if vcon_uuid is None:  # another program's element, which no table can hold
        return
    change = found.get(vcon_uuid) or IndexChange(vcon_uuid, at)
    change.at = max(change.at, at)
    if "removed" in note:
        _remove(change, _texts(note["removed"]))
    else:
        _store(change, note, members, keys, region)
    found[vcon_uuid] = change


def _remove(change: IndexChange, removed: Sequence[str]) -> None:
    change.storages = [each for each in change.storages if each not in removed]
    change.removed = _once([*change.removed, *removed])
    change.gone = True


def _store(
    change: IndexChange, note: Mapping[str, Any], members: str, keys: TermKeys, region: str
) -> None:
    storages = _texts(note["storages"])
    change.chains = _once([*change.chains, *_texts([note.get("chain")])])
    change.storages = _once([*change.storages, *storages])
    change.removed = [each for each in change.removed if each not in storages]
    change.gone = False
    created, values = _members(members)
    change.created_at = created or change.created_at
    terms = [keys.kept(*term) for term in party_terms(values, region)]
    change.terms = _once([*change.terms, *terms])[:MOST_TERMS]


def _members(text: str) -> tuple[datetime | None, list[tuple[Field, str]]]:
    """The time of creation, and the values by which the vCon is found."""
    members = _parsed(text)
    if isinstance(members, list):  # the search keys of a document that is gone
        terms = (split(each) for each in _texts(members))
        return None, [term for term in terms if term]
    created, *found = (_listed(members, path) for path in PATHS)
    values = [
        (field, value)
        for field, each in zip(FIELDS, found, strict=True)
        for value in _texts(each)
        if len(value) <= LONGEST_VALUE
    ]
    return _moment(created), values


def _parsed(text: str) -> dict[str, Any] | list[Any]:
    """The members; none if the text is no JSON, as of a document with unpaired surrogates."""
    try:
        members = json.loads(text) if text else []
    except (ValueError, RecursionError):
        return []
    return members if isinstance(members, dict | list) else []


PATHS = ("$.created_at", *(f"$.parties[0:200].{field}" for field in FIELDS))
"""As in `index_note.lua`."""


def _listed(members: Mapping[str, Any], path: str) -> list[Any]:
    found = members.get(path)
    return found if isinstance(found, list) else []


def _moment(created: Sequence[Any]) -> datetime | None:
    seconds = epoch_seconds(created[0]) if created else None
    if seconds is None or not _YEAR_ONE < seconds < _YEAR_9999:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _texts(values: object) -> list[str]:
    listed = values if isinstance(values, list) else []
    return [each for each in listed if isinstance(each, str) and each]


def _once(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
