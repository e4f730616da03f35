"""Where elements are when they are in no list: in flight, delayed, waiting, suspects, lent out.

Those with a hold are found by it, with their vCon. Those without one are written down here: of an
earlier version, beside holds of another type, or put into an egress list by another program; and
those whose hold may end with the run of another copy.
"""

from collections.abc import Awaitable, Callable, Sequence

from pipeline.operator.backup.format import PartWriter
from pipeline.operator.backup.redis_reader import Words, batch
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.slices import chunks

AT_ONCE = 500

type Place = tuple[str, str]
"""A list, and the element that belongs into it."""
type WritePlaces = Callable[[RedisConnection, PartWriter, Sequence[Place]], Awaitable[None]]


def asked_hold(name: str, element: str) -> Words:
    """The command that asks whether a vCon has the hold of an element."""
    vcon_uuid, _, run = element.partition("|")
    if name.startswith(keys.RUN_LIST) and run:
        return ("SISMEMBER", keys.holds(vcon_uuid), f"{name}|{run}")
    return ("SISMEMBER", keys.holds(element), name)


def places_in(key: str, entries: Sequence[str]) -> list[Place]:
    """The places that the entries of such a key say; what cannot be read is left out.

    Entries: the values of `pc:inflight:`, the elements of a list, the members of a sorted set.
    """
    for start in ("pc:suspects:", "pc:lease:"):
        if key.startswith(start):
            return [(key.removeprefix(start), each) for each in entries]
    if key.startswith("pc:inflight:"):
        entries = [each.partition("\n")[2].partition("\n")[2] for each in entries]
    parted = [each.partition("\n") for each in entries]
    return [(name, element) for name, _, element in parted if name and element]


async def write_places(
    _connection: RedisConnection, part: PartWriter, places: Sequence[Place]
) -> None:
    """Write places, whether there are holds or not."""
    for name in dict.fromkeys(name for name, _ in places):
        part.row("place", name, *(element for other, element in places if other == name))


async def write_unheld(
    connection: RedisConnection, part: PartWriter, places: Sequence[Place]
) -> None:
    """Write the places of elements without a hold."""
    for some in chunks(places, AT_ONCE):
        held = await batch(connection, [asked_hold(*place) for place in some])
        unheld = [place for place, is_held in zip(some, held, strict=True) if is_held != 1]
        await write_places(connection, part, unheld)
