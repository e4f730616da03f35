"""Requests of more than `LARGE` bytes: their fields stay text until the action is known.

Parsing megabytes takes tens of milliseconds, in which the event loop answers nothing else. Finding
where each member of a request ends takes about one. So a large frame is only split here; what its
`fields` say is parsed by the dispatcher, or, for the vCon in them, by the helper process.

A text that cannot be split may still be one that the lenient reader takes (half a surrogate pair,
deep nesting). That is for the helper to decide, see `read_leniently`.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import msgspec
import orjson

from core.errors import TooLargeError
from core.phoenix.frames import SERIALIZERS, Frame, Malformed
from core.phoenix.lenient_json import Unreadable, loads

LARGE = 256_000
"""Bytes from which on a text is not parsed on the event loop."""
REQUEST = "request"
"""The event whose payload callers write; others are the Plugboard's own and small."""
_FIELDS = "fields"

type Members = dict[str, msgspec.Raw]


class Unparsed(NamedTuple):
    """Large fields of a request, as JSON text; `most`: their compact size must be looked at."""

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
    """A large V1 message, with `Unparsed` fields if they are large; None if it cannot be split."""
    try:
        read = _V1_DECODER.decode(text)
        return _frame(Frame(read.topic, read.event, read.payload, read.ref))
    except (ValueError, RecursionError):
        return None


def split_v2(text: bytes) -> Frame | None:
    """The same for V2."""
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
    return {} if text[:1] == b"{" else []  # it is refused for its type


def _read(members: Mapping[str, bytes | msgspec.Raw], place: str = "") -> Any:
    """Members parsed together, as part of a message's payload or of the member `place` of it."""
    inside = b",".join(b"%b:%b" % (orjson.dumps(name), bytes(raw)) for name, raw in members.items())
    if not place:
        return loads(b"[{%b}]" % inside)[0]
    return loads(b"[{%b:{%b}}]" % (orjson.dumps(place), inside))[0][place]


def fields_of(
    text: bytes, text_fields: Collection[str], known: Collection[str] | None = None
) -> Any:
    """Large fields, parsed but for those of `text_fields` that are large objects: they stay text.

    Those that are text are `bytes`. What is no object comes back as an empty list, and a large
    value as None where it is not of the fields that are `known`: both are refused.

    Raises:
        TooLargeError: an action that takes text was given more than `LARGE` bytes besides.
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
        return Unreadable(f"{_FIELDS}: no valid JSON")
    return read if isinstance(read, Unreadable) else {**read, **texts, **unknown}


def _check_size_besides(texts: Collection[str], others: Mapping[str, bytes]) -> None:
    size = sum(map(len, others.values()))
    if size > LARGE:
        names = " and ".join(sorted(texts))
        msg = f"the fields besides {names} are {size} bytes; at most {LARGE} are taken"
        raise TooLargeError(msg)


# What runs in the helper


def read_leniently(text: bytes, vsn: str) -> Frame | Malformed:
    """A message that could not be split, as the lenient reader takes it."""
    frame = SERIALIZERS[vsn].decode(text)
    if isinstance(frame, Malformed) or frame.event != REQUEST:
        return frame
    fields = frame.payload.get(_FIELDS)
    if not isinstance(fields, dict | list):
        return frame
    try:
        told: Any = Unparsed(orjson.dumps(fields))
    except TypeError:
        told = Unreadable(f"{_FIELDS}: nested too deeply")
    return frame._replace(payload={**frame.payload, _FIELDS: told})


def excess_of_text(text: bytes, most: int) -> str:
    """`excess` of fields that are text."""
    try:
        return excess(loads(b'[{"fields":%b}]' % text)[0][_FIELDS], most)
    except ValueError:  # told when they are parsed
        return ""


def excess(fields: object, most: int) -> str:
    """Why fields are too large; empty if they are not, or cannot be read at all."""
    if isinstance(fields, Unreadable):
        return ""
    try:
        size = len(orjson.dumps(fields))
    except TypeError:  # it reads what is nested deeper than it writes
        return "the fields are nested too deeply"
    return "" if size <= most else f"the fields are {size} bytes; at most {most} are taken"
