"""Dates and times of PostgreSQL that Python has no value for: they come back as texts.

PostgreSQL has `infinity`, years before 1 and after 9999, and `24:00`, for which psycopg raises.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.abc import Buffer
    from psycopg.adapt import Loader

KINDS = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")


async def take_any_time(connection: "AsyncConnection[Any]") -> None:
    """Make this connection return values that Python cannot represent as PostgreSQL's text."""
    from psycopg.pq import Format

    for kind in KINDS:
        oid = connection.adapters.types[kind].oid
        loader: Any = connection.adapters.get_loader(oid, Format.TEXT)
        connection.adapters.register_loader(kind, _or_text(loader))


@cache
def _or_text(loader: "type[Loader]") -> "type[Loader]":
    from psycopg import DataError
    from psycopg.adapt import Loader

    class OrText(Loader):
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._loader = loader(oid, context)

        def load(self, data: "Buffer") -> Any:
            text = bytes(data)
            try:
                if not text.endswith(b"infinity"):  # psycopg takes such an interval for none
                    return self._loader.load(text)
            except (DataError, ValueError, OverflowError, NotImplementedError):
                pass
            return text.decode()

    return OrText
