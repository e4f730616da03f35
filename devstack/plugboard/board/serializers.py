"""Converts WebSocket text into Phoenix messages and back, on the server's side.

Version 1 uses objects, without join_ref from the server; version 2 uses arrays of five.
"""

import json
import math
import re
from typing import Any, NamedTuple, Protocol

import orjson


class MalformedError(ValueError):
    """The client's frame is not a Phoenix message; the real server closes the socket with 1011."""


class Message(NamedTuple):
    """A client's message; every part may be any JSON value."""

    join_ref: Any
    ref: Any
    topic: Any
    event: Any
    payload: Any


class Serializer(Protocol):
    """One version of the wire format."""

    def decode(self, data: bytes, *, text: bool) -> Message:
        """Read one client message; raises MalformedError."""

    def encode(self, join_ref: Any, ref: Any, topic: Any, event: str, payload: bytes) -> bytes:
        """Encode one server message; the payload is serialised JSON."""


class ObjectSerializer:
    """Version 1.0: objects; JSON in a binary message is accepted, too."""

    def decode(self, data: bytes, *, text: bool) -> Message:
        """Read one object; topic, event, payload and ref must be there, join_ref may."""
        del text
        frame = _parse(data)
        try:
            required = frame["ref"], frame["topic"], frame["event"], frame["payload"]
        except (KeyError, TypeError, IndexError):
            raise MalformedError("an object with topic, event, payload and ref is needed") from None
        return Message(frame.get("join_ref"), *required)

    def encode(self, join_ref: Any, ref: Any, topic: Any, event: str, payload: bytes) -> bytes:
        """Write an object of exactly topic, event, payload and ref."""
        del join_ref
        return b'{"event":"%b","payload":%b,"ref":%b,"topic":%b}' % (
            event.encode(),
            payload,
            orjson.dumps(ref),
            orjson.dumps(topic),
        )


class ArraySerializer:
    """Version 2.0: arrays of join_ref, ref, topic, event, payload; JSON in text messages only."""

    def decode(self, data: bytes, *, text: bool) -> Message:
        """Read one array of five."""
        frame = _parse(data) if text else None
        if not isinstance(frame, list) or len(frame) != 5:
            raise MalformedError("an array of five is needed")
        return Message(*frame)

    def encode(self, join_ref: Any, ref: Any, topic: Any, event: str, payload: bytes) -> bytes:
        """Write an array of five."""
        return b'[%b,%b,%b,"%b",%b]' % (
            orjson.dumps(join_ref),
            orjson.dumps(ref),
            orjson.dumps(topic),
            event.encode(),
            payload,
        )


_VERSIONS: tuple[tuple[re.Pattern[str], Serializer], ...] = (
    (re.compile(r"1\.0\.\d+"), ObjectSerializer()),
    (re.compile(r"2\.0\.\d+"), ArraySerializer()),
)


def serializer_for(vsn: str) -> Serializer | None:
    """The serializer for a `vsn` parameter, or None if no version fits (`2` does not)."""
    return next((found for pattern, found in _VERSIONS if pattern.fullmatch(vsn)), None)


def _parse(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass  # or an integer longer than it reads, which the real server takes
    try:
        return json.loads(data, parse_float=finite, parse_constant=finite)
    except (ValueError, RecursionError) as error:
        raise MalformedError("not JSON") from error


def finite(text: str) -> float:
    """Parse a JSON number; raises ValueError if it is not finite."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no finite number")
    return number
