"""Access to dialogs and analyses of a vCon in canonical form, for plugins."""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from math import inf
from typing import Any

import orjson

from core.observability.storable_text import storable_json, storable_text
from lib.fetching import FetchError, fetch
from lib.wav import wav_seconds

type Document = dict[str, Any]
type Entry = dict[str, Any]

SMALL_BODY = 65_536
"""Characters of a recording that is decoded within 0.1 ms: less than a change of thread takes."""

LONGEST_URL = 8192
"""Characters of a URL that stands as body."""

_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


class MediaError(RuntimeError):
    """A dialog's recording is missing, cannot be decoded, or does not match its hash."""


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


def media(dialog: Entry, seconds: float = 60.0) -> bytes:
    """The content of a dialog, from its body or its URL; blocks up to `seconds` for a fetch.

    The content is checked against `content_hash`, or against `signature` of older vCons.

    Raises:
        MediaError: if the body cannot be decoded or a hash does not match.
        lib.fetching.FetchError: if the URL cannot be fetched.
    """
    body, moved = dialog.get("body"), external_body(dialog)
    if moved is not None:
        content = _as_moved(fetch(moved, seconds=seconds).content, dialog.get("encoding"))
    else:
        content = decoded(body, dialog.get("encoding")) if body else fetch_media(dialog, seconds)
    _check(content, dialog)
    return content


def _as_moved(content: bytes, encoding: object) -> bytes:
    """A fetched body: the text that stood in the vCon, or the recording itself."""
    try:
        return decoded(content.decode("ascii"), encoding)
    except (UnicodeDecodeError, MediaError):
        return content


def fetch_media(dialog: Entry, seconds: float) -> bytes:
    """The content of the dialog's URL, without a check of its hash."""
    url = dialog.get("url")
    if not isinstance(url, str):
        raise MediaError("the dialog has neither a body nor a url")
    return fetch(url, seconds=seconds).content


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


def is_at_hand(dialog: Entry) -> bool:
    """Whether the recording is in the vCon, and small: reading it needs no thread of its own."""
    body = dialog.get("body")
    if external_body(dialog) is not None:
        return False
    return isinstance(body, str) and 0 < len(body) <= SMALL_BODY


def measured_duration(dialog: Entry) -> float | None:
    """`duration_of`, or else the length of the WAV, which may be fetched; None if unknown."""
    duration = duration_of(dialog)
    url = str(dialog.get("url") or "").partition("?")[0]
    if duration is not None or not (dialog.get("body") or url.lower().endswith(".wav")):
        return duration
    try:
        return wav_seconds(media(dialog))
    except (MediaError, FetchError):
        return None  # the vendor may still be able to fetch it


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def decoded(body: object, encoding: object) -> bytes:
    """The bytes of a body.

    Raises:
        MediaError: it is not base64 in either alphabet, or has another encoding.
    """
    if not isinstance(body, str) or encoding not in ("base64url", "base64", None):
        raise MediaError(f"the dialog's body is no recording: its encoding is {encoding!r:.40}")
    # vCons contain both base64 alphabets, with and without padding.
    text = "".join(body.split()).replace("+", "-").replace("/", "_").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise MediaError("the dialog's body is not base64") from None


def _check(content: bytes, dialog: Entry) -> None:
    for name, expected in _expected(dialog):
        digest = _HASHES[name](content).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != expected:
            raise MediaError(f"the dialog's recording does not match its {name} in the vCon")


def _expected(dialog: Entry) -> Iterator[tuple[str, str]]:
    """Each supported hash in `content_hash`, or in `alg` and `signature` of older vCons."""
    hashes = dialog.get("content_hash")
    for each in hashes if isinstance(hashes, list) else [hashes]:
        name, _, value = str(each).partition("-")
        if name in _HASHES:
            yield name, value.rstrip("=")
    name = str(dialog.get("alg") or "").replace("-", "").lower()
    if name in _HASHES and isinstance(dialog.get("signature"), str):
        yield name, dialog["signature"].rstrip("=")
