"""Dividing a large document into a first text and commands that complete it.

Each command takes Redis about two milliseconds: `parsed_bytes` estimates that time well, at 1 ms
for each million. Smaller pieces would take more time together, since each `JSON.STRAPPEND` copies
the whole string: 5 MB in pieces of 2.5 million take 7 ms, of half a million 18. The commands append
to arrays and to long strings, and merge further members into objects. `Pieces.undo` lists the cuts
of arrays that free the document again in steps as small.
Why this is needed is at the head of `staging.py`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.phoenix.lenient_json import PER_LIST, PER_OBJECT, PER_VALUE, parsed_bytes

LARGE = 2_500_000
"""Estimated bytes in memory above which a document is written in pieces."""
PIECE = 2_000_000
"""Estimated bytes in memory that one command writes."""
_MEMBERS = 500_000
"""The same for members of an object, which take longer."""
CERTAINLY_SMALL = 20_000
"""Bytes of text that cannot take `LARGE` bytes in memory."""
_GROUP = 1000
"""Elements of an array that one command appends at most."""
_SAMPLE = 16
"""Elements that are looked at first."""
_DEEPEST = 100
"""Levels of nesting; RedisJSON parses 127, and the whole document must be readable, too."""
_LONGEST_TRAIL = 8
"""Names and positions in a path; deeper values are written in one piece."""
_CONTAINERS = (dict, list)
"""For `isinstance`, which takes twice as long with a union."""
_NAME = re.compile(r"""[^"'\\\x00-\x1f\ud800-\udfff]{1,64}""")
"""Names that need no escape in a path."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A command at a path; `reply`: the length of the array or string after it, if known."""

    command: str
    path: str
    lines: bytes
    """JSON texts, one a line: a list of a million texts would block the event loop."""
    reply: int | None = None
    before: int | None = None
    """The length of the array before."""

    @property
    def texts(self) -> list[bytes]:
        """The arguments of the command."""
        return self.lines.split(b"\n")


@dataclass(frozen=True, slots=True)
class Pieces:
    """A document: its first text, and the pieces that complete it in their order."""

    first: bytes
    then: list[Piece] = field(default_factory=list)

    @property
    def undo(self) -> str:
        """The cuts that free it, in order: JSON pairs of a path and the array's length after it."""
        cuts = [(each.path, each.before) for each in self.then if each.before is not None]
        return orjson.dumps(cuts[::-1]).decode()


def is_large(text: bytes | str) -> bool:
    """Whether a document must be written in pieces."""
    if len(text) < CERTAINLY_SMALL or len(text) > LARGE:
        return len(text) > LARGE  # without scanning the text
    return parsed_bytes(text if isinstance(text, bytes) else text.encode()) > LARGE


def pieces_of(text: bytes | str) -> Pieces | None:
    """The pieces of a document; None if it can only be written as a whole."""
    try:
        document = orjson.loads(text)
        return None if _is_deep(document) else divided(document)
    except (TypeError, ValueError):  # numbers or surrogates that orjson refuses
        return None


def divided(document: Any) -> Pieces:
    """The pieces of a parsed document of at most 100 levels.

    Raises:
        TypeError: a number or a text in it that orjson refuses.
    """
    then: list[Piece] = []
    return Pieces(_begun(document, ("$",), then), then)


def _is_deep(document: object) -> bool:
    level = [document]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)  # type: ignore[attr-defined]
            if isinstance(inner, _CONTAINERS)
        ]
        if not level:
            return False
    return True


def _begun(
    value: Any, trail: tuple[str, ...], then: list[Piece], weight: int | None = None
) -> bytes:
    """The first text of a value; the pieces that complete it are added to `then`."""
    weight = _weight(value) if weight is None else weight
    if len(trail) > _LONGEST_TRAIL or weight <= PIECE:
        return b"%b" % orjson.dumps(value)  # a copy: orjson leaves a hole of 1 kB behind each text
    if isinstance(value, str):
        return _begun_string(value, trail, then)
    if isinstance(value, list):
        then += _appended(value, trail)
        return b"[]"
    return _begun_object(value, trail, then)


