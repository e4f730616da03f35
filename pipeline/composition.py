"""Builds the pipeline of a service process: the API of the actions and the housekeeping."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from core.concurrency.helper_process import Offload, call_inline
from core.concurrency.thread_pool import in_own_thread
from core.db.runs import RunHistory
from core.db.usage_and_audit import PartnerRecords
from core.environment import environment
from core.errors import UnavailableError
from core.settings import Settings
from pipeline.admin.answer_relay import RedisAnswerRelay
from pipeline.admin.connections import ConnectionsApi
from pipeline.admin.dead_letters import DeadLetters
from pipeline.admin.egress import Egress
from pipeline.admin.housekeeping import INTERVALS, Housekeeping, Intervals, Parts
from pipeline.admin.operations import PipelineOperations
from pipeline.admin.queue_depths import QueueDepths
from pipeline.admin.redis_checks import RedisWatch
from pipeline.admin.retention import Retention
from pipeline.admin.run_archive import RunArchive, RunOutbox
from pipeline.admin.runs import RunListing, Runs
from pipeline.admin.vcon_index import VconIndex
from pipeline.api import PipelineService
from pipeline.config.lists import claimed_lists
from pipeline.connections import registry
from pipeline.custody.keeper import build_keeper
from pipeline.custody.late_releases import LateReleases
from pipeline.custody.places import Places
from pipeline.custody.replay_rows import ReplayRows
from pipeline.erasure.factory import ErasureParts, build_erasures
from pipeline.erasure.tombstones import KEEP_SECONDS as KEEP_TOMBSTONES
from pipeline.erasure.work import ROUND_SECONDS
from pipeline.ingest.entry import TermLimits
from pipeline.ingest.intake import Intake
from pipeline.ingest.internal import InternalApi
from pipeline.ingest.partners import KeyLimits, Partners
from pipeline.ingest.vcon_hooks import VconHooks
from pipeline.ledger.keeping import LedgerKeeper
from pipeline.ledger.outside_runs import SavesOutsideRuns
from pipeline.ledger.recorded_bases import RecordedBases
from pipeline.live_config import Configuration, ConfigurationWatch, Snapshot, prepared
from pipeline.minutes.counting import MinuteCounts, partner_source
from pipeline.operator.operations import OperatorOperations
from pipeline.operator.parts import Parts as OperatorParts
from pipeline.operator.pause_keeper import KEEP_SECONDS, PauseKeeper
from pipeline.operator.register import SIGN_SECONDS, Register
from pipeline.operator.sessions import RedisConsoleSessions
from pipeline.plugins.loader import NOTHING
from pipeline.recovery.factory import build_leftovers, build_watch
from pipeline.recovery.leftovers import SWEEP_SECONDS
from pipeline.recovery.watch import WATCH_SECONDS, IdentityWatch
from pipeline.redis_client.client import CommandRefused
from pipeline.redis_client.periodic import every
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
from pipeline.stored.index import StoredIndex
from pipeline.vcon_server.configuration import ConfigurationAdmin
from pipeline.vcon_server.operations import VconServerOperations
from pipeline.vcon_server.reindex import Reindex
from pipeline.vcon_server.texts import VconTexts

STORAGE_CALLS = 8
"""Calls of sync storages that actions make at once."""
LAST_USAGE = 2.0
"""Seconds to write the remaining usage to Postgres when the process stops."""


class PipelineComposition:
    """`service` is for the actions, `depths` for the metrics; `run` goes on beside them."""

    def __init__(
        self,
        settings: Settings,
        history: RunHistory,
        records: PartnerRecords,
        changed: Callable[[], Awaitable[None]],
        offload: Offload = call_inline,
        intervals: Intervals = INTERVALS,
        configuration: Configuration | None = None,
    ) -> None:
        """Read the configuration, check every plugin, build the parts; connects to nothing.

        `changed` is awaited after each change of the configuration; `offload` runs the validation
        of large vCons; `intervals` are those of the housekeeping. `configuration`: used instead of
        the file, and without its plugins, until an operation needs them.

        Raises:
            ConfigurationError: with every problem of the configuration and its plugins.
        """
        self._settings = settings
        self.snapshot = Snapshot(
            config_path(settings), environment(), installer(settings), **lenience(settings)
        )
        self._has_plugins = configuration is None
        self._configuration = configuration or self.snapshot.load()
        self._connections = registry.install(self._configuration.config)
        self._watch = ConfigurationWatch(self.snapshot, self._configuration, self._adopted)
        self.connection = redis_connection(settings)
        self.redis_watch = RedisWatch(self.connection)
        self.answers = RedisAnswerRelay(self.connection)
        self._calls = PluginCalls(STORAGE_CALLS, self.connection)
        self._records, self._records_calls = records, postgres_calls(settings)
        self._index = StoredIndex(records.index, self._records_calls, settings)
        self._ledger = LedgerKeeper(records.law, self._configuration, self._records_calls)
        self.keeper = build_keeper(settings, records.custody, self._records_calls)
        limits = KeyLimits.of(settings)
        self._archive = self._run_archive(history, records)
        self._changed, self._offload = changed, offload
        self._partners = Partners(
            self._configuration, self.connection, records, self._records_calls, limits
        )
        self._build(intervals)
        self.identity_watch = self._identity_watch(records)
        self._leftovers = build_leftovers(settings, records, self.connection)

    def _identity_watch(self, records: PartnerRecords) -> IdentityWatch | None:
        limit, places = self._settings.run_history_limit, Places(self.connection, self.keeper)
        ends = places.write if self.keeper.is_kept else None
        writes = self._archive.write_runs
        self._outbox = RunOutbox(self.connection, writes, limit, write_ends=ends)
        parts = self._settings, records, self.connection, self._configuration
        lay = self._erasing.tombstones.recover
        return build_watch(*parts, self.register.id, self._outbox.drain_waiting, lay)

    async def _adopted(self) -> None:
        self._partners.configuration_changed()
        self._connections.take(self._configuration.config)
        await self._changed()

    def _build(self, intervals: Intervals) -> None:
        settings, redis, configuration = self._settings, self.connection, self._configuration
        self.depths = QueueDepths(redis, configuration, settings.vcon_sorted_set_name)
        expiry, kept = settings.vcon_redis_expiry, settings.run_expiry
        self.register = Register(redis, settings, configuration, self.redis_watch)
        self._queues = build_queues(settings, redis, self.register.id)
        self._hooks = VconHooks(configuration, self._calls)
        intake, store = self._intake(), VconStore(redis)
        self._lookup = VconLookup(
            configuration, store, self._calls, expiry, settings.max_vcon_bytes
        )
        places, name = Places(redis, self.keeper), settings.vcon_sorted_set_name
        self._runs = Runs(redis, intake, self._queues, self._archive, configuration, places)
        index = VconIndex(redis, name, run_expiry=kept, places=places)
        egress = Egress(redis, vcon_expiry=expiry, places=places)
        replays = ReplayRows(redis, name, self.keeper)
        operations = PipelineOperations(
            configuration,
            DeadLetters(redis, run_expiry=kept, rows=replays),
            egress,
            index,
            intake,
            self._lookup,
            self._calls,
            RunListing(self._archive, redis, configuration),
            self._hooks,
        )
        self._erasing = self._erasures(operations)
        self._operator = OperatorOperations(self._operator_parts(operations))
        self.service = self._service(intake, operations, self._vcon_server(operations, store))
        retention = self._retention(index, egress)
        self._housekeeping = self._chores(operations, retention, intervals)
        self._minutes = MinuteCounts(redis, [partner_source(self._partners.api.usage.recent)])

    def _erasures(self, operations: PipelineOperations) -> ErasureParts:
        return build_erasures(
            self._records,
            self._records_calls,
            self.connection,
            self._configuration,
            self._queues,
            operations,
            self._lookup,
            self._index,
            self._drain,
        )

    async def _drain(self) -> None:
        await self._outbox.drain_waiting()

    def _run_archive(self, history: RunHistory, records: PartnerRecords) -> RunArchive:
        name = self._settings.vcon_sorted_set_name
        late = LateReleases(self.connection, records.settlements, self.keeper, name)
        return RunArchive(history, self._records_calls, self._index.changes, late.write)

    def _retention(self, index: VconIndex, egress: Egress) -> Retention:
        settings = self._settings
        return Retention(
            self.connection,
            index,
            egress,
            vcon_expiry=settings.vcon_redis_expiry,
            dead_expiry=settings.vcon_dlq_expiry,
            run_expiry=settings.run_expiry,
        )

    def _vcon_server(
        self, operations: PipelineOperations, store: VconStore
    ) -> VconServerOperations:
        settings, redis = self._settings, self.connection
        return VconServerOperations(
            redis,
            self._configuration,
            operations,
            VconTexts(store, self._lookup, settings.egress_format_version, self._offload),
            Reindex(redis, settings.vcon_sorted_set_name, self._terms),
        )

    def _operator_parts(self, operations: PipelineOperations) -> OperatorParts:
        return OperatorParts(
            settings=self._settings,
            redis=self.connection,
            configuration=self._configuration,
            content=lambda: self.snapshot.content or config_path(self._settings).read_bytes(),
            queues=self._queues,
            operations=operations,
            runs=self._runs,
            archive=self._archive,
            index=self._index,
            lookup=self._lookup,
            partner_admin=self._partners.admin,
            erasures=self._erasing.erasures,
            erasure_plan=self._erasing.plan,
            destinations=self._erasing.destinations,
            traces=self._erasing.traces,
            identity_watch=lambda: self.identity_watch,
            recorded_bases=self._bases,
            ledger=self._ledger,
            load_plugins=self._load_plugins,
        )

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self._configuration

    async def _load_plugins(self) -> None:
        """Load the plugins if this process was built without them; installs nothing."""
        if not self._has_plugins:
            config = self._configuration.config
            self._configuration.adopt(await in_own_thread(prepared, config, NOTHING))
            self._has_plugins = True

    @property
    def _terms(self) -> TermLimits:
        return TermLimits(self._settings.index_terms, self._settings.index_term_length)

    def _configuration_admin(self) -> ConfigurationAdmin:
        secret = self._settings.postgres_password.get_secret_value()
        audit = self._partners.admin.audit
        return ConfigurationAdmin(self.snapshot, secret, audit, self._watch.taken)

    @property
    def _bases(self) -> RecordedBases:
        return RecordedBases(self._records.bases, self._index, self._records_calls)

    def _service(
        self, intake: Intake, operations: PipelineOperations, vcon_server: VconServerOperations
    ) -> PipelineService:
        settings, configuration = self._settings, self._configuration
        partners = self._partners.build_api(settings.max_vcon_bytes, intake, self._offload)
        most, required = settings.max_vcon_bytes, settings.require_ingress_key
        internal = InternalApi(
            configuration, most, intake, partners, key_required=required, offload=self._offload
        )
        deliveries, calls = self._records.deliveries, self._records_calls
        return PipelineService(
            configuration,
            internal,
            partners,
            self._lookup,
            self._runs,
            self._calls,
            self._queues,
            operations,
            vcon_server,
            self._configuration_admin(),
            self._partners.admin,
            ConnectionsApi(configuration, self._connections),
            self._operator,
            RedisConsoleSessions(self.connection, settings),
            SavesOutsideRuns(configuration, self.connection, self._bases, deliveries, calls),
            settings.egress_format_version,
        )

    def _chores(
        self, operations: PipelineOperations, retention: Retention, intervals: Intervals
    ) -> Housekeeping:
        whole = self.connection, self.redis_watch, self._configuration, self._queues
        rows = self._partners, self._archive, self._index
        parts = Parts(*whole, *rows, retention, operations, self._ledger)
        return Housekeeping(self._settings, parts, intervals)

    async def run(self) -> None:
        """Run what goes on beside the actions, until cancelled."""
        identity = self.identity_watch
        await asyncio.gather(
            *([every(WATCH_SECONDS, identity.round)] if identity else []),
            *([every(SWEEP_SECONDS, self._leftovers.sweep)] if self._leftovers else []),
            every(KEEP_TOMBSTONES, self._erasing.tombstones.keep),
            every(ROUND_SECONDS, self._erasing.work.round),
            every(SIGN_SECONDS, self.register.sign),
            every(KEEP_SECONDS, PauseKeeper(self.connection, self._configuration).round),
            self._housekeeping.run(),
            self._watch.run(),
            self._connections.look_after(),
            self._runs.listen(),
            self._outbox.run(),
            self._partners.keep_up(),
            self._minutes.run(),
        )

    def _intake(self) -> Intake:
        settings = self._settings
        return Intake(
            self.connection,
            sorted_set=settings.vcon_sorted_set_name,
            max_depth=settings.max_queue_depth,
            max_runs=settings.max_runs_per_vcon,
            terms=self._terms,
            offload=self._offload,
            keeper=self.keeper,
            hooks=self._hooks,
        )

    async def takes_vcons(self) -> bool:
        """Whether Redis answers, takes writes, and is the one that custody knows."""
        return await self.connection.reachable() and not self.custody_problem

    @property
    def custody_problem(self) -> str:
        """Why no vCon is claimed on this Redis now; "" if vCons are."""
        return self.identity_watch.problem if self.identity_watch else ""

    def reload(self) -> None:
        """Read the configuration file now, even if it has not changed."""
        self._watch.ask()

    async def worker_died(self, worker_id: str) -> None:
        """Give back what a dead worker of this process holds, without waiting for its lease.

        The copy of the configuration is restored first: the next worker reads it.
        """
        await in_own_thread(self.snapshot.restore)
        with contextlib.suppress(CommandRefused):  # the next rescue tries again
            await self.connection.insist(lambda: self._queues.bury(worker_id))

    async def worker_stalled(self, worker_id: str, seconds: float) -> None:
        """Note that a worker of this process makes no progress; see `Queues.note_stall`."""
        with contextlib.suppress(UnavailableError, CommandRefused):
            await self._queues.note_stall(worker_id, seconds)

    async def suspects(self) -> int:
        """How many vCons wait to run in a process of their own; 0 while Redis is away.

        Those of paused chains do not count, and there are none for a drained replica.
        """
        chains = {
            name: chain.name
            for chain in self._configuration.config.enabled_chains
            for name in claimed_lists(chain)
        }
        with contextlib.suppress(UnavailableError, CommandRefused):
            return await self._queues.suspects(list(chains), chains)
        return 0

    async def close(self) -> None:
        """Leave the register, write the remaining usage, close connections, plugins and threads."""
        await self._operator.close()
        await self._hooks.close()
        await self.register.leave()
        with contextlib.suppress(UnavailableError, TimeoutError):
            async with asyncio.timeout(LAST_USAGE):
                await self._partners.api.usage.write()
        await self._minutes.close()
        self._partners.close()
        await self._calls.close_storages(self._lookup.loaded)
        await self._connections.close()
        self._calls.close()
        self.keeper.close()
        self._records_calls.close()
        self.snapshot.close()
        await self.connection.close()
