"""What a service process does at regular intervals; `Housekeeping.chores` is the whole list.

Each chore runs when the process starts and then at its interval, beside the others. A chore that
fails runs again at its next time; `pipeline.redis_client.periodic.every` is the loop. Every replica
runs all of them, and each chore is safe to run in several replicas at once.

Two things that also go on are no chores: the configuration file is read when it changes
(`pipeline.live_config`), and finished runs are written to Postgres as they come
(`pipeline.admin.run_archive`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from core.settings import Settings
from pipeline.admin.auto_replay import AutoReplay
from pipeline.admin.causes import CauseIndex
from pipeline.admin.operations import PipelineOperations
from pipeline.admin.redis_checks import RedisIdentity, RedisWatch, UnusableKeys
from pipeline.admin.retention import Retention
from pipeline.admin.run_archive import RunArchive
from pipeline.admin.unread_lists import UnreadLists
from pipeline.config.lists import lists_of
from pipeline.ingest.partners import Partners
from pipeline.ledger.keeping import LedgerKeeper
from pipeline.live_config import Configuration
from pipeline.media.media import installed
from pipeline.media.sweep import MediaSweep
from pipeline.minutes.backlog import BacklogSamples
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.periodic import every, skip_unusable
from pipeline.redis_client.staging import Trash
from pipeline.runs.queues import Queues
from pipeline.stored.index import StoredIndex

log = logging.getLogger(__name__)

RESCUES_PER_LEASE = 3


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between two runs of the chores that have no setting."""

    vcon_owners: float = 0.5
    usage: float = 5.0
    redis_identity: float = 2.0
    unusable_keys: float = 2.0
    redis_settings: float = 5.0
    unread_lists: float = 5.0
    backlog_samples: float = 2.0
    freed_documents: float = 2.0
    causes: float = 5.0
    ledger: float = 30.0
    media: float = 60.0
    partitions: float = 3600.0
    expired_rows: float = 3600.0


INTERVALS = Intervals()


class Chore(NamedTuple):
    """Something to do every so many `seconds`."""

    seconds: float
    does: str
    work: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the pipeline that have chores."""

    redis: RedisConnection
    redis_watch: RedisWatch
    configuration: Configuration
    queues: Queues
    partners: Partners
    archive: RunArchive
    index: StoredIndex
    retention: Retention
    operations: PipelineOperations
    ledger: LedgerKeeper


class Housekeeping:
    """Runs the chores of one service process."""

    def __init__(self, settings: Settings, parts: Parts, intervals: Intervals = INTERVALS) -> None:
        """Connects to nothing; `run` begins the chores."""
        self._settings = settings
        self._parts = parts
        self._intervals = intervals
        self._causes = CauseIndex(parts.redis)

    def chores(self) -> list[Chore]:
        """Every chore, the most frequent first."""
        settings, parts, each = self._settings, self._parts, self._intervals
        redis, configuration = parts.redis, parts.configuration
        lease, replay = settings.lease_seconds, settings.storage_replay_interval
        unusable = UnusableKeys(redis, configuration, settings.vcon_sorted_set_name)
        unread = UnreadLists(redis, configuration, each.unread_lists)
        samples = BacklogSamples(redis, configuration)
        rescuer = Rescuer(redis, parts.queues, RESCUES_PER_LEASE)
        replayer = AutoReplay(redis, configuration, parts.operations, replay)
        return [
            Chore(each.vcon_owners, "write owners to Postgres", parts.partners.owners.drain),
            Chore(each.usage, "write usage to Postgres", parts.partners.api.usage.write),
            *self._identity_chore(),
            Chore(each.unusable_keys, "report keys of another type", unusable.look),
            Chore(each.redis_settings, "report unsafe settings", parts.redis_watch.round),
            Chore(each.unread_lists, "report lists without a chain", unread.look),
            Chore(each.backlog_samples, "sample the backlog once a minute", samples.take),
            Chore(each.freed_documents, "free replaced documents", Trash(redis).empty),
            Chore(each.ledger, "write checkpoints of the ledger", parts.ledger.round),
            Chore(each.media, "remove unused media", MediaSweep(redis, installed(redis)).round),
            Chore(each.causes, "index dead letters by cause", self._tend_causes),
            Chore(lease / RESCUES_PER_LEASE, "rescue unclaimed runs", rescuer.round),
            Chore(replay, "replay dead letters of storages", replayer.round),
            Chore(settings.sweep_interval, "expire vCons, unlock, reap the index", self._sweep),
            Chore(each.partitions, "make and drop partitions of Postgres", self._keep_partitions),
            Chore(each.expired_rows, "delete expired rows of Postgres", self._prune),
        ]

    def _identity_chore(self) -> list[Chore]:
        """With custody in Postgres, `pipeline.recovery.watch` compares Redis with it instead."""
        if self._settings.custody == "postgres":
            return []
        look = RedisIdentity(self._parts.redis).look
        return [Chore(self._intervals.redis_identity, "detect a Redis that lost data", look)]

    async def run(self) -> None:
        """Run every chore at its interval until cancelled."""
        await asyncio.gather(*(every(chore.seconds, chore.work) for chore in self.chores()))

    async def _sweep(self) -> None:
        await skip_unusable(remove_leftover_locks, self._parts.queues)
        await self._parts.retention.sweep(lists_of(self._parts.configuration.config))

    async def _tend_causes(self) -> None:
        configured = lists_of(self._parts.configuration.config).dead
        await self._causes.tend(list(dict.fromkeys([*configured, *await self._causes.lists()])))

    async def _keep_partitions(self) -> None:
        runs, custody = self._settings.run_retention_days, self._settings.custody_retention_days
        await self._parts.archive.keep_partitions({"chain_runs": runs, "custody": custody})

    async def _prune(self) -> None:
        await self._parts.archive.prune(self._settings.run_retention_days)
        await self._parts.partners.prune(self._settings.retention_days)
        await self._parts.index.prune(self._settings.run_retention_days)


async def rescue_unclaimed(queues: Queues) -> None:
    """Give the runs of workers without a lease back to their lists."""
    for worker in await queues.workers():
        await skip_unusable(_rescue, queues, worker)


async def _rescue(queues: Queues, worker: str) -> None:
    if (count := await queues.rescue(worker)) > 0:
        log.warning("unclaimed runs given back", extra={"worker": worker, "count": count})


async def remove_leftover_locks(queues: Queues) -> None:
    """Remove locks on vCons that no worker has in flight: such a vCon could not be claimed."""
    async for vcon_uuids in queues.unlock():
        for vcon_uuid in vcon_uuids:
            log.warning("leftover lock removed", extra={"vcon": vcon_uuid})


class Rescuer:
    """Rescues the runs of dead workers, but not within one lease after an outage of Redis.

    During the outage no worker could renew its lease, so an expired lease proves nothing then. A
    rescue would count as an attempt of runs whose workers are alive.
    """

    def __init__(self, connection: RedisConnection, queues: Queues, rounds: int) -> None:
        """`rounds`: how many of them last as long as a lease."""
        self._connection = connection
        self._queues = queues
        self._rounds = rounds
        self._outages = 0
        self._waiting = 0

    async def round(self) -> None:
        """Rescue, unless Redis was away within the last lease."""
        if self._connection.outages != self._outages:
            self._outages, self._waiting = self._connection.outages, self._rounds
        if self._waiting:
            self._waiting -= 1
            return
        await rescue_unclaimed(self._queues)
