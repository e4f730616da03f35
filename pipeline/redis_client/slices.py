"""Work on large lists, sets and hashes in slices, so that Redis serves other clients in between.

Positions in a list are counted from the tail: entries that are taken out at the head do not change
them, and entries that are added at the tail make them a little too small. The slices overlap, so an
element is not missed because entries behind it were taken out meanwhile. The script that changes
the list searches around the position again: see `scripts/parts/take_at.lua`.
"""

from collections.abc import AsyncIterator, Iterator, Sequence

from pipeline.redis_client.client import RedisConnection

CHUNK = 500
"""Entries of one command or script."""
SLICE, OVERLAP = 2000, 200
"""Entries of a list that `find.lua` reads in one call, and those that two slices share."""

type Positions = dict[str, list[int]]
"""Element -> its positions, the one nearest to the tail first."""


def chunks[T](items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, `size` at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


async def members(connection: RedisConnection, key: str) -> AsyncIterator[list[str]]:
    """All members of a set, or all fields of a hash, some at a time."""
    cursor = None
    while cursor != "0":
        cursor, *found = await connection.script("members", key, cursor or "0", CHUNK)
        if found:
            yield found


async def find_all(connection: RedisConnection, name: str, elements: Sequence[str]) -> Positions:
    """Every copy of these elements in a list; one that is moved meanwhile may be missed."""
    found: Positions = {}
    last, seen = -1, SLICE
    while elements and seen == SLICE:
        seen = await _look(connection, name, last, elements, found)
        last -= SLICE - OVERLAP
    return {each: sorted(set(positions), reverse=True) for each, positions in found.items()}


async def find_first(
    connection: RedisConnection, name: str, elements: Sequence[str], near: int | None = None
) -> dict[str, int]:
    """One position of each element that is in the list.

    Searches the slice around the position `near` first, then the head, then from the tail on.
    """
    found: Positions = {}
    length = int(await connection.command("LLEN", name))
    for last in _slices(length, near):
        await _look(connection, name, last, elements, found)
        if len(found) == len(set(elements)):
            break
    return {each: positions[-1] for each, positions in found.items()}


def _slices(length: int, near: int | None) -> Iterator[int]:
    """The position of the last entry of each slice."""
    if near is not None:
        yield min(near + SLICE // 2, -1)
    yield min(SLICE - length - 1, -1)
    yield from range(-1, -length - 1, OVERLAP - SLICE)


async def _look(
    connection: RedisConnection, name: str, last: int, elements: Sequence[str], found: Positions
) -> int:
    seen, *hits = await connection.script("find", name, last, SLICE, *elements)
    for number, position in zip(hits[::2], hits[1::2], strict=True):
        found.setdefault(elements[number], []).append(position)
    return int(seen)
