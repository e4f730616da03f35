"""Detects the kind of a recording from its content, its media type or its file name.

Vendors use the ending of the file name, so a kind is identified by its usual ending.
"""

import re
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from lib.recordings.wav import is_wav

_BY_TYPE = {
    ending: types.split()
    for ending, types in {
        "wav": "audio/wav audio/x-wav audio/wave audio/vnd.wave audio/x-pn-wav",
        "mp3": "audio/mpeg audio/mp3 audio/x-mp3 audio/mpeg3 audio/x-mpeg audio/x-mpeg-3 audio/mpa",
        "m4a": "audio/mp4 audio/m4a audio/x-m4a audio/mp4a-latm",
        "mp4": "video/mp4 application/mp4",
        "aac": "audio/aac audio/x-aac audio/aacp audio/x-hx-aac-adts",
        "ogg": "audio/ogg audio/x-ogg video/ogg application/ogg audio/vorbis audio/opus",
        "webm": "audio/webm video/webm",
        "mkv": "audio/x-matroska video/x-matroska",
        "flac": "audio/flac audio/x-flac",
        "amr": "audio/amr audio/amr-wb",
        "3gp": "audio/3gpp video/3gpp audio/3gpp2",
        "aiff": "audio/aiff audio/x-aiff",
        "au": "audio/x-au audio/au",
        "gsm": "audio/gsm audio/x-gsm",
        "wma": "audio/x-ms-wma",
        "ul": "audio/pcmu audio/x-mulaw audio/mulaw audio/basic",
        "al": "audio/pcma audio/x-alaw audio/alaw",
        "l16": "audio/l16",
        "g722": "audio/g722",
        "g729": "audio/g729",
    }.items()
}
_ENDINGS = {name: ending for ending, names in _BY_TYPE.items() for name in names}
_ALIASES = {"mpga": "mp3", "mpeg": "mp3", "oga": "ogg", "opus": "ogg", "aif": "aiff", "wave": "wav"}
"""Other endings of the same kinds."""
_KNOWN = frozenset(_BY_TYPE) | frozenset(_ALIASES)
_MARKED = frozenset(["wav", "m4a", "mp4", "ogg", "webm", "mkv", "flac", "amr", "aiff", "au"])
"""Kinds with a signature at the beginning of the content."""
_RAW = {"ul": "mulaw", "al": "alaw", "l16": "s16be", "gsm": "gsm", "g722": "g722", "g729": "g729"}
"""Telephone codecs without a header, with ffmpeg's names for them."""
_RATES = {"ul": "8000", "al": "8000"}
"""The default sample rate, if the media type has none (RFC 3551)."""
_COUNT = re.compile("[1-9][0-9]{0,5}")
_BEGINNINGS = (
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
    (b"#!AMR", "amr"),
    (b".snd", "au"),
    (b"FORM", "aiff"),
)


def kind_of(content: bytes, media_type: object, name: str) -> str | None:
    """The kind of a recording; None if it is unknown.

    The content takes precedence, since names and media types are often wrong, then the media type
    without its parameters, then the ending of the name.
    """
    given = str(media_type or "").partition(";")[0].strip().lower()
    return _kind_of_content(content) or _ENDINGS.get(given) or _kind_of_name(name)


def name_for(dialog: dict[str, Any], content: bytes, accepted: frozenset[str]) -> str:
    """A file name whose ending is the recording's kind, `wav` if that is unknown.

    The dialog's own name is kept if its ending is in `accepted`, the endings the vendor accepts,
    and matches the kind.
    """
    given = str(dialog.get("filename") or _last_part(str(dialog.get("url") or "")))
    given = given.encode(errors="replace").decode()  # half a surrogate pair cannot be sent
    kind = kind_of(content, dialog.get("mediatype"), given) or "wav"
    stem, _, ending = given.rpartition(".")
    if ending.lower() in accepted and _ALIASES.get(ending.lower(), ending.lower()) == kind:
        return given
    return f"{(stem if ending.lower() in _KNOWN else given) or 'recording'}.{kind}"


def _last_part(url: str) -> str:
    try:
        return urlsplit(url).path.rpartition("/")[2]
    except ValueError:  # `http://[`, beside a body
        return ""


def media_type(name: str, stated: object) -> str:
    """The media type of a recording with this name, which is from `name_for`.

    The stated one, with its parameters, counts if it is of the same kind.
    """
    given, kind = " ".join(str(stated or "").split()), _kind_of_name(name) or "wav"
    plain = given.partition(";")[0].strip().lower()
    same = _ENDINGS.get(plain) == kind and given.isascii() and given.isprintable()
    return given if same else _BY_TYPE[kind][0]


def is_consistent(content: bytes, name: str) -> bool:
    """False if the name's ending is a kind with a signature and the content has no known one."""
    return _kind_of_content(content) is not None or _kind_of_name(name) not in _MARKED


def raw_format(name: str, media_type: object) -> tuple[str, ...]:
    """Ffmpeg's input options for a recording without a header; empty for other kinds.

    Rate and channels come from the media type's parameters (`audio/L16;rate=16000`).
    """
    kind = _kind_of_name(name)
    if kind not in _RAW:
        return ()
    header = Message()
    header["content-type"] = " ".join(str(media_type or "").split())
    given = {"-ar": header.get_param("rate"), "-ac": header.get_param("channels")}
    numbers = {option: str(each) for option, each in given.items() if _COUNT.fullmatch(str(each))}
    if kind in _RATES:
        numbers.setdefault("-ar", _RATES[kind])
    return ("-f", _RAW[kind], *(word for pair in numbers.items() for word in pair))


def _kind_of_name(name: str) -> str | None:
    ending = name.rpartition(".")[2].lower()
    return _ALIASES.get(ending, ending) if ending in _KNOWN else None


def _kind_of_content(content: bytes) -> str | None:
    if is_wav(content):
        return "wav"
    if content[4:8] == b"ftyp":
        return "3gp" if content[8:10] == b"3g" else "m4a"
    if content[:4] == b"\x1a\x45\xdf\xa3":
        return "webm" if b"webm" in content[:64] else "mkv"
    if len(content) > 1 and content[0] == 0xFF and content[1] & 0xE0 == 0xE0:
        # an MPEG audio frame; layer bits of zero mean AAC
        return "mp3" if content[1] & 0x06 else "aac"
    return next((kind for start, kind in _BEGINNINGS if content.startswith(start)), None)
