"""Work on Redis in slices: one command or script per slice, so that other clients go on."""

from collections.abc import AsyncIterator, Iterator, Sequence

from pipeline.connection import RedisConnection

CHUNK = 500
"""Entries that one command or script looks at; other clients of Redis go on in between."""


def chunks[T](items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in their order, `size` at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


async def members(connection: RedisConnection, key: str) -> AsyncIterator[list[str]]:
    """All members of a set, or all fields of a hash, some at a time."""
    cursor = None
    while cursor != "0":
        cursor, *found = await connection.script("members", key, cursor or "0", CHUNK)
        if found:
            yield found
