"""Requests of more than `LARGE` bytes: their fields stay text until the action is known.

Parsing megabytes blocks the event loop for tens of milliseconds; finding where each member of a
request ends takes about one. So a large frame is only split here. Its `fields` are parsed by the
dispatcher or, where they hold a vCon, in the helper process.

A text that cannot be split may still be valid for the lenient parser (half a surrogate pair, deep
nesting). `read_leniently` parses it in the helper process.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import msgspec
import orjson

from core.errors import TooLargeError
from core.phoenix.frames import SERIALIZERS, Frame, Malformed
from core.phoenix.lenient_json import Unreadable, loads

LARGE = 256_000
"""Bytes above which a text is not parsed on the event loop."""
REQUEST = "request"
"""The only event whose payload is written by callers; those of the Plugboard are small."""
_FIELDS = "fields"

type Members = dict[str, msgspec.Raw]


class Unparsed(NamedTuple):
    """Large fields of a request as JSON text; `most`: the limit of their compact size, to check."""

    text: bytes
    most: int | None = None


class _V1(msgspec.Struct):
    topic: str
    event: str
    payload: Members
    ref: str | None


_V1_DECODER = msgspec.json.Decoder(_V1)
_V2_DECODER = msgspec.json.Decoder(tuple[str | None, str | None, str, str, Members])
_MEMBERS_DECODER = msgspec.json.Decoder(Members)


def split_v1(text: bytes) -> Frame | None:
    """Split a large V1 message; large `fields` are `Unparsed`. None if it cannot be split."""
    try:
        read = _V1_DECODER.decode(text)
        return _frame(Frame(read.topic, read.event, read.payload, read.ref))
    except (ValueError, RecursionError):
        return None


def split_v2(text: bytes) -> Frame | None:
    """Split a large V2 message like `split_v1`."""
    try:
        join_ref, ref, topic, event, payload = _V2_DECODER.decode(text)
        return _frame(Frame(topic, event, payload, ref, join_ref))
    except (ValueError, RecursionError):
        return None


SPLITTERS: dict[str, Callable[[bytes], Frame | None]] = {"1.0.0": split_v1, "2.0.0": split_v2}


def _frame(frame: Frame) -> Frame:
    if frame.event != REQUEST:
        return frame._replace(payload=_read(frame.payload))
    return frame._replace(payload={name: _member(name, raw) for name, raw in frame.payload.items()})


def _member(name: str, raw: msgspec.Raw) -> Any:
    text = bytes(raw)
    if len(text) <= LARGE or text[:1] not in b"{[":
        return _read({name: raw})[name]
    if name == _FIELDS:
        return Unparsed(text)
    return (
        {} if text[:1] == b"{" else []
    )  # an empty value of the same type, which is refused for its type


def _read(members: Mapping[str, bytes | msgspec.Raw], place: str = "") -> Any:
    """Parse members together: those of a payload, or those of its member `place`."""
    inside = b",".join(b"%b:%b" % (orjson.dumps(name), bytes(raw)) for name, raw in members.items())
    if not place:
        return loads(b"[{%b}]" % inside)[0]
    return loads(b"[{%b:{%b}}]" % (orjson.dumps(place), inside))[0][place]


def fields_of(
    text: bytes, text_fields: Collection[str], known: Collection[str] | None = None
) -> Any:
    """Parse large fields, except large objects in `text_fields`, which stay `bytes`.

    If the text is not an object the result is an empty list; a large value of a field that is not
    `known` becomes None. The validation refuses both, without the cost of parsing them.

    Raises:
        TooLargeError: some fields are text, and the others together exceed `LARGE` bytes.
    """
    if text[:1] != b"{":
        return []
    members = {name: bytes(raw) for name, raw in _MEMBERS_DECODER.decode(text).items()}
    large = {name: value for name, value in members.items() if len(value) > LARGE}
    texts = {name: large[name] for name in text_fields if large.get(name, b"")[:1] == b"{"}
    unknown = dict.fromkeys(large.keys() - known if known is not None else ())
    others = {n: value for n, value in members.items() if n not in texts and n not in unknown}
    if texts:
        _check_size_besides(texts, others)
    try:
        read = _read(others, _FIELDS)
    except ValueError:
        return Unreadable(f"{_FIELDS}: not valid JSON")
    return read if isinstance(read, Unreadable) else {**read, **texts, **unknown}


def _check_size_besides(texts: Collection[str], others: Mapping[str, bytes]) -> None:
    size = sum(map(len, others.values()))
    if size > LARGE:
        names = " and ".join(sorted(texts))
        msg = f"the fields besides {names} are {size} bytes; at most {LARGE} are taken"
        raise TooLargeError(msg)


# Functions for the helper process


def read_leniently(text: bytes, vsn: str) -> Frame | Malformed:
    """Decode a message that could not be split; its large fields become `Unparsed`."""
    frame = SERIALIZERS[vsn].decode(text)
    if isinstance(frame, Malformed) or frame.event != REQUEST:
        return frame
    fields = frame.payload.get(_FIELDS)
    if not isinstance(fields, dict | list):
        return frame
    try:
        encoded: Any = Unparsed(orjson.dumps(fields))
    except TypeError:
        encoded = Unreadable(f"{_FIELDS}: nested too deeply")
    return frame._replace(payload={**frame.payload, _FIELDS: encoded})


def excess_of_text(text: bytes, most: int) -> str:
    """Like `excess`, for fields that are JSON text."""
    try:
        return excess(loads(b'[{"fields":%b}]' % text)[0][_FIELDS], most)
    except ValueError:  # reported when they are parsed
        return ""


def excess(fields: object, most: int) -> str:
    """The error for fields of more than `most` bytes; empty if they fit or are unreadable."""
    if isinstance(fields, Unreadable):
        return ""
    try:
        size = len(orjson.dumps(fields))
    except TypeError:  # orjson decodes deeper nesting than it encodes
        return "the fields are nested too deeply"
    return "" if size <= most else f"the fields are {size} bytes; at most {most} are taken"
