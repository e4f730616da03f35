"""What the operations work with; the service and the command line build it alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.settings import Settings
from pipeline.admin.operations import PipelineOperations
from pipeline.admin.run_archive import RunArchive
from pipeline.admin.runs import Runs
from pipeline.erasure.destinations import Destinations
from pipeline.erasure.erasures import Erasures
from pipeline.erasure.plan import Plan
from pipeline.erasure.traces import Traces
from pipeline.ingest.admin import PartnerAdmin
from pipeline.ledger.keeping import LedgerKeeper
from pipeline.ledger.recorded_bases import RecordedBases
from pipeline.live_config import Configuration
from pipeline.recovery.watch import IdentityWatch
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Queues
from pipeline.storages.lookup import VconLookup
from pipeline.stored.index import StoredIndex


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the pipeline that operations use."""

    settings: Settings
    redis: RedisConnection
    configuration: Configuration
    """The configuration in force; on the command line the file as it is now."""
    content: Callable[[], bytes]
    """The text of the configuration in force."""
    queues: Queues
    operations: PipelineOperations
    runs: Runs
    archive: RunArchive
    index: StoredIndex
    lookup: VconLookup
    partner_admin: PartnerAdmin
    erasures: Erasures
    erasure_plan: Plan
    destinations: Destinations
    traces: Traces
    identity_watch: Callable[[], IdentityWatch | None]
    """Of this process; None with CUSTODY=redis."""
    recorded_bases: RecordedBases
    """What was recorded beside the vCons."""
    ledger: LedgerKeeper
    load_plugins: Callable[[], Awaitable[None]]
    """Load the plugins of the configuration where that is not done yet (the command line).

    To be awaited before a storage or link is called; raises ConfigurationError.
    """
