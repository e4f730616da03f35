"""What partners' keys are used for, until it is written down."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from uuid import UUID

from core.db.usage_and_audit import UsageAndAudit, Used
from core.db.vcon_owners import OURS
from core.errors import PatchcordError
from core.thread_pool import in_own_thread
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection

# Who has brought vCons in waits in Redis until Postgres has it: no door has to wait for that.

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


class UsageMeter:
    """Counts in memory, and writes down now and then: a crash may lose a few seconds of counts."""

    def __init__(self, ledger: UsageAndAudit) -> None:
        """Nothing is counted yet. `ledger` is called in threads."""
        self._ledger = ledger
        self._used: dict[date, dict[UUID, Used]] = {}

    def accepted(self, key_id: UUID, size: int) -> None:
        """One vCon of so many bytes was taken in."""
        used = self._now(key_id)
        used.accepted += 1
        used.bytes += size

    def refused(self, key_id: UUID, reason: str) -> None:
        """One was turned away."""
        used = self._now(key_id)
        used.refused[reason] = used.refused.get(reason, 0) + 1

    async def write(self) -> None:
        """Write down what was counted, each day on its own; what is not written stays here.

        Raises:
            UnavailableError: when Postgres cannot be reached.
        """
        while self._used:
            day, used = self._used.popitem()
            try:
                await in_own_thread(self._ledger.add_usage, day, used)
            except PatchcordError:
                for key_id, each in used.items():
                    self._put_back(day, key_id, each)
                raise

    def _now(self, key_id: UUID) -> Used:
        now = datetime.now(UTC)
        used = self._used.setdefault(now.date(), {}).setdefault(key_id, Used(now))
        used.last = now
        return used

    def _put_back(self, day: date, key_id: UUID, earlier: Used) -> None:
        used = self._used.setdefault(day, {}).setdefault(key_id, earlier)
        if used is earlier:
            return
        used.accepted += earlier.accepted
        used.bytes += earlier.bytes
        for reason, count in earlier.refused.items():
            used.refused[reason] = used.refused.get(reason, 0) + count