def _begun_string(value: str, trail: tuple[str, ...], then: list[Piece]) -> bytes:
    size = PIECE if value.isascii() else PIECE // 2  # a character may take several bytes
    length = len(value[:size].encode())
    for first in range(size, len(value), size):
        part = value[first : first + size]
        length += len(part.encode())
        then.append(Piece("JSON.STRAPPEND", "".join(trail), orjson.dumps(part), length))
    return orjson.dumps(value[:size])


def _appended(values: Sequence[Any], trail: tuple[str, ...]) -> Iterator[Piece]:
    """Small elements in groups; a large one by its first text, followed by its own pieces."""
    first, path = 0, "".join(trail)
    size = _SAMPLE if len(values) <= _SAMPLE else _size_like(*_group(values[:_SAMPLE])[1:])
    while first < len(values):
        then: list[Piece] = []
        lines, count, weight = _group(values[first : first + size])
        if count == 1:
            lines = _begun(values[first], (*trail, f"[{first}]"), then)
        yield Piece("JSON.ARRAPPEND", path, lines, first + count, first)
        yield from then
        first += count
        size = _size_like(count, weight)


def _size_like(count: int, weight: int) -> int:
    """The elements of a group that is a little less than a piece, if they are like these."""
    return min(count * PIECE * 9 // (weight * 10) + 1, _GROUP)


def _group(values: Sequence[Any]) -> tuple[bytes, int, int]:
    """The texts of the first values, one command's worth; their number and estimated bytes."""
    texts, size = list[bytes](), 0
    for each in values:
        texts.append(orjson.dumps(each))
        size += len(texts[-1])
        if size > PIECE:
            break
    while len(texts) > 1:
        lines = b"\n".join(texts)
        weight = parsed_bytes(lines) + PER_VALUE * len(texts)
        if weight <= PIECE:
            return lines, len(texts), weight
        del texts[max(len(texts) * PIECE // weight, 1) :]
    return texts[0], 1, parsed_bytes(texts[0]) if len(texts[0]) <= PIECE else len(texts[0])


def _weight(value: Any) -> int:
    """Estimated bytes in memory, as `parsed_bytes`; stops counting above `PIECE`."""
    weight, todo = 0, [value]
    while todo and weight <= PIECE:
        each = todo.pop()
        if isinstance(each, str):
            weight += PER_VALUE + len(each)
        elif isinstance(each, list | dict):
            weight += PER_VALUE * len(each) + PER_LIST
            if isinstance(each, dict):
                weight += PER_OBJECT + sum(map(len, each))
            if weight <= PIECE:
                todo += each.values() if isinstance(each, dict) else each
    return weight


def _begun_object(value: Mapping[str, Any], trail: tuple[str, ...], then: list[Piece]) -> bytes:
    """The first members, and all that contain `null`, which a merge would remove."""
    inner: list[Piece] = []
    groups: list[list[bytes]] = [[]]
    weight = 0
    for name, each in value.items():
        into = (*trail, f'["{name}"]')
        its = _weight(each)
        begun = _begun(each, into, inner, its) if _NAME.fullmatch(name) else orjson.dumps(each)
        member = b"%b:%b" % (orjson.dumps(name), begun)
        weight += PER_VALUE + len(member) + (0 if begun == b"[]" else its)
        if b"null" in member:
            groups[0].append(member)
            continue
        if weight > _MEMBERS:
            groups.append([])
            weight = 0
        groups[-1].append(member)
    texts = [b"{" + b",".join(each) + b"}" for each in groups]
    then += [Piece("JSON.MERGE", "".join(trail), text) for text in texts[1:]]
    then += inner
    return texts[0]
