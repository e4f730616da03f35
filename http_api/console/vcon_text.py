"""A vCon as text: its parties, dialogs and analyses.

Any program may have written the document, so a member may be of any type.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from core.errors import UnknownNameError

MOST_SHOWN = 200
"""Parties, dialogs and analyses that a page shows, of each."""
NAMED = ("name", "tel", "mailto", "sip", "did", "uuid", "role")
"""Members of a party that are shown, in this order."""
_MEDIA = re.compile(r"(audio|video)/[a-z0-9][a-z0-9.+-]{0,60}")
_LINK = re.compile(r"https?://[^\s\"'<>\\]{1,2000}", re.IGNORECASE)


class Dialog(NamedTuple):
    """One dialog; `body` is its text, if it has one that can be read."""

    number: int
    kind: str
    start: Any
    seconds: float | None
    parties: str
    media: str
    body: str
    url: str
    """An http(s) address of its content."""
    has_media: bool
    """The vCon has the recording itself."""


class Analysis(NamedTuple):
    """One analysis."""

    kind: str
    of: str
    vendor: str
    body: str


class VconText(NamedTuple):
    """What a page shows of a vCon."""

    subject: str
    created: Any
    parties: Sequence[str]
    dialogs: Sequence[Dialog]
    analyses: Sequence[Analysis]


def text_of_vcon(document: Mapping[str, Any]) -> VconText:
    """The parts of a vCon, at most `MOST_SHOWN` of each."""
    parties = [_party(each) for each in _objects(document, "parties")]
    dialogs = enumerate(_objects(document, "dialog"))
    return VconText(
        _text(document.get("subject")),
        document.get("created_at"),
        parties,
        [_dialog(number, each, parties) for number, each in dialogs],
        [_analysis(each) for each in _objects(document, "analysis")],
    )


def _objects(document: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    given = document.get(name)
    for each in given[:MOST_SHOWN] if isinstance(given, list) else ():
        yield each if isinstance(each, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _party(party: Mapping[str, Any]) -> str:
    return ", ".join(_text(party[name]) for name in NAMED if party.get(name)) or "unnamed"


def _dialog(number: int, dialog: Mapping[str, Any], parties: Sequence[str]) -> Dialog:
    media = _text(dialog.get("mediatype") or dialog.get("mimetype"))
    seconds, url = dialog.get("duration"), _text(dialog.get("url"))
    is_text = media.startswith("text/") or _text(dialog.get("type")) == "text"
    return Dialog(
        number,
        _text(dialog.get("type")),
        dialog.get("start"),
        seconds if isinstance(seconds, int | float) else None,
        _of_parties(dialog.get("parties"), parties),
        media,
        _text(dialog.get("body")) if is_text else "",
        url if _LINK.fullmatch(url) else "",
        bool(_MEDIA.fullmatch(media)) and isinstance(dialog.get("body"), str),
    )


def _of_parties(given: Any, parties: Sequence[str]) -> str:
    numbers = given if isinstance(given, list) else [given]
    known = [each for each in numbers[:MOST_SHOWN] if isinstance(each, int)]
    return "; ".join(parties[each] for each in known if 0 <= each < len(parties))


def _analysis(analysis: Mapping[str, Any]) -> Analysis:
    of = analysis.get("dialog")
    numbers = of if isinstance(of, list) else [] if of is None else [of]
    return Analysis(
        _text(analysis.get("type")),
        ", ".join(_text(each) for each in numbers[:20]),
        " ".join(filter(None, (_text(analysis.get(name)) for name in ("vendor", "product")))),
        _text(analysis.get("body")),
    )


def recording_of(document: Mapping[str, Any], number: int) -> tuple[bytes, str]:
    """The recording in a dialog, and its media type.

    Raises:
        UnknownNameError: there is none, or it cannot be read.
    """
    dialogs = list(_objects(document, "dialog"))
    dialog = dialogs[number] if 0 <= number < len(dialogs) else {}
    media = _text(dialog.get("mediatype") or dialog.get("mimetype"))
    body, encoding = dialog.get("body"), dialog.get("encoding")
    if not _MEDIA.fullmatch(media) or not isinstance(body, str) or encoding != "base64url":
        raise UnknownNameError("recording", str(number))
    try:
        padded = body + "=" * (-len(body) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True), media
    except (binascii.Error, ValueError):
        raise UnknownNameError("recording", str(number)) from None
