"""Reading and writing large JSON in steps, between which other threads get the interpreter's lock.

A parser holds the lock: for 5 MB of many small values 60 to 120 ms, in which the event loop stands
still although a thread does the work. Here each call of the parser gets about `STEP` bytes: the
elements of large lists, and the members of large objects, two levels deep. One long text is parsed
at once, 8 MB in 5 ms.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

FEW = 5_000
"""Commas of a text that is parsed at once."""
STEP = 100_000
"""Bytes that are parsed at once, if they are values that can be divided."""
ELEMENTS = 1000
"""Elements of a list that are written at once."""
LEVELS = 3
"""Levels that are divided: the members of a vCon, its entries, the members of an entry."""
_OBJECT = ord("{")
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUES = msgspec.json.Decoder(list[msgspec.Raw])


def loads(text: bytes | str) -> Any:
    """`orjson.loads` in steps.

    Raises:
        orjson.JSONDecodeError: the text is not JSON.
    """
    try:
        written = text.encode() if isinstance(text, str) else text
        return _read(memoryview(written), LEVELS if written.count(b",") > FEW else 0)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return orjson.loads(text)  # for its error, or because it accepts what the other does not


def _read(text: memoryview, levels: int) -> Any:
    if len(text) <= STEP or levels == 0 or text[0] not in b"{[":
        return orjson.loads(text)
    if text[0] == _OBJECT:
        members = _MEMBERS.decode(text).items()
        return {name: _read(memoryview(each), levels - 1) for name, each in members}
    found: list[Any] = []
    for group in _groups(_VALUES.decode(text)):
        if len(group) == 1:
            found.append(_read(memoryview(group[0]), levels - 1))
        else:
            found += orjson.loads(b"[" + b",".join(group) + b"]")
    return found


def _groups(values: list[msgspec.Raw]) -> Iterator[list[bytes] | list[memoryview]]:
    """The texts of neighbours, about `STEP` bytes together."""
    if len(values) == 1:
        yield [memoryview(values[0])]
        return
    group: list[bytes] = []
    size = 0
    for text in map(bytes, values):
        if group and size + len(text) > STEP:
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text)
    if group:
        yield group


def dumps(document: dict[str, Any]) -> bytes:
    """`orjson.dumps` in steps: a member at a time, of long lists `ELEMENTS` at a time.

    Raises:
        orjson.JSONEncodeError: a value cannot be written.
    """
    has_long = any(type(each) is list and len(each) > ELEMENTS for each in document.values())
    if not has_long or not all(type(name) is str for name in document):
        return orjson.dumps(document)
    parts = [b"{"]
    for name, value in document.items():
        parts += (orjson.dumps(name), b":", *_written(value), b",")
    parts[-1] = b"}"
    return b"".join(parts)


def _written(value: Any) -> Iterator[bytes]:
    if type(value) is not list or len(value) <= ELEMENTS:
        yield orjson.dumps(value)
        return
    before = b"["
    for first in range(0, len(value), ELEMENTS):
        yield before
        yield orjson.dumps(value[first : first + ELEMENTS])[1:-1]
        before = b","
    yield b"]"
