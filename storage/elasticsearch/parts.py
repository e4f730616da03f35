"""A vCon as the documents of its parts."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

type Document = dict[str, Any]

# What Elasticsearch allows in the name of no index.
_NOT_IN_A_NAME = re.compile(r'[\\/*?"<>| ,#:]')


def operations(document: Document, prefix: str) -> list[Document]:
    """What a bulk request says of a vCon: for each part where it goes, then the part."""
    vcon_uuid, shared = document["uuid"], _shared(document)
    asked: list[Document] = []
    for name, number, part in _parts(document):
        index = _NOT_IN_A_NAME.sub("_", f"{prefix}vcon_{name}".lower())
        asked.append({"index": {"_index": index, "_id": f"{vcon_uuid}_{number}"}})
        asked.append({**part, **shared})
    return asked


def _parts(document: Document) -> Iterator[tuple[str, int, Document]]:
    """Each part with the name of its kind, and its number among those of one section."""
    for number, party in _entries(document, "parties"):
        role = party.get("role")
        yield (f"parties_{role}" if role else "parties"), number, party
    for number, attachment in _entries(document, "attachments"):
        purpose = attachment.get("type") or attachment.get("purpose") or "unknown"
        yield f"attachments_{purpose}", number, _open(attachment)
    for number, analysis in _entries(document, "analysis"):
        yield f"analysis_{analysis.get('type')}", number, _open(analysis)
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
