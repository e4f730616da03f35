"""Which egress lists still have a vCon that no reader has taken from them.

A list that readers empty by themselves shows nothing of what they have read, so the copies in it
are compared with how often the vCon was put there: if all are still in it, none was read. A copy
whose lease has ended unacknowledged was read (`lent:` in `pc:about:`). What a reader may have seen
without taking it from the list is not known. A reader may come at any time, so what counts in the
end is how many copies an erasure has itself taken out.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import WrongTypeError
from pipeline.redis_client.slices import find_first
from schemas.uuids import canonical_uuid

MOST_LOOKED_AT: Final = 200_000
"""Elements at each end of a list that are compared; other clients of Redis wait meanwhile."""


class EgressLists:
    """Looks into egress lists. Every method raises UnavailableError without Redis."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def versions_of(self, vcon_uuid: str) -> list[str]:
        """The versions for egress that runs which hold the vCon have written, ended or not."""
        return [*_named(keys.VERSION_OF, await self._about(vcon_uuid))]

    async def copies(self, vcon_uuid: str, names: Sequence[str]) -> dict[str, int]:
        """How often each list has the vCon, or a version of it that a run has made for egress.

        A list from which a reader had one of them has none that counts.
        """
        found, lent = dict.fromkeys(names, 0), set[str]()
        for each in (vcon_uuid, *await self.versions_of(vcon_uuid)):
            about = await self._about(each)
            lent |= {field.removeprefix(keys.LENT) for field in about if _is_lent(field)}
            holding = await self._connection.command("SMEMBERS", keys.holds(each))
            for name in {*holding} & {*names}:
                found[name] += await self._count(name, each)
        return {name: 0 if name in lent else count for name, count in found.items()}

    async def take(self, vcon_uuid: str, name: str) -> int:
        """Take the copies that `copies` counts out of a list; how many those were.

        Each leaves the list in the script that finds it, so a reader has either all or none of it.
        """
        count = 0
        for each in (vcon_uuid, *await self.versions_of(vcon_uuid)):
            while at := await find_first(self._connection, name, [each]):
                if not await self._connection.script("take_unread", name, each, at[each]):
                    break
                count += 1
        return count

    async def _count(self, name: str, vcon_uuid: str) -> int:
        command, most = self._connection.command, ("COUNT", 0, "MAXLEN", MOST_LOOKED_AT)
        try:
            first = await command("LPOS", name, vcon_uuid, *most)
            last = await command("LPOS", name, vcon_uuid, "RANK", -1, *most)
        except WrongTypeError:  # another program's
            return 0
        return len({*first, *last})

    async def _about(self, vcon_uuid: str) -> list[str]:
        try:
            return list(await self._connection.command("HKEYS", keys.about(vcon_uuid)))
        except WrongTypeError:  # another program's
            return []


def _is_lent(field: str) -> bool:
    return field.startswith(keys.LENT)


def _named(prefix: str, fields: Sequence[str]) -> Iterator[str]:
    for each in fields:
        if each.startswith(prefix) and (found := canonical_uuid(each.removeprefix(prefix))):
            yield found
