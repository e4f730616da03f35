"""Owners of vCons and usage of keys, on their way to Postgres.

Owners wait in Redis (`pc:owners`), so that no request waits for Postgres and none is lost. Usage
waits in memory; a process that crashes loses the counts of a few seconds.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from uuid import UUID

from core.concurrency.thread_pool import in_own_thread
from core.db.usage_and_audit import UsageAndAudit, Used
from core.db.vcon_owners import OURS
from core.errors import PatchcordError
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection

BATCH = 500
"""Owners that one transaction writes."""

type WriteOwners = Callable[[Mapping[str, UUID]], None]


class OwnerOutbox:
    """Moves owners from Redis into Postgres, in batches.

    Several replicas may do it at once, since a row that exists is not changed. Nothing is dropped
    while Postgres is unavailable: a uuid without an owner could be taken by another partner.
    """

    def __init__(self, connection: RedisConnection, write: WriteOwners) -> None:
        """`write` is called in threads; raises UnavailableError while Postgres is away."""
        self._connection = connection
        self._write = write

    async def drain(self) -> None:
        """Write all owners that wait.

        Raises:
            UnavailableError: Redis or Postgres cannot be reached; nothing is lost.
        """
        # The loop ends at a batch that is not full. Until none waits would never be reached while
        # vCons come in, and each would have a transaction of its own.
        while uuids := await self._connection.command("HRANDFIELD", keys.OWNERS, BATCH):
            lineages = await self._connection.command("HMGET", keys.OWNERS, *uuids)
            found = dict(zip(uuids, lineages, strict=True))
            owners = {
                each: UUID(lineage) if lineage else OURS
                for each, lineage in found.items()
                if lineage is not None  # else another replica has written it
            }
            if owners:
                await in_own_thread(self._write, owners)
                await self._connection.command("HDEL", keys.OWNERS, *owners)
            if len(uuids) < BATCH:
                break


class UsageMeter:
    """Counts what keys are used for, in memory until `write`."""

    def __init__(self, ledger: UsageAndAudit) -> None:
        """`ledger` is called in threads."""
        self._ledger = ledger
        self._used: dict[date, dict[UUID, Used]] = {}
        self._recent: Counter[tuple[UUID, str]] = Counter()

    def accepted(self, key_id: UUID, size: int) -> None:
        """Count an accepted vCon of `size` bytes."""
        used = self._now(key_id)
        used.accepted += 1
        used.bytes += size
        self._recent[key_id, "accepted"] += 1
        self._recent[key_id, "bytes"] += size

    def refused(self, key_id: UUID, reason: str) -> None:
        """Count a refused request."""
        used = self._now(key_id)
        used.refused[reason] = used.refused.get(reason, 0) + 1
        self._recent[key_id, reason] += 1

    def recent(self) -> Mapping[tuple[UUID, str], int]:
        """What was counted since the last call, by key and `accepted`, `bytes` or a reason."""
        recent, self._recent = self._recent, Counter()
        return recent

    async def write(self) -> None:
        """Write the counts, one transaction a day; counts that are not written are kept.

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
