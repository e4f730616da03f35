"""Phoenix messages as text: V1 objects and V2 arrays, to and from `Frame`.

Decoding is strict and never raises: a text that is not a message of the version is a `Malformed`.
Only the shape is checked here; `core.phoenix.channel` checks topic, event and refs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from core.phoenix.lenient_json import loads


class Frame(NamedTuple):
    """One Phoenix message. A tuple, because each request and each answer creates one."""

    topic: str
    event: str
    payload: Any
    """A JSON object; members that not every JSON parser accepts are `Unreadable`.

    A frame to be sent may have an `orjson.Fragment` (encoded JSON) instead.
    """
    ref: str | None = None
    join_ref: str | None = None


type Message = tuple[str, str, Any, str | None, str | None]
"""Input of the encoders: a `Frame`, or a plain tuple of its five fields, which is faster."""


class Malformed(NamedTuple):
    """A text that is not a message of this version; `reason` does not quote it."""

    reason: str


def decode_v1(text: str | bytes) -> Frame | Malformed:
    """Decode the V1 object `{topic, event, payload, ref}`; other keys are ignored."""
    try:
        message = loads(text)
    except orjson.JSONDecodeError as error:
        return Malformed(f"not JSON: {error.msg}")
    if type(message) is not dict:
        return Malformed("not an object")
    try:
        return _frame(message["topic"], message["event"], message["payload"], message["ref"], None)
    except KeyError as missing:
        return Malformed(f"no {missing}")


def decode_v2(text: str | bytes) -> Frame | Malformed:
    """Decode the V2 array `[join_ref, ref, topic, event, payload]`."""
    try:
        message = loads(text)
    except orjson.JSONDecodeError as error:
        return Malformed(f"not JSON: {error.msg}")
    if type(message) is not list or len(message) != 5:
        return Malformed("not an array of five")
    join_ref, ref, topic, event, payload = message
    return _frame(topic, event, payload, ref, join_ref)


def _frame(topic: Any, event: Any, payload: Any, ref: Any, join_ref: Any) -> Frame | Malformed:
    if type(topic) is not str or type(event) is not str:
        return Malformed("topic and event must be strings")
    if type(payload) is not dict:
        return Malformed("payload must be an object")
    if not (ref is None or type(ref) is str) or not (join_ref is None or type(join_ref) is str):
        return Malformed("ref and join_ref must be strings or null")
    return Frame(topic, event, payload, ref, join_ref)


def encode_v1(frame: Message) -> bytes:
    """Encode a V1 object as UTF-8; join_ref only if set, ref always (servers require it).

    Raises:
        TypeError: the payload is not JSON.
    """
    topic, event, payload, ref, join_ref = frame
    message = {"topic": topic, "event": event, "payload": payload, "ref": ref}
    if join_ref is not None:
        message["join_ref"] = join_ref
    return orjson.dumps(message)


def encode_v2(frame: Message) -> bytes:
    """Encode a V2 array as UTF-8.

    Raises:
        TypeError: the payload is not JSON.
    """
    topic, event, payload, ref, join_ref = frame
    return orjson.dumps([join_ref, ref, topic, event, payload])


def decode_any(text: str | bytes) -> Frame | Malformed:
    """Decode a message of either version; in V1 `payload` and `ref` may be missing."""
    written = text.encode() if isinstance(text, str) else text
    if written.lstrip()[:1] == b"[":
        return decode_v2(written)
    try:
        message = loads(written)
    except ValueError:
        return Malformed("not JSON")
    if type(message) is not dict:
        return Malformed("not an object")
    return _frame(
        message.get("topic"),
        message.get("event"),
        message.get("payload", {}),
        message.get("ref"),
        message.get("join_ref"),
    )


class Serializer(NamedTuple):
    """Decoder and encoder of one serializer version."""

    decode: Callable[[str | bytes], Frame | Malformed]
    encode: Callable[[Message], bytes]


SERIALIZERS = {
    "1.0.0": Serializer(decode_v1, encode_v1),
    "2.0.0": Serializer(decode_v2, encode_v2),
}
