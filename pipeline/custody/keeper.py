"""The custody of accepted vCons, without blocking the event loop.

Postgres is always ahead of Redis. A row is committed before a script queues the vCon, and a place
is released, together with the history of its run, before a script ends the run. So Redis can be
lost at any time: what Postgres holds and Redis does not know is queued again, and what Postgres has
released is not (`pipeline.recovery`).

`Keeper` is the interface, `NoKeeper` what stands for it with CUSTODY=redis.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from core.concurrency.group_commit import GroupCommit
from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import Checkpoint, Custody, NewCustody, Release
from core.db.custody_acceptance import Acceptance
from core.errors import UnavailableError
from core.observability.metrics import CUSTODY_FALLBACKS
from core.setting_groups.custody import CustodySettings

SECONDS = 2.0
"""The most that a request waits for Postgres."""
AT_ONCE, MOST_BYTES = 100, 8_000_000
"""Rows of one statement, and the bytes of their documents."""
MOST_WAITING = 2000
"""Requests that wait for a statement; further ones are refused."""


class Keeper(Protocol):
    """Takes vCons into custody and releases them. Each method awaits the commit.

    Each method raises `UnavailableError` if Postgres does not commit within `SECONDS`; it may have
    carried the request out all the same.
    """

    is_kept: bool
    """Whether there is custody at all."""

    async def accept(self, item: NewCustody) -> str:
        """Take one vCon into custody; its ref.

        "" without custody, or if Postgres is away and CUSTODY_FALLBACK accepts the vCon then.
        """
        ...

    async def drop(self, ref: str) -> None:
        """Undo `accept`: Redis has refused the vCon, or there was nothing to be queued."""
        ...

    async def release(self, releases: Sequence[Release]) -> None:
        """End the custody of these places."""
        ...

    async def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Note where a run continues."""
        ...

    def close(self) -> None:
        """Close the connection; nothing is called afterwards."""
        ...

    async def erase(self, vcon_uuid: str) -> None:
        """End the custody of a vCon in all places, and remove what is kept of it."""
        ...


class NoKeeper:
    """Stands for `Keeper` where Redis alone keeps vCons."""

    is_kept = False

    async def accept(self, item: NewCustody) -> str:
        """Nothing is kept."""
        return ""

    async def drop(self, ref: str) -> None:
        """Nothing was kept."""

    async def release(self, releases: Sequence[Release]) -> None:
        """Nothing was kept."""

    async def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""

    async def erase(self, vcon_uuid: str) -> None:
        """Nothing is kept."""


class PostgresKeeper:
    """Keeps vCons in Postgres; requests that wait share a statement."""

    is_kept = True

    def __init__(self, custody: Custody, calls: BoundedCalls, *, falls_back: bool = False) -> None:
        """`calls` carries the calls of `custody`. `falls_back`: the setting CUSTODY_FALLBACK."""
        self._custody = custody
        self._calls = calls
        self._acceptance = Acceptance(custody.database, calls, SECONDS)
        self._falls_back = falls_back
        how: Any = {"seconds": SECONDS, "at_once": AT_ONCE, "most_waiting": MOST_WAITING}
        self._accepts = GroupCommit[NewCustody, str](
            self._acceptance, **how, weight=lambda item: len(item.document), most_weight=MOST_BYTES
        )
        self._drops = GroupCommit[str, None](self._drop, **how)
        self._releases = GroupCommit[Sequence[Release], None](self._release, **how)
        self._checkpoints = GroupCommit[Checkpoint, None](
            self._checkpoint, **how, weight=lambda each: len(each.document), most_weight=MOST_BYTES
        )

    async def accept(self, item: NewCustody) -> str:
        """See `Keeper`."""
        try:
            return await self._accepts(item)
        except UnavailableError:
            if not self._falls_back:
                raise
        CUSTODY_FALLBACKS.inc()
        return ""

    async def drop(self, ref: str) -> None:
        """See `Keeper`."""
        if ref:
            await self._drops(ref)

    async def release(self, releases: Sequence[Release]) -> None:
        """See `Keeper`."""
        if releases:
            await self._releases(releases)

    async def checkpoint(self, checkpoint: Checkpoint) -> None:
        """See `Keeper`."""
        await self._checkpoints(checkpoint)

    def close(self) -> None:
        """See `Keeper`."""
        self._acceptance.close()

    async def erase(self, vcon_uuid: str) -> None:
        """See `Keeper`."""
        await self._calls(self._custody.erase, vcon_uuid)

    async def _drop(self, refs: Sequence[str]) -> Sequence[None]:
        await self._calls(self._custody.drop, refs)
        return [None] * len(refs)

    async def _release(self, batches: Sequence[Sequence[Release]]) -> Sequence[None]:
        await self._calls(self._custody.release, [each for batch in batches for each in batch])
        return [None] * len(batches)

    async def _checkpoint(self, checkpoints: Sequence[Checkpoint]) -> Sequence[None]:
        await self._calls(self._custody.checkpoint, checkpoints)
        return [None] * len(checkpoints)


def build_keeper(settings: CustodySettings, custody: Custody, calls: BoundedCalls) -> Keeper:
    """The keeper that the settings ask for."""
    if settings.custody == "redis":
        return NoKeeper()
    return PostgresKeeper(custody, calls, falls_back=settings.custody_fallback == "redis")
