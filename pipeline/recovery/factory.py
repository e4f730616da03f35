"""Builds the watch over Redis of one process."""

from core.db.usage_and_audit import PartnerRecords
from core.settings import Settings
from pipeline.live_config import Configuration
from pipeline.recovery.queueing import Queueing
from pipeline.recovery.recovery import Phase, Recovery
from pipeline.recovery.taking_out import TakingOut
from pipeline.recovery.watch import IdentityWatch
from pipeline.redis_client.client import RedisConnection


def build_watch(
    settings: Settings,
    records: PartnerRecords,
    connection: RedisConnection,
    configuration: Configuration,
    replica: str,
) -> IdentityWatch | None:
    """The watch; None without custody in Postgres. `replica`: this process in the register."""
    if settings.custody == "redis":
        return None
    sorted_set, expiry = settings.vcon_sorted_set_name, settings.vcon_redis_expiry
    queueing = Queueing(connection, configuration, sorted_set, expiry)
    taking_out = TakingOut(
        connection, configuration, run_expiry=settings.run_expiry, vcon_expiry=expiry
    )
    before = (Phase("take out", taking_out.take_out, had_data=True),)
    after = (
        Phase("queue", queueing.queue),
        Phase("keep", queueing.keep),
        Phase("remember", queueing.remember),
    )
    audit = records.ledger.audit
    recovery = Recovery(records.identities, connection, replica, before, after, audit)
    return IdentityWatch(records.identities, connection, recovery, replica)
