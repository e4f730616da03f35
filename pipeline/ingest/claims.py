"""Claims of partners' vCons in Postgres, many with one call (`core.concurrency.group_commit`)."""

from collections.abc import Sequence
from uuid import UUID

from core.concurrency.group_commit import GroupCommit
from core.concurrency.thread_pool import BoundedCalls
from core.db.vcon_owners import Claim, VconOwners

AT_ONCE = 100
"""Claims of one call."""
MOST_WAITING = 1000
"""Claims that wait; further ones are refused."""


class Claims:
    """Claims vCons for lineages of keys; use it on one event loop only."""

    def __init__(self, owners: VconOwners, calls: BoundedCalls) -> None:
        """`calls` carries the calls of `owners`."""
        self._owners = owners
        self._calls = calls
        # a uuid that is claimed in the present call waits for the next: the first answer may decide
        self._group = GroupCommit[tuple[UUID, UUID], Claim](
            self._make,
            seconds=calls.seconds,
            at_once=AT_ONCE,
            most_waiting=MOST_WAITING,
            apart=lambda wanted: wanted[0],
        )

    async def claim(self, vcon_uuid: UUID, lineage: UUID) -> Claim:
        """Claim a vCon for a lineage; see `VconOwners.claim`.

        Raises:
            UnavailableError: Postgres is unavailable, or does not answer in the time of its calls.
        """
        return await self._group((vcon_uuid, lineage))

    async def _make(self, wanted: Sequence[tuple[UUID, UUID]]) -> Sequence[Claim]:
        claims = await self._calls(self._owners.claim, dict(wanted))
        return [claims[vcon_uuid] for vcon_uuid, _ in wanted]
