"""The text of a vCon for its embedding, and the other fields of its entry."""

from collections.abc import Iterator
from typing import Any

from lib.vcon.dialogs import analysis_text, dialogs

type Document = dict[str, Any]

MAX_BYTES = {
    "vcon_uuid": 100,
    "party_id": 100,
    "text": 65535,
    "created_at": 30,
    "updated_at": 30,
    "subject": 255,
    "metadata_title": 255,
    "embedding_model": 50,
    "embedding_version": 20,
}
"""The text fields of the collection, with the maximum bytes of each."""

_NAMES = ("uuid", "tel", "mailto", "name", "role")


def text_of(document: Document) -> str:
    """The transcripts, summaries, parties and text dialogs of a vCon as one text, or empty."""
    return " ".join(part for part in _texts(document) if part).strip()


def facts(document: Document, text: str) -> Document:
    """The fields of a vCon's entry except the vector."""
    kinds = {each.get("type") for each in _entries(document, "analysis")}
    values = {
        "vcon_uuid": document["uuid"],
        "party_id": party_id(document),
        "text": text,
        "created_at": document.get("created_at"),
        "updated_at": document.get("updated_at"),
        "subject": document.get("subject"),
        "metadata_title": None,
    }
    return {name: _cut(value, MAX_BYTES[name]) for name, value in values.items()} | {
        "has_transcript": "transcript" in kinds,
        "has_summary": "summary" in kinds,
        "party_count": len(_entries(document, "parties")),
    }


def party_id(document: Document) -> str:
    """The identifier of the first party that has one, as in vcon-server."""
    parties = _entries(document, "parties")
    for party in parties:
        found = next((name for name in _NAMES if party.get(name)), None)
        if found in ("tel", "mailto"):
            return f"{found}:{party[found]}"
        if found == "name" and party.get("role"):
            return f"{party['role']}:{party['name']}"
        if found:
            return str(party[found])
    return "party_index:0" if parties else "no_party_info"


def _texts(document: Document) -> Iterator[str]:
    for kind in ("transcript", "summary"):
        for analysis in _entries(document, "analysis"):
            if analysis.get("type") == kind:
                yield analysis_text(analysis)
    for party in _entries(document, "parties"):
        known = " ".join(str(party[name]) for name in ("role", "name") if party.get(name))
        yield f"Party: {known}." if known else ""
    for _, dialog in dialogs(document):
        body = dialog.get("body")
        yield body if dialog.get("type") == "text" and isinstance(body, str) else ""


def _entries(document: Document, section: str) -> list[Document]:
    return [each for each in document.get(section) or () if isinstance(each, dict)]


def _cut(value: object, most: int) -> str:
    """The value as text of at most `most` bytes."""
    text = "" if value is None else str(value)
    return text.encode()[:most].decode(errors="ignore")
