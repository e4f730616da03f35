"""Who has brought vCons in waits in Redis until Postgres has it: no door has to wait for that."""

from collections.abc import Callable, Mapping
from uuid import UUID

from core.ingress_owners import OURS
from core.own_thread import in_own_thread
from pipeline import keys
from pipeline.connection import RedisConnection

BATCH = 500

type WriteOwners = Callable[[Mapping[str, UUID]], None]


class OwnerOutbox:
    """Moves owners from Redis into Postgres, in batches.

    Every replica may do it at once: what has been written down once is not changed by the second
    time. Nothing is given up while Postgres is away: a uuid that is forgotten would be free.
    """

    def __init__(self, connection: RedisConnection, write: WriteOwners) -> None:
        """`write` is called in threads; raises UnavailableError while Postgres is away."""
        self._connection = connection
        self._write = write

    async def drain(self) -> None:
        """Write down all that waits, but for what comes meanwhile.

        Raises:
            UnavailableError: when Redis or Postgres cannot be reached; nothing is lost.
        """
        # Not until there is none: with one vCon after the other that would never be so, and each
        # would have a transaction of its own.
        while uuids := await self._connection.command("HRANDFIELD", keys.OWNERS, BATCH):
            lineages = await self._connection.command("HMGET", keys.OWNERS, *uuids)
            found = dict(zip(uuids, lineages, strict=True))
            owners = {
                each: UUID(told) if told else OURS
                for each, told in found.items()
                if told is not None  # else another replica was quicker
            }
            if owners:
                await in_own_thread(self._write, owners)
                await self._connection.command("HDEL", keys.OWNERS, *owners)
            if len(uuids) < BATCH:
                break
