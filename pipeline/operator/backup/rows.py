"""The kinds of rows that a backup of Redis has, and their fields; checked before a restore begins.

A file may have right sums and still not be written by this service.
"""

from typing import NamedTuple

from core.errors import InvalidError
from pipeline.operator.backup.format import Row
from pipeline.operator.backup.redis_reader import JSON

_ANY = 1_000_000


class _Shape(NamedTuple):
    """`fewest`, `most` fields with the kind; `step`: they grow by so many; `number`: its place."""

    fewest: int
    most: int
    step: int = 1
    number: int = 0


_SHAPES = {
    "string": _Shape(3, 3),  # key, value
    "append": _Shape(3, 3),  # key, the next part of a long value
    JSON: _Shape(3, 3),  # key, JSON
    "hash": _Shape(4, _ANY, 2),  # key, fields and values
    "set": _Shape(3, _ANY),  # key, members
    "zset": _Shape(4, _ANY, 2),  # key, members and scores
    "list": _Shape(4, _ANY),  # key, flags of `backup_page.lua`, entries
    "place": _Shape(3, _ANY),  # list, elements that belong into it
    "expire": _Shape(3, 3, number=2),  # key, ms
    "again": _Shape(2, 2),  # vCon that may have come before
    "document": _Shape(5, 5, number=3),  # vCon, type, ms or -1, text
    "about": _Shape(4, _ANY, 2),  # vCon, fields and values
    "score": _Shape(3, 3),  # vCon, score
    "run": _Shape(4, 4, number=3),  # run, JSON, ms or -1
    "hold": _Shape(8, 8),  # vCon, hold, usable, attempts, reason, unread, further copies
}


def check_row(row: Row) -> None:
    """Check that a row can be written.

    Raises:
        InvalidError: it is of another kind, or has other fields.
    """
    shape = _SHAPES.get(row[0])
    if shape is None:
        msg = f"the backup has a row of an unknown kind, {row[0][:50]!r}: use a later version"
        raise InvalidError(msg)
    fits = shape.fewest <= len(row) <= shape.most and not (len(row) - shape.fewest) % shape.step
    if not fits or not _is_number(row[shape.number] if shape.number else "0"):
        msg = f"the backup has a row {row[0]} that no version of this service writes; use another"
        raise InvalidError(msg)


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit() and len(text) < 16
