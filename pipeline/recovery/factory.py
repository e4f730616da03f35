"""Builds the watch over Redis of one process."""

from collections.abc import Awaitable, Callable

from core.db.usage_and_audit import PartnerRecords
from core.settings import Settings
from pipeline.live_config import Configuration
from pipeline.recovery.leftovers import Leftovers
from pipeline.recovery.queueing import Queueing
from pipeline.recovery.recovery import Phase, Recovery, Slice, Under, Work
from pipeline.recovery.taking_out import TakingOut
from pipeline.recovery.watch import IdentityWatch
from pipeline.redis_client.client import RedisConnection


def build_watch(
    settings: Settings,
    records: PartnerRecords,
    connection: RedisConnection,
    configuration: Configuration,
    replica: str,
    write_history: Callable[[], Awaitable[None]],
    lay_tombstones: Work | None = None,
) -> IdentityWatch | None:
    """The watch; None without custody in Postgres. `replica`: this process in the register.

    `write_history` writes to Postgres what `pc:history` says of runs that have ended.
    `lay_tombstones` lays a page of the tombstones, before vCons are claimed or taken in.
    """
    if settings.custody == "redis":
        return None
    sorted_set, expiry = settings.vcon_sorted_set_name, settings.vcon_redis_expiry
    queueing = Queueing(connection, configuration, sorted_set, expiry)
    taking_out = TakingOut(
        connection, configuration, run_expiry=settings.run_expiry, vcon_expiry=expiry
    )

    async def history(_under: Under) -> Slice:
        """Runs that ended while Postgres was away are open in custody until then."""
        await write_history()
        return Slice()

    before = (
        *([Phase("tombstones", lay_tombstones)] if lay_tombstones else []),
        Phase("history", history, had_data=True),
        Phase("take out", taking_out.take_out, had_data=True),
    )
    after = (
        Phase("queue", queueing.queue),
        Phase("keep", queueing.keep),
        Phase("remember", queueing.remember),
    )
    audit = records.ledger.audit
    recovery = Recovery(records.identities, connection, replica, before, after, audit)
    return IdentityWatch(records.identities, connection, recovery, replica)


def build_leftovers(
    settings: Settings, records: PartnerRecords, connection: RedisConnection
) -> Leftovers | None:
    """The sweep of rows that Redis never got; None without custody in Postgres."""
    return Leftovers(records.identities, connection) if settings.custody == "postgres" else None
