"""Which egress lists still have a vCon that no reader has taken from them.

A list that readers empty by themselves shows nothing of what they have read, so the copies in it
are compared with how often the vCon was put there: if all are still in it, none was read. A copy
whose lease has ended unacknowledged was read (`lent:` in `pc:about:`). What a reader may have seen
without taking it from the list is not known.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import WrongTypeError
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
        found = dict.fromkeys(names, 0)
        about = await self._about(vcon_uuid)
        lent = {each.removeprefix(keys.LENT) for each in about if each.startswith(keys.LENT)}
        for each in (vcon_uuid, *_named(keys.VERSION_OF, about)):
            holding = await self._connection.command("SMEMBERS", keys.holds(each))
            for name in {*holding} & {*names} - lent:
                found[name] += await self._count(name, each)
        return found

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


def _named(prefix: str, fields: Sequence[str]) -> Iterator[str]:
    for each in fields:
        if each.startswith(prefix) and (found := canonical_uuid(each.removeprefix(prefix))):
            yield found
