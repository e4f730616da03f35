"""Builds the erasures of one process."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from core.concurrency.thread_pool import BoundedCalls, in_own_thread
from core.db.usage_and_audit import PartnerRecords
from pipeline.admin.operations import PipelineOperations
from pipeline.erasure.destinations import Destinations
from pipeline.erasure.egress_lists import EgressLists
from pipeline.erasure.erasures import Erasures
from pipeline.erasure.later_vcons import LaterVcons
from pipeline.erasure.plan import Plan
from pipeline.erasure.removal import Removal
from pipeline.erasure.statement import statement_of
from pipeline.erasure.tombstones import Tombstones
from pipeline.erasure.traces import Traces
from pipeline.erasure.work import ErasureWork
from pipeline.law.writing.statements import ERASURE_STATEMENT, signed
from pipeline.live_config import Configuration
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Queues
from pipeline.storages.lookup import VconLookup
from pipeline.stored.index import StoredIndex
from schemas.law.erasures import Erasure


@dataclass(frozen=True, slots=True)
class ErasureParts:
    """Requests, what carries them out, and the tombstones."""

    erasures: Erasures
    work: ErasureWork
    plan: Plan
    destinations: Destinations
    traces: Traces
    tombstones: Tombstones


def build_erasures(
    records: PartnerRecords,
    calls: BoundedCalls,
    connection: RedisConnection,
    configuration: Configuration,
    queues: Queues,
    operations: PipelineOperations,
    lookup: VconLookup,
    index: StoredIndex,
    drain: Callable[[], Awaitable[None]],
) -> ErasureParts:
    """`calls` carries calls to Postgres; `drain` writes what waits for Postgres in Redis."""
    removal = Removal(connection, queues, operations)
    traces = Traces(connection, index, records.law_traces, calls)
    tombstones = Tombstones(connection, records.erasures, calls, removal.remove)
    lists = EgressLists(connection)
    plan = Plan(
        records.erasures, records.places, lists, calls, configuration, index, operations, lookup
    )
    destinations = Destinations(configuration, operations, lookup)
    work = ErasureWork(
        records.erasures,
        calls,
        plan,
        lists,
        index,
        tombstones,
        removal,
        destinations,
        traces,
        LaterVcons(connection, index, operations.index),
        drain,
        signing(configuration),
    )
    erasures = Erasures(records.erasures, calls, work)
    return ErasureParts(erasures, work, plan, destinations, traces, tombstones)


def signing(configuration: Configuration) -> Callable[[Erasure, datetime], Awaitable[str | None]]:
    """Signs statements with the first key of `law.keys`; None without one."""

    async def sign(erasure: Erasure, ended_at: datetime) -> str | None:
        law = configuration.config.law
        key = next(iter(law.keys.values()), None) if law else None
        if key is None:
            return None
        content = statement_of(erasure, ended_at)
        return await in_own_thread(signed, content, ERASURE_STATEMENT, key)

    return sign
