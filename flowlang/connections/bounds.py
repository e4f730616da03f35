"""Limits of a result: rows and bytes, each a field of the connection's configuration."""

from collections.abc import Callable, Mapping
from typing import Any

MOST_ROWS = 10_000
MOST_BYTES = 8_000_000

BOUNDS: Mapping[str, Mapping[str, Any]] = {
    "max_rows": {
        "type": "integer",
        "default": MOST_ROWS,
        "minimum": 1,
        "description": "The most rows, documents or records of one result",
    },
    "max_bytes": {
        "type": "integer",
        "default": MOST_BYTES,
        "minimum": 1000,
        "description": "About the most bytes of one result",
    },
}
TRUNCATED = {"truncated": True}
"""Added to the outputs when a result was cut."""


class Kept[Row]:
    """The rows of one result up to the limits; the first that does not fit ends it."""

    def __init__(self, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> None:
        self.rows: list[Row] = []
        self.is_cut = False
        self._most = most_rows
        self._left = most_bytes

    def add(self, row: Row) -> bool:
        """Keep a row if it fits, and return whether it did."""
        return self.take(size_of(row), lambda: row)

    def take(self, size: int, made: Callable[[], Row]) -> bool:
        """The same for a row of a known size, which is made only if there is room."""
        self._left -= size
        if self._left < 0 or len(self.rows) >= self._most:
            self.is_cut = True
        if not self.is_cut:
            self.rows.append(made())
        return not self.is_cut

    @property
    def told(self) -> dict[str, Any]:
        """Outputs to add to the rows: `truncated` if the result was cut."""
        return dict(TRUNCATED) if self.is_cut else {}


def require_room(size: int, most: int, what: str) -> None:
    """Raise ValueError for a value with more bytes than a result may have; it is not cut."""
    if size > most:
        raise ValueError(f"{what} has {size} bytes, above max_bytes {most}")


def size_of(value: Any) -> int:
    """About the bytes of a value as JSON."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        return len(value) + 3
    if isinstance(value, Mapping):
        return 2 + sum(len(str(key)) + 4 + size_of(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return 2 + sum(map(size_of, value))
    return 8
