"""Access to dialogs and analyses of a vCon in canonical form, for plugins."""

from collections.abc import Iterator
from math import inf
from typing import Any

import orjson

from core.observability.storable_text import storable_json, storable_text

type Document = dict[str, Any]
type Entry = dict[str, Any]

LONGEST_URL = 8192
"""Characters of a URL that stands as body."""


def dialogs(document: Document) -> Iterator[tuple[int, Entry]]:
    """Each dialog that is an object, with its index."""
    for index, dialog in enumerate(document.get("dialog") or ()):
        if isinstance(dialog, dict):
            yield index, dialog


def recordings(document: Document) -> Iterator[tuple[int, Entry]]:
    """Each dialog of the type `recording` with a body or a URL, with its index."""
    for index, dialog in dialogs(document):
        if dialog.get("type") == "recording" and (dialog.get("body") or dialog.get("url")):
            yield index, dialog


def analysis_of(document: Document, index: int, kind: str) -> Entry | None:
    """The first analysis of this type whose `dialog` is or contains the index."""
    for analysis in document.get("analysis") or ():
        if isinstance(analysis, dict) and analysis.get("type") == kind:
            about = analysis.get("dialog")
            if about == index or (isinstance(about, list) and index in about):
                return analysis
    return None


def add_analysis(
    document: Document,
    *,
    kind: str,
    dialog: int | list[int],
    vendor: str,
    body: object,
    **members: object,
) -> None:
    """Add an analysis in place; a `body` that is not a string is serialised as JSON.

    Vendors answer with text that Redis and storages refuse, such as half a surrogate pair or an
    integer of more than 64 bits; it is replaced as `storable` does. `members`: further ones, such
    as `vendor_schema`.
    """
    document.setdefault("analysis", []).append(
        {
            "type": kind,
            "dialog": dialog,
            "vendor": vendor,
            "body": storable_text(body) if isinstance(body, str) else storable_json(body).decode(),
            "encoding": "none" if isinstance(body, str) else "json",
            **members,
        }
    )


def text_at(entry: Entry, path: str) -> str:
    """The string at a dotted path such as `body.paragraphs.transcript`; empty if there is none.

    A string on the way is parsed as JSON, since a body may be stored as JSON text or as an object.
    """
    found: object = entry
    for name in path.split("."):
        if isinstance(found, str):
            found = _parsed(found)
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def analysis_text(analysis: Entry) -> str:
    """The text of a transcript or another analysis, at any of the paths that vendors use."""
    places = ("text", "transcript", "paragraphs.transcript", "transcript.text")
    found = next((text for place in places if (text := text_at(analysis, f"body.{place}"))), "")
    if found or analysis.get("encoding") == "json":
        return found
    return text_at(analysis, "body")


def external_body(entry: Entry) -> str | None:
    """The URL that stands as body, as `links.diet` writes it; None for any other body."""
    body = entry.get("body")
    if entry.get("body_type") != "url" or not isinstance(body, str) or len(body) > LONGEST_URL:
        return None
    is_url = body.startswith(("http://", "https://")) and not any(map(str.isspace, body))
    return body if is_url else None


def duration_of(dialog: Entry) -> float | None:
    """The dialog's `duration` in seconds; None if it is missing or not a positive finite number.

    Some producers write 0 or an invalid value for an unknown duration.
    """
    if isinstance(dialog.get("duration"), bool):
        return None
    try:
        seconds = float(dialog["duration"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < inf else None


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
