"""Parsing of JSON that not every parser accepts, so that a request with it gets a 400 answer.

orjson refuses a whole text for one integer of more than 64 bits, half a surrogate pair, or nesting
beyond 1,024 levels; so do Redis and Postgres. The standard library's parser accepts the first two,
which gives the path of the bad value for the error message. Values that are nested too deeply for
it are cut out of the text first.
"""

import json
import re
import uuid
from collections.abc import Iterator
from math import inf, isfinite
from typing import Any, NamedTuple

import orjson

# Memory of parsed JSON. It can be many times the text: an empty list takes two characters and 56
# bytes. The estimate counts the characters that begin values, which is much faster than parsing.

PER_OBJECT = 280
"""Bytes of an object with one member: its table, the name, and the reference to it."""
PER_LIST = 88
PER_VALUE = 72
"""Bytes of a number or a short text, and of the reference to it."""
WIDEST = 4
"""Bytes of each character of a str with a character above U+FFFF."""

_OTHERS = bytes(sorted(set(range(256)) - set(b"{[,")))


def parsed_bytes(text: bytes) -> int:
    """Estimate the memory of the parsed text in bytes; it errs on the large side."""
    begin = text.translate(None, _OTHERS)  # one pass instead of three
    # a search for one byte is twenty times as fast as one for two
    is_narrow = text.isascii() and (b"\\" not in text or b"\\u" not in text)
    return (
        len(text) * (1 if is_narrow else WIDEST)
        + PER_OBJECT * begin.count(b"{")
        + PER_LIST * begin.count(b"[")
        + PER_VALUE * begin.count(b",")
    )


_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|(?P<open>[\[{]+)|(?P<close>[\]}]+)', re.DOTALL)


def without_deep_values(text: str, level: int, deepest: int, instead: str) -> tuple[str, list[str]]:
    """Replace each value that opens at `level` and nests deeper than `deepest` by `instead`.

    Returns the text and the values cut out, in their order. Levels count from 1, the outermost
    bracket. The time is linear in the length of the text, at any depth. Invalid JSON stays
    invalid.
    """
    kept, cut, end, start = [], [], 0, 0
    depth = reached = 0
    for found in _BRACKETS.finditer(text):
        count = found.end() - found.start()
        if found.lastgroup == "open":
            if depth < level <= depth + count:
                start, reached = found.start() + level - depth - 1, 0
            depth += count
            reached = max(reached, depth)
        elif found.lastgroup == "close":
            if depth >= level > depth - count and reached > deepest:
                kept += [text[end:start], instead]
                end = found.start() + depth - level + 1
                cut.append(text[start:end])
            depth -= count
    return "".join([*kept, text[end:]]), cut


_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
UNREADABLE = "The request cannot be read: {}"
"""Message to the caller about an `Unreadable`."""
NO_NUMBER = "not a finite number, or an integer of more than 64 bits"
_MOST_DIGITS = 400
_LONGEST_PLACE = 200
_DEEPEST = 254
"""Levels of nesting that orjson encodes."""
_DIGITS = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_LONG = b"0" * 19
_LONG_INTEGER = re.compile(rb"[\s:,\[](?:\d{20,}+|-\d{19,}+)[\s,\]}]")
_MEMBERS = 3
"""The level of a message at which the values of its payload's members open."""
_TOO_DEEP = f"too deep {uuid.uuid4()}"
"""Placeholder of a value that was cut out; callers cannot guess it."""
_HALF = "holds half a surrogate pair, which is no valid Unicode"

type _Part = tuple[str, Any, str]


class Unreadable(NamedTuple):
    """Placeholder of a value that is not kept; `why` is the path in it and the error."""

    why: str


