"""Converts a vCon into one Elasticsearch document per part."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

type Document = dict[str, Any]

MAX_INDEXES = 200
MAX_NAME_BYTES = 100
"""Bytes of a role, purpose or type in the name of an index."""
OTHER = "other"
NAMED_KINDS = ("parties", "attachments", "analysis")

# Characters that Elasticsearch does not allow in index names, and control characters.
_NOT_IN_A_NAME = re.compile(r'[\x00-\x20\x7f\\/*?"<>|,#:]')


type Place = tuple[str, str]
"""The index and the id of a part's document."""
type Name = tuple[()] | tuple[object]


class IndexNames:
    """The roles, purposes and types with an index of their own; the others share `KIND_other`.

    The names come from vCons, and each index permanently uses memory of the server. Therefore their
    number is limited, or only configured names are used.
    """

    def __init__(self, allowed: Iterable[str] | None = None, most: int = MAX_INDEXES) -> None:
        """`allowed`: names as in vCons, case-insensitive; None: any name, up to `most`."""
        self._allowed = None if allowed is None else {_component(each) for each in allowed}
        self._most = most
        self._used: set[str] = set()

    def named(self, kind: str, name: object) -> str:
        """The index name, without prefix, for a part of this kind and name."""
        whole = _whole(kind, name)
        is_allowed = self._allowed is not None and _component(name) in self._allowed
        return whole if is_allowed or whole in self._used else f"{kind}_{OTHER}"

    def unknown(self, document: Document) -> list[str]:
        """Names in a vCon that are not in use, in their order; empty if no more are allowed."""
        if self._allowed is not None or len(self._used) >= self._most:
            return []
        wanted = (_whole(kind, *name) for kind, name, _, _ in _entries_by_name(document) if name)
        shared = {f"{kind}_{OTHER}" for kind in NAMED_KINDS}
        return [each for each in dict.fromkeys(wanted) if each not in self._used | shared]

    def learn(self, names: Iterable[str]) -> None:
        """Add names in use."""
        self._used.update(names)

    def room_for(self, names: Sequence[str]) -> list[str]:
        """The first of these names, as many as the limit allows."""
        return list(names[: max(self._most - len(self._used), 0)])


def indexes_of_names(prefix: str) -> str:
    """A pattern for all indexes except `patchcord_parts`."""
    return f"{_index(f'{prefix}vcon_')}*"


def names_of(indexes: Iterable[str], prefix: str) -> list[str]:
    """The names with an index of their own, from the list of a server's indexes."""
    begin = _index(f"{prefix}vcon_")
    found = (each.removeprefix(begin) for each in indexes if each.startswith(begin))
    return [
        each
        for each in found
        for kind, _, name in [each.partition("_")]
        if kind in NAMED_KINDS and name not in ("", OTHER)
    ]


def documents(document: Document, prefix: str, names: IndexNames) -> dict[Place, Document]:
    """The document of each part of a vCon, by index and id."""
    vcon_uuid, shared = document["uuid"], _shared(document)
    return {
        (_index(f"{prefix}vcon_{name}"), f"{vcon_uuid}_{number}"): {**part, **shared}
        for name, number, part in _parts(document, names)
    }


def operations(kept: Mapping[Place, Document], removed: Iterable[Place] = ()) -> list[bytes]:
    """The operations of a bulk request that writes and deletes documents, with their lines."""
    changes = [
        b"%b\n%b\n" % (_action("index", place), orjson.dumps(part)) for place, part in kept.items()
    ]
    return changes + [b"%b\n" % _action("delete", place) for place in removed]


def _action(kind: str, place: Place) -> bytes:
    return orjson.dumps({kind: {"_index": place[0], "_id": place[1]}})


def notes_index(prefix: str) -> str:
    """The index with the list of each vCon's parts; `vcon*` does not match it."""
    return _index(f"{prefix}patchcord_parts")


def note_of(places: Iterable[Place]) -> Document:
    """The stored list of one vCon's parts: for each index a text with its name and the numbers."""
    numbers: dict[str, list[str]] = {}
    for index, name in sorted(places):
        numbers.setdefault(index, []).append(name.rpartition("_")[2])
    return {"parts": [" ".join([index, *each]) for index, each in numbers.items()]}


def places_in(note: object, vcon_uuid: str) -> set[Place]:
    """The index and id of each part in a stored list; empty for None."""
    parts = note.get("parts", []) if isinstance(note, dict) else []
    return {
        (index, f"{vcon_uuid}_{number}")
        for index, *numbers in map(str.split, parts)
        for number in numbers
    }


def _whole(kind: str, name: object) -> str:
    return f"{kind}_{_component(name)}"


def _component(name: object) -> str:
    text = str(name)[:MAX_NAME_BYTES]
    return _index(text).encode()[:MAX_NAME_BYTES].decode(errors="ignore")


def _index(name: str) -> str:
    return _NOT_IN_A_NAME.sub("_", name.lower())


def _parts(document: Document, names: IndexNames) -> Iterator[tuple[str, int, Document]]:
    """Each part with its index name (without prefix) and its number in its section."""
    for kind, name, number, entry in _entries_by_name(document):
        part = _open(entry) if kind in ("attachments", "analysis") else entry
        yield (names.named(kind, *name) if name else kind), number, part


def _entries_by_name(document: Document) -> Iterator[tuple[str, Name, int, Document]]:
    """Kind, name (role, purpose or type; empty without one), number and entry of each part."""
    for number, party in _entries(document, "parties"):
        yield "parties", (party["role"],) if party.get("role") else (), number, party
    for number, attachment in _entries(document, "attachments"):
        purpose = attachment.get("type") or attachment.get("purpose") or "unknown"
        yield "attachments", (purpose,), number, attachment
    for number, analysis in _entries(document, "analysis"):
        yield "analysis", (analysis.get("type"),), number, analysis
    for number, dialog in _entries(document, "dialog"):
        yield "dialog", (), number, dialog


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
    """A copy of the part with its JSON body parsed; unchanged if the body is not JSON."""
    body = entry.get("body")
    if entry.get("encoding") != "json" or not isinstance(body, str):
        return entry
    try:
        return {**entry, "body": orjson.loads(body)}
    except orjson.JSONDecodeError:
        return entry
