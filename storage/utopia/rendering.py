"""A vCon as dated sentences, which Utopia takes facts from.

Utopia reads prose, and dates a Markdown document by a first line `YYYY-MM-DD`. The text has no
place for line breaks of the vCon's names and subjects, so none of them can stand for such a line.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from lib.vcon.dialogs import Document, Entry, analysis_text, dialogs

TRANSCRIPTS = ("transcript", "wtf_transcription")
KINDS = {"recording": "a recorded call", "text": "a text conversation", "transfer": "a transfer"}


class Rendering(NamedTuple):
    """The text, and whether the vCon's lawful basis grants the purpose `analysis` now."""

    text: str
    grants_analysis: bool


def rendered(document: Document, now: datetime) -> Rendering:
    """The vCon as Markdown; the text does not depend on the time."""
    basis, grants = _lawful_basis(document, now)
    day = next(filter(None, map(_day, _moments(document))), "")
    head = [f"{day}\n"] if day else []
    title = f"# Conversation {_line(document.get('uuid'))}\n"
    paragraphs = (*_about(document), *_told(document), *_tagged(document), basis, _source(document))
    return Rendering("\n".join([*head, title, *paragraphs]) + "\n", grants)


def _about(document: Document) -> Iterator[str]:
    if subject := _line(document.get("subject")):
        yield f"Subject: {subject}.\n"
    parties = _entries(document, "parties")
    for party in parties:
        yield _party(party)
    for _, dialog in dialogs(document):
        yield _dialog(dialog, document.get("parties"))
    yield ""


def _party(party: Entry) -> str:
    name = _name(party) or "A party without a name"
    role = _line(party.get("role"))
    known = [_line(party.get(each)) for each in ("tel", "mailto")]
    reach = " or ".join(each for each in known if each and each != name)
    text = f"{name} took part" + (f" as {role}" if role else "")
    return text + (f" and can be reached at {reach}" if reach else "") + "."


def _dialog(dialog: Entry, parties: object) -> str:
    kind = KINDS.get(str(dialog.get("type")), "a conversation")
    names = " and ".join(_names(dialog.get("parties"), parties))
    moment = _at(dialog.get("start"))
    text = f"{names} had {kind}" if names else f"there was {kind}"
    text = f"On {moment}, {text}" if moment else text[0].upper() + text[1:]
    seconds = dialog.get("duration")
    is_known = isinstance(seconds, int | float) and 0 < seconds < 1e9
    return text + (f" of {round(seconds or 0)} seconds" if is_known else "") + "."


def _told(document: Document) -> Iterator[str]:
    """The summaries, then the transcripts."""
    analyses = _entries(document, "analysis")
    for each in analyses:
        if each.get("type") == "summary" and (text := _line(analysis_text(each))):
            yield f"Summary: {text}\n"
    starts = {index: dialog.get("start") for index, dialog in dialogs(document)}
    for each in analyses:
        lines = list(_spoken(each)) if each.get("type") in TRANSCRIPTS else []
        if lines:
            about = each.get("dialog")
            moment = _at(starts.get(about) if isinstance(about, int) else None)
            yield f"What was said{f' on {moment}' if moment else ''}:\n"
            yield "\n".join(lines) + "\n"


def _spoken(transcript: Entry) -> Iterator[str]:
    """A line for each segment with its speaker, or the text as one."""
    told = _value(transcript.get("body"))
    segments = told.get("segments") if isinstance(told, dict) else None
    found = False
    for each in segments if isinstance(segments, list) else ():
        if isinstance(each, dict) and (text := _line(each.get("text"))):
            found = True
            speaker = _line(each.get("speaker"))
            yield f"Speaker {speaker}: {text}" if speaker else text
    if not found and (text := analysis_text(transcript).strip()):
        yield text


def _tagged(document: Document) -> Iterator[str]:
    tags: list[str] = []
    for each in _attachments(document, "tags"):
        told = _value(each.get("body"))
        if isinstance(told, dict):
            tags += [_line(f"{name}:{value}") for name, value in told.items()]
        elif isinstance(told, list):
            tags += map(_line, told)
    if tags:
        yield f"Tags: {', '.join(tags)}.\n"


def _lawful_basis(document: Document, now: datetime) -> tuple[str, bool]:
    """One sentence, which fills no gap, and whether `analysis` is granted now."""
    for each in _attachments(document, "lawful_basis"):
        told = _value(each.get("body"))
        if isinstance(told, dict):
            granted = [_line(grant.get("purpose")) for grant in _grants(told)]
            until = _line(told.get("expiration"))
            text = f"Lawful basis: {_line(told.get('lawful_basis')) or 'not stated'}"
            text += f", granted for {', '.join(granted)}" if granted else ", for no purpose"
            text += f", until {_day(until) or until}" if until else ""
            return f"{text}.", "analysis" in granted and _is_valid(until, now)
    return "Lawful basis: not recorded.", False


def _grants(told: Entry) -> Iterator[Entry]:
    grants = told.get("purpose_grants")
    for each in grants if isinstance(grants, list) else ():
        if isinstance(each, dict) and each.get("granted") is True and each.get("purpose"):
            yield each


def _is_valid(until: str, now: datetime) -> bool:
    """Whether the moment is in the future; one that cannot be read is not."""
    moment = _moment(until)
    return not until or (moment is not None and moment > now)


def _source(document: Document) -> str:
    text = f"Source: vCon {_line(document.get('uuid'))}"
    if made := _line(document.get("created_at")):
        text += f", created {made}"
    for name in ("amended", "redacted"):
        found = document.get(name)
        if isinstance(found, dict) and found.get("uuid"):
            text += f", {name} from vCon {_line(found['uuid'])}"
    return f"{text}."


def _names(indexes: object, parties: object) -> Iterator[str]:
    """The parties of a dialog; their indexes may be in lists, one for each channel."""
    if isinstance(indexes, list):
        for each in indexes:
            yield from _names(each, parties)
    elif isinstance(indexes, int) and isinstance(parties, list) and 0 <= indexes < len(parties):
        party = parties[indexes]
        yield (_name(party) if isinstance(party, dict) else "") or f"party {indexes}"


def _name(party: Entry) -> str:
    found = (_line(party.get(each)) for each in ("name", "tel", "mailto"))
    return next(filter(None, found), "")


def _entries(document: Document, section: str) -> list[Entry]:
    return [each for each in document.get(section) or () if isinstance(each, dict)]


def _attachments(document: Document, purpose: str) -> list[Entry]:
    return [e for e in _entries(document, "attachments") if e.get("purpose") == purpose]


def _value(body: object) -> Any:
    try:
        return orjson.loads(body) if isinstance(body, str) else body
    except orjson.JSONDecodeError:
        return body


def _line(value: object) -> str:
    """A value in one line; empty for None, and for lists and objects."""
    return "" if value is None or isinstance(value, dict | list) else " ".join(str(value).split())


def _moments(document: Document) -> Iterator[object]:
    yield document.get("created_at")
    for _, dialog in dialogs(document):
        yield dialog.get("start")


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _day(value: object) -> str:
    """`YYYY-MM-DD` in the moment's own time zone."""
    moment = _moment(value)
    return moment.date().isoformat() if moment else ""


def _at(value: object) -> str:
    moment = _moment(value)
    return f"{moment.date().isoformat()} at {moment:%H:%M}" if moment else ""
