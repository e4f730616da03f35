"""Builds the watch over Redis of one process."""

from core.custody_settings import CustodySettings
from core.db.usage_and_audit import PartnerRecords
from pipeline.recovery.recovery import Recovery
from pipeline.recovery.watch import IdentityWatch
from pipeline.redis_client.client import RedisConnection


def build_watch(
    settings: CustodySettings, records: PartnerRecords, connection: RedisConnection, replica: str
) -> IdentityWatch | None:
    """The watch; None without custody in Postgres. `replica`: this process in the register."""
    if settings.custody == "redis":
        return None
    recovery = Recovery(records.identities, connection, replica, audit=records.ledger.audit)
    return IdentityWatch(records.identities, connection, recovery, replica)
