"""A vCon as the documents of its parts."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

type Document = dict[str, Any]

MOST_INDEXES = 200
LONGEST_NAME = 100
"""Bytes of a role, purpose or type in the name of an index."""
OTHER = "other"

# What Elasticsearch allows in the name of no index.
_NOT_IN_A_NAME = re.compile(r'[\\/*?"<>| ,#:]')


type Place = tuple[str, str]
"""The index and the id of a part's document."""


class IndexNames:
    """Which roles, purposes and types get an index of their own; the others share `KIND_other`.

    They stand in vCons, and each index costs the server memory for good: so many names at most,
    counted from the start of the process, or only those that the configuration allows.
    """

    def __init__(self, allowed: Iterable[str] | None = None, most: int = MOST_INDEXES) -> None:
        """`allowed`: as they stand in vCons, in small letters or not; None means any."""
        self._allowed = None if allowed is None else {_component(each) for each in allowed}
        self._most = most
        self._used: set[str] = set()

    def named(self, kind: str, name: object) -> str:
        """The name of the index for a part of this kind and name."""
        component = _component(name)
        whole = f"{kind}_{component}"
        if self._allowed is not None:
            return whole if component in self._allowed else f"{kind}_{OTHER}"
        if whole in self._used or len(self._used) < self._most:
            self._used.add(whole)
            return whole
        return f"{kind}_{OTHER}"


def documents(
    document: Document, prefix: str, names: IndexNames | None = None
) -> dict[Place, Document]:
    """The document of each part of a vCon, by its place."""
    vcon_uuid, shared = document["uuid"], _shared(document)
    return {
        (_index(f"{prefix}vcon_{name}"), f"{vcon_uuid}_{number}"): {**part, **shared}
        for name, number, part in _parts(document, names or IndexNames())
    }


def operations(kept: Mapping[Place, Document], removed: Iterable[Place] = ()) -> list[Document]:
    """What a bulk request says: which documents to write and which to delete."""
    asked: list[Document] = []
    for (index, name), part in kept.items():
        asked += [{"index": {"_index": index, "_id": name}}, part]
    return asked + [{"delete": {"_index": index, "_id": name}} for index, name in removed]


def notes_index(prefix: str) -> str:
    """The index that notes which parts each vCon has; `vcon*` does not match it."""
    return _index(f"{prefix}patchcord_parts")


def note_of(places: Iterable[Place]) -> Document:
    """A note of the places of one vCon's parts: for each index a text with it and its numbers."""
    numbers: dict[str, list[str]] = {}
    for index, name in sorted(places):
        numbers.setdefault(index, []).append(name.rpartition("_")[2])
    return {"parts": [" ".join([index, *each]) for index, each in numbers.items()]}


def places_in(note: object, vcon_uuid: str) -> set[Place]:
    """The places that a note names; none for a note that is not there."""
    parts = note.get("parts", []) if isinstance(note, dict) else []
    return {
        (index, f"{vcon_uuid}_{number}")
        for index, *numbers in map(str.split, parts)
        for number in numbers
    }


def _component(name: object) -> str:
    text = str(name)[:LONGEST_NAME]
    return _index(text).encode()[:LONGEST_NAME].decode(errors="ignore")


def _index(name: str) -> str:
    return _NOT_IN_A_NAME.sub("_", name.lower())


def _parts(document: Document, names: IndexNames) -> Iterator[tuple[str, int, Document]]:
    """Each part with the name of its kind, and its number among those of one section."""
    for number, party in _entries(document, "parties"):
        role = party.get("role")
        yield (names.named("parties", role) if role else "parties"), number, party
    for number, attachment in _entries(document, "attachments"):
        purpose = attachment.get("type") or attachment.get("purpose") or "unknown"
        yield names.named("attachments", purpose), number, _open(attachment)
    for number, analysis in _entries(document, "analysis"):
        yield names.named("analysis", analysis.get("type")), number, _open(analysis)
    for number, dialog in _entries(document, "dialog"):
        yield "dialog", number, dialog


def _shared(document: Document) -> Document:
    starts = [dialog.get("start") for _, dialog in _entries(document, "dialog")]
    shared = {
        "vcon_id": document["uuid"],
        "started_at": next((start for start in starts if start), document.get("created_at")),
    }
    for _, attachment in _entries(document, "attachments"):
        if "tenant" in (attachment.get("purpose"), attachment.get("type")):
            tenant = _open(attachment).get("body")
            if isinstance(tenant, dict) and "id" in tenant:
                return {**shared, "tenant_id": tenant["id"]}
    return shared


def _entries(document: Document, section: str) -> Iterator[tuple[int, Document]]:
    for number, entry in enumerate(document.get(section) or ()):
        if isinstance(entry, dict):
            yield number, entry


def _open(entry: Document) -> Document:
    """The part with a body that is what its JSON says; as it is, if that cannot be read."""
    body = entry.get("body")
    if entry.get("encoding") != "json" or not isinstance(body, str):
        return entry
    try:
        return {**entry, "body": orjson.loads(body)}
    except orjson.JSONDecodeError:
        return entry
