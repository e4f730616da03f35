"""The front of the pipeline: what the actions reach, and what is done once a replica."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from core.db.runs import RunHistory
from core.db.usage_and_audit import PartnerRecords
from core.errors import UnavailableError
from core.helper_process import Offload, call_inline
from core.settings import Settings, environment
from core.thread_pool import in_own_thread
from pipeline.admin.answer_relay import RedisAnswerRelay
from pipeline.admin.auto_replay import AutoReplay
from pipeline.admin.connections import ConnectionsApi
from pipeline.admin.dead_letters import DeadLetters
from pipeline.admin.egress import Egress
from pipeline.admin.housekeeping import Rescuer, if_usable, unlock_left_over
from pipeline.admin.operations import PipelineOperations
from pipeline.admin.queue_depths import QueueDepths
from pipeline.admin.redis_checks import (
    LOOK_SECONDS,
    UNUSABLE_SECONDS,
    RedisIdentity,
    RedisWatch,
    UnusableKeys,
)
from pipeline.admin.retention import Retention
from pipeline.admin.run_archive import RunArchive, RunOutbox
from pipeline.admin.runs import RunListing, Runs
from pipeline.admin.unread_lists import UnreadLists
from pipeline.admin.vcon_index import VconIndex
from pipeline.api import PipelineService
from pipeline.config.lists import claimed_lists, lists_of
from pipeline.connections import registry
from pipeline.ingest.intake import Intake, InternalApi, TermLimits
from pipeline.ingest.partners import OWNERS_SECONDS, USAGE_SECONDS, KeyLimits, Partners
from pipeline.live_config import ConfigurationWatch, Snapshot
from pipeline.redis_client.client import CommandRefused
from pipeline.redis_client.periodic import every
from pipeline.redis_client.staging import Trash
from pipeline.runs.calls import PluginCalls
from pipeline.runs.factories import (
    build_queues,
    config_path,
    installer,
    lenience,
    postgres_calls,
    redis_connection,
)
from pipeline.runs.vcon_store import VconStore
from pipeline.storages.lookup import VconLookup

THREADS = 8
RESCUES = 3
"""How often in a lease the dead are looked for."""
"""How many sync storages are read from or written to at once on behalf of actions."""
PRUNE_SECONDS = 3600.0
LAST_USAGE = 2.0
"""Seconds that Postgres gets at the end for the usage that is not written yet."""
IDENTITY_SECONDS = 2.0
"""Between two looks whether Redis still has its data."""
TRASH_SECONDS = 2.0
"""Between two looks for large documents that are to be freed."""
UNREAD_SECONDS = 5.0
"""Between two looks for lists that no chain reads."""


class PipelineComposition:
    """`service` is for the actions, `depths` for the metrics; `run` goes on beside them."""

    def __init__(
        self,
        settings: Settings,
        history: RunHistory,
        records: PartnerRecords,
        changed: Callable[[], Awaitable[None]],
        offload: Offload = call_inline,
    ) -> None:
        """Read the configuration, check every plugin, build the parts; connects to nothing.

        `changed` is awaited whenever another configuration has come into force; `offload` looks at
        large vCons.

        Raises:
            ConfigurationError: with every problem of the configuration and its plugins.
        """
        self._settings = settings
        self.snapshot = Snapshot(
            config_path(settings), environment(), installer(settings), **lenience(settings)
        )
        self._configuration = self.snapshot.load()
        self._connections = registry.install(self._configuration.config)
        self._watch = ConfigurationWatch(self.snapshot, self._configuration, self._adopted)
        self.connection = redis_connection(settings)
        self.redis_watch = RedisWatch(self.connection)
        self.answers = RedisAnswerRelay(self.connection)
        self._queues = build_queues(settings, self.connection)
        self._calls = PluginCalls(THREADS, self.connection)
        self._records_calls = postgres_calls(settings)
        self._archive = RunArchive(history, self._records_calls)
        sorted_set = settings.vcon_sorted_set_name
        self.depths = QueueDepths(self.connection, self._configuration, sorted_set)
        self._unusable = UnusableKeys(self.connection, self._configuration, sorted_set)
        self._changed = changed
        self._offload = offload
        self._partners = Partners(
            *(self._configuration, self.connection, records, self._records_calls),
            KeyLimits.of(settings),
        )
        self._build()

    async def _adopted(self) -> None:
        self._partners.configuration_changed()
        self._connections.take(self._configuration.config)
        await self._changed()

    def _build(self) -> None:
        settings, redis = self._settings, self.connection
        sorted_set, expiry = settings.vcon_sorted_set_name, settings.vcon_redis_expiry
        intake = self._intake()
        partners = self._partners.build_api(settings.max_vcon_bytes, intake, self._offload)
        internal = InternalApi(
            self._configuration,
            settings.max_vcon_bytes,
            intake,
            partners,
            key_required=settings.require_ingress_key,
            offload=self._offload,
        )
        self._finder = finder = VconLookup(
            self._configuration, VconStore(redis), self._calls, expiry, settings.max_vcon_bytes
        )
        self._runs = Runs(redis, intake, self._queues, self._archive, self._configuration)
        kept = settings.run_expiry
        catalogue = VconIndex(redis, sorted_set, run_expiry=kept)
        egress = Egress(redis, vcon_expiry=expiry)
        self._keeper = Retention(
            *(redis, catalogue, egress),
            vcon_expiry=expiry,
            dead_expiry=settings.vcon_dlq_expiry,
            run_expiry=kept,
        )
        self._operations = PipelineOperations(
            *(self._configuration, DeadLetters(redis, run_expiry=kept), egress, catalogue),
            *(intake, finder, self._calls, RunListing(self._archive, redis, self._configuration)),
        )
        self.service = PipelineService(
            self._configuration,
            internal,
            partners,
            finder,
            self._runs,
            self._calls,
            self._queues,
            self._operations,
            self._partners.admin,
            ConnectionsApi(self._configuration, self._connections),
            settings.egress_format_version,
        )

    async def run(self) -> None:
        """Everything that goes on beside the actions; until cancelled."""
        settings, redis = self._settings, self.connection
        interval = settings.storage_replay_interval
        rescuer = Rescuer(redis, self._queues, RESCUES)
        replayer = AutoReplay(redis, self._configuration, self._operations, interval)
        await asyncio.gather(
            every(LOOK_SECONDS, self.redis_watch.round),
            self._watch.run(),
            self._connections.look_after(),
            self._runs.listen(),
            RunOutbox(redis, self._archive.write_runs, settings.run_history_limit).run(),
            every(IDENTITY_SECONDS, RedisIdentity(redis).look),
            every(UNREAD_SECONDS, UnreadLists(redis, self._configuration, UNREAD_SECONDS).look),
            every(UNUSABLE_SECONDS, self._unusable.look),
            every(settings.lease_seconds / RESCUES, rescuer.round),
            every(TRASH_SECONDS, Trash(redis).empty),
            every(settings.sweep_interval, self._sweep),
            every(interval, replayer.round),
            every(PRUNE_SECONDS, self._prune),
            self._partners.keep_up(),
            every(USAGE_SECONDS, self._partners.api.usage.write),
            every(OWNERS_SECONDS, self._partners.owners.drain),
        )

    def _intake(self) -> Intake:
        settings = self._settings
        return Intake(
            self.connection,
            sorted_set=settings.vcon_sorted_set_name,
            max_depth=settings.max_queue_depth,
            max_runs=settings.max_runs_per_vcon,
            terms=TermLimits(settings.index_terms, settings.index_term_length),
            offload=self._offload,
        )

    def reload(self) -> None:
        """Read the configuration file now, changed or not."""
        self._watch.ask()

    async def _sweep(self) -> None:
        await if_usable(unlock_left_over(self._queues))
        await self._keeper.sweep(lists_of(self._configuration.config))

    async def _prune(self) -> None:
        await self._archive.prune(self._settings.run_retention_days)
        await self._partners.prune(self._settings.retention_days)

    async def worker_died(self, worker_id: str) -> None:
        """One of our own is certainly dead: nobody needs to wait for its lease.

        The next one will want the copy of the configuration.
        """
        await in_own_thread(self.snapshot.restore)
        with contextlib.suppress(CommandRefused):  # the next rescue tries again
            await self.connection.insist(lambda: self._queues.bury(worker_id))

    async def worker_stalled(self, worker_id: str, seconds: float) -> None:
        """One of our own makes no progress; see `Queues.note_stall`."""
        with contextlib.suppress(UnavailableError, CommandRefused):
            await self._queues.note_stall(worker_id, seconds)

    async def suspects(self) -> int:
        """How many vCons wait for a process of their own; 0 while Redis is away."""
        chains = self._configuration.config.enabled_chains
        names = [name for chain in chains for name in claimed_lists(chain)]
        with contextlib.suppress(UnavailableError, CommandRefused):
            return await self._queues.suspects(names)
        return 0

    async def close(self) -> None:
        """Let go of everything."""
        with contextlib.suppress(UnavailableError, TimeoutError):
            async with asyncio.timeout(LAST_USAGE):
                await self._partners.api.usage.write()
        self._partners.close()
        await self._calls.close_storages(self._finder.loaded)
        await self._connections.close()
        self._calls.close()
        self._records_calls.close()
        self.snapshot.close()
        await self.connection.close()