def loads(text: str | bytes) -> Any:
    """Parse a message; members of its payload that not every parser accepts are `Unreadable`.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        message = orjson.loads(text)
        return _exact(message, text)
    except orjson.JSONDecodeError as error:
        try:
            return _marked(_read(text if isinstance(text, str) else text.decode()))
        except (ValueError, RecursionError):
            raise error from None


def may_be_rounded(text: bytes) -> bool:
    """True if orjson may read an integer of more than 64 bits in it, as a float.

    Much faster than parsing.
    """
    return _LONG in text.translate(_DIGITS) and _LONG_INTEGER.search(text) is not None


def _exact(message: Any, text: str | bytes) -> Any:
    """The message, parsed again if orjson has rounded an integer to a float."""
    written = text.encode() if isinstance(text, str) else text
    return _marked(_read(written.decode())) if may_be_rounded(written) else message


def _read(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError:
        shallow, _ = without_deep_values(text, _MEMBERS, _DEEPEST, f'"{_TOO_DEEP}"')
        return json.loads(shallow, parse_int=_integer)


def _marked(message: Any) -> Any:
    if isinstance(message, dict):
        return {name: _payload(value) for name, value in message.items()}
    return [_payload(value) for value in message] if isinstance(message, list) else message


def _payload(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _member(name, each) for name, each in value.items()}


def _member(name: str, value: Any) -> Any:
    if value == _TOO_DEEP:
        return Unreadable(f"{name[:_LONGEST_PLACE]}: nested more than {_DEEPEST} levels deep")
    if fault := _first_fault(name, value):
        return Unreadable(fault)
    try:
        orjson.dumps(value)
    except TypeError:  # orjson encodes fewer levels than it decodes
        return Unreadable(f"{name[:_LONGEST_PLACE]}: nested more than {_DEEPEST} levels deep")
    return value


def _first_fault(name: str, value: Any) -> str:
    """Path and error of the first value that Redis or Postgres would refuse; empty if none.

    Linear in the number of values. The stack holds one iterator per level, so memory grows with the
    depth only, and the path is built once an error is found. Not recursive, because the value may
    be nested deeply.
    """
    trail: list[tuple[str, Iterator[_Part]]] = [(name, _parts(value))]
    while trail:
        for part, inner, fault in trail[-1][1]:
            if fault:
                return f"{_place(trail, part)}: {fault}".encode(errors="replace").decode()
            trail.append((part, _parts(inner)))
            break
        else:
            trail.pop()
    return ""


def _parts(value: Any) -> Iterator[_Part]:
    """The containers and the bad values directly in a value: path part, value, error."""
    if isinstance(value, dict):
        return _members_of(value)
    if isinstance(value, list):
        return _elements_of(value)
    fault = _fault(value)
    return iter([("", None, fault)] if fault else [])


def _members_of(container: dict[str, Any]) -> Iterator[_Part]:
    for name, each in container.items():
        if fault := _fault(name):
            yield ": a name", None, fault
        if (fault := _fault(each)) or isinstance(each, dict | list):
            yield f".{name[:_LONGEST_PLACE]}", each, fault


def _elements_of(container: list[Any]) -> Iterator[_Part]:
    for number, each in enumerate(container):
        if (fault := _fault(each)) or isinstance(each, dict | list):
            yield f"[{number}]", each, fault


def _place(trail: list[tuple[str, Iterator[_Part]]], last: str) -> str:
    shown = [part for part, _ in trail[: _LONGEST_PLACE + 1]]
    return "".join([*shown, last])[:_LONGEST_PLACE]


def _fault(value: Any) -> str:
    if isinstance(value, str):
        return "" if _is_unicode(value) else _HALF
    return "" if value is None or isinstance(value, dict | list) or _is_kept(value) else NO_NUMBER


def _is_unicode(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _is_kept(number: object) -> bool:
    """False for NaN, infinities and integers of more than 64 bits."""
    if isinstance(number, float):
        return isfinite(number)
    return isinstance(number, int) and _SMALLEST <= number <= _LARGEST


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else inf  # int() refuses thousands of digits
