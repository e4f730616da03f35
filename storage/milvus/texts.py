"""What a vCon says, and what is told of it beside that."""

from collections.abc import Iterator
from typing import Any

from lib.dialogs import dialogs, text_at

type Document = dict[str, Any]

LONGEST = {
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
"""The fields of the collection that are texts, and the most bytes of each."""

_NAMES = ("uuid", "tel", "mailto", "name", "role")


def text_of(document: Document) -> str:
    """What is said in a vCon, and who is in it; empty when there is nothing."""
    said = [*_said(document)]
    return " ".join(part for part in said if part).strip()


def facts(document: Document, text: str) -> Document:
    """The fields of a vCon but for the vector."""
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
    return {name: _cut(value, LONGEST[name]) for name, value in values.items()} | {
        "has_transcript": "transcript" in kinds,
        "has_summary": "summary" in kinds,
        "party_count": len(_entries(document, "parties")),
    }


def party_id(document: Document) -> str:
    """Who a vCon is with: the best name of the first party that has one."""
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


def _said(document: Document) -> Iterator[str]:
    for kind in ("transcript", "summary"):
        for analysis in _entries(document, "analysis"):
            if analysis.get("type") == kind:
                yield _words(analysis)
    for party in _entries(document, "parties"):
        known = " ".join(str(party[name]) for name in ("role", "name") if party.get(name))
        yield f"Party: {known}." if known else ""
    for _, dialog in dialogs(document):
        body = dialog.get("body")
        yield body if dialog.get("type") == "text" and isinstance(body, str) else ""


def _words(analysis: Document) -> str:
    """The text of an analysis, wherever its vendor puts it."""
    places = ("body.text", "body.transcript", "body.paragraphs.transcript")
    found = next((text for place in places if (text := text_at(analysis, place))), "")
    if found or analysis.get("encoding") == "json":
        return found
    return text_at(analysis, "body")


def _entries(document: Document, section: str) -> list[Document]:
    return [each for each in document.get(section) or () if isinstance(each, dict)]


def _cut(value: object, most: int) -> str:
    """A text of at most so many bytes."""
    text = "" if value is None else str(value)
    return text.encode()[:most].decode(errors="ignore")
