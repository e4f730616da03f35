"""What the tests of the pipeline share: chains built in code, and workers that run them here.

Plugins are functions of the test itself. Nothing in Redis is faked, and no test waits for a time:
`Scene.ended` and its neighbours tell what a worker has just done.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from redis import Redis

from core.concurrency.backoff import Backoff
from core.concurrency.thread_pool import BoundedCalls
from pipeline.admin.runs import Runs
from pipeline.config.law import EgressLaw
from pipeline.config.model import RetryBackoff
from pipeline.config.parser import Chain, LinkStep, PluginSpec, StorageSpec
from pipeline.destinations.gate import DestinationGate
from pipeline.ingest.intake import Intake
from pipeline.live_config import Configuration
from pipeline.plugins.contract import Effect, is_async
from pipeline.plugins.loader import LoadedLink, LoadedStorage, LoadedTracer, Plugins
from pipeline.redis_client import client as connection
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.calls import BACKOFF, PluginCalls
from pipeline.runs.lease import Checkpoints, Lease, LeaseGuard
from pipeline.runs.vcon_store import VconStore
from pipeline.worker.admission import NO_LEDGER, Admission, Gate, Ledger
from pipeline.worker.custody import NO_WORKER_CUSTODY, WorkerCustody
from pipeline.worker.link_runner import LinkSteps
from pipeline.worker.run_settler import RunMeter
from pipeline.worker.runner import chain_runner
from pipeline.worker.slots.bytes_in_flight import BytesInFlight
from pipeline.worker.slots.limits import Concurrency, limits_of
from pipeline.worker.tracers import Tracers
from pipeline.worker.worker import Worker
from schemas.run import Run
from tests.integration.support.law_gates import Purposes
from tests.integration.support.quick_hash import QuicklyHashed
from tests.integration.support.recording_queues import Ended, RecordingQueues

PATIENCE = 60.0  # seconds; a ceiling, reached only when something is broken


def postgres_calls() -> BoundedCalls:
    """Carries calls to Postgres, as many as a test makes."""
    return BoundedCalls("test", threads=4, waiting=1000, seconds=PATIENCE)


def new_uuid() -> str:
    """A new uuid."""
    return str(uuid.uuid4())


def a_vcon(vcon_uuid: str | None = None, **changes: Any) -> dict[str, Any]:
    """A vCon in canonical form."""
    document = {
        "vcon": "0.4.0",
        "uuid": vcon_uuid or new_uuid(),
        "created_at": "2026-11-21T12:00:00+00:00",
        "parties": [{"tel": "+15550100", "name": "Ann"}],
        "dialog": [],
        "analysis": [],
        "attachments": [],
    }
    return document | changes


def link(
    run: Callable[..., Any],
    name: str | None = None,
    *,
    timeout: float | None = None,
    retries: int = 0,
    options: dict[str, Any] | None = None,
    only_through_lib: bool = False,
    effect: Effect | None = None,
) -> tuple[LinkStep, LoadedLink]:
    """A link of a chain, and how it is called."""
    name = name or run.__name__
    spec = PluginSpec(name, "test", options=options or {})
    loaded = LoadedLink(
        name=name,
        options=spec.options,
        is_async=is_async(run),
        only_through_lib=only_through_lib,
        effect=effect,
        run=run,
    )
    return LinkStep(name, spec, timeout=timeout, retries=retries), loaded


def storage(
    save: Callable[..., Any] | None = None,
    name: str = "shelf",
    *,
    get: Callable[..., Any] | None = None,
    timeout: float | None = None,
    retries: int = 0,
    effect: Effect | None = None,
) -> tuple[StorageSpec, LoadedStorage]:
    """A storage of a chain, and how it is called."""
    spec = StorageSpec(name, "test", timeout=timeout, retries=retries)
    save = save or (lambda _uuid, _options: None)
    loaded = LoadedStorage(
        name=name,
        options={},
        is_async=is_async(save) or (get is not None and is_async(get)),
        save=save,
        get=get,
        effect=effect,
        timeout=timeout,
        retries=retries,
    )
    return spec, loaded


def tracer(
    run: Callable[..., Any], name: str = "tracer", **options: Any
) -> tuple[PluginSpec, LoadedTracer]:
    """A tracer of a chain, and how it is called."""
    spec = PluginSpec(name, "test", options=options)
    return spec, LoadedTracer(name=name, options=options, is_async=is_async(run), run=run)


def configured(
    *,
    name: str = "main",
    links: list[tuple[LinkStep, LoadedLink]] | None = None,
    storages: list[tuple[StorageSpec, LoadedStorage]] | None = None,
    tracers: list[tuple[PluginSpec, LoadedTracer]] | None = None,
    ingress: tuple[str, ...] = ("in",),
    egress: tuple[str, ...] = ("out",),
    law: EgressLaw | None = None,
    **changes: Any,
) -> Configuration:
    """A configuration with one chain. `law`: its key `egress`. Changes are those of `Chain`."""
    links, storages, tracers = links or [], storages or [], tracers or []
    chain = Chain(
        name=name,
        links=tuple(step for step, _ in links),
        storages=tuple(spec for spec, _ in storages),
        tracers=tuple(spec for spec, _ in tracers),
        ingress_lists=ingress,
        egress_lists=egress,
        egress=law,
        **changes,
    )
    config = QuicklyHashed(chains={name: chain}, storages={spec.name: spec for spec, _ in storages})
    return Configuration(
        config,
        Plugins(
            links={step.plugin: loaded for step, loaded in links},
            storages=dict(storages),
            tracers=dict(tracers),
        ),
    )


def both(first: Configuration, second: Configuration) -> Configuration:
    """Two configurations in one."""
    config = QuicklyHashed(
        chains={**first.config.chains, **second.config.chains},
        storages={**first.config.storages, **second.config.storages},
    )
    plugins = Plugins(
        links={**first.plugins.links, **second.plugins.links},
        storages={**first.plugins.storages, **second.plugins.storages},
        tracers={**first.plugins.tracers, **second.plugins.tracers},
    )
    return Configuration(config, plugins)


@dataclass
class Crew:
    """One worker at work, with its lease."""

    name: str
    worker: Worker
    lease: Lease
    calls: PluginCalls
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """Stop as a process does: finish nothing more, put back what runs, let the lease go."""
        self.worker.stop()
        await self.worker.release()
        await self.task
        await self.dismiss()

    async def dismiss(self) -> None:
        """Let the lease and the threads go."""
        await asyncio.to_thread(self.lease.stop)
        self.calls.close()


class NoHistory:
    """Nothing is remembered beyond Redis."""

    async def find_run(self, run_id: str) -> Run | None:
        """Nothing."""
        return None


@dataclass(repr=False)
class Scene:
    """One Redis, and workers on it that live in this process."""

    redis: RedisConnection
    client: Redis
    settled: asyncio.Queue[Ended] = field(default_factory=asyncio.Queue)
    crews: list[Crew] = field(default_factory=list)
    call_backoff: Backoff = BACKOFF
    """Waits between attempts of a plugin call, for workers started from now on."""
    law_gate: Gate = field(default_factory=Purposes)
    ledger: Ledger = NO_LEDGER

    def __post_init__(self) -> None:
        self.queues = RecordingQueues(self.redis, self.settled)
        self.store = VconStore(self.redis)
        self.intake = Intake(self.redis, sorted_set="vcons", max_depth=1000)

    async def start(
        self,
        configuration: Configuration,
        name: str = "one",
        *,
        concurrency: Concurrency = 4,
        lease_seconds: float = 60.0,
        redis: RedisConnection | None = None,
        patience: float | None = None,
        room: BytesInFlight | None = None,
    ) -> Crew:
        """Start a worker; one for suspects if it has `patience`."""
        crew = self.hire(
            configuration,
            name,
            concurrency=concurrency,
            lease_seconds=lease_seconds,
            redis=redis,
            patience=patience,
            room=room,
        )
        await asyncio.to_thread(crew.lease.start)
        crew.task = asyncio.create_task(crew.worker.run())
        return crew

    def hire(
        self,
        configuration: Configuration,
        name: str,
        *,
        concurrency: Concurrency = 4,
        lease_seconds: float = 60.0,
        redis: RedisConnection | None = None,
        patience: float | None = None,
        custody: WorkerCustody = NO_WORKER_CUSTODY,
        room: BytesInFlight | None = None,
    ) -> Crew:
        """A worker that does nothing yet and has no lease."""
        redis = redis or self.redis
        threads = 2 * limits_of(concurrency, configuration).threads or 2
        calls = PluginCalls(threads, redis, backoff=self.call_backoff)
        lease = Lease(redis, name, lease_seconds)
        journal = Checkpoints(redis, self.queues, custody)
        guard = LeaseGuard(lease, journal)
        gate, admission = DestinationGate(redis), Admission(self.law_gate, self.ledger)
        tracers = Tracers(calls, admission)
        links = LinkSteps(redis, calls, journal, guard, tracers, gate, admission)
        runner = chain_runner(redis, links, calls, journal, guard, gate, admission)
        worker = Worker(
            name,
            configuration,
            redis,
            self.queues,
            runner,
            RunMeter(lambda: None),
            concurrency=concurrency,
            room=room,
            patience=patience,
            custody=custody,
        )
        crew = Crew(name, worker, lease, calls, asyncio.create_task(asyncio.sleep(0)))
        self.crews.append(crew)
        return crew

    def runs(self, configuration: Configuration) -> Runs:
        """Runs as a replica's actions see them."""
        return Runs(self.redis, self.intake, self.queues, NoHistory(), configuration)

    async def feed(self, *names: str, count: int = 1, document: bool = True) -> list[str]:
        """Put new vCons into lists as an adapter does; their uuids."""
        uuids = [new_uuid() for _ in range(count)]
        for vcon_uuid in uuids:
            if document:
                await self.store.put(a_vcon(vcon_uuid))
            for name in names or ("in",):
                await self.redis.command("RPUSH", name, vcon_uuid)
        return uuids

    async def ended(self) -> Ended:
        """What a worker settles next."""
        async with asyncio.timeout(PATIENCE):
            return await self.settled.get()

    async def finished(self) -> Ended:
        """The next run that is over; retries in between are passed over."""
        while (ended := await self.ended()).how != "finish":
            pass
        return ended

    def elements(self, name: str) -> list[str]:
        """What is in a list."""
        found: list[str] = self.client.lrange(name, 0, -1)
        return found

    def reason(self, letters: str, vcon_uuid: str) -> dict[str, Any]:
        """Why a vCon is a dead letter."""
        text = self.client.hget(keys.reasons(letters), vcon_uuid)
        assert text is not None
        return orjson.loads(text)

    def run_ids(self) -> list[str]:
        """The runs that have a journal."""
        return [key.removeprefix("pc:run:") for key in self.client.keys("pc:run:*")]

    def journal(self, run_id: str) -> dict[str, Any]:
        """A run as it is journaled."""
        return orjson.loads(self.client.get(keys.run(run_id)))

    async def close(self) -> None:
        """Send every worker home."""
        for crew in self.crews:
            if not crew.task.done():
                crew.worker.stop()
                await crew.worker.release()
                await crew.task
            await crew.dismiss()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[RedisConnection]:
    """A connection to an empty Redis; plugins of this process find it, too."""
    opened = RedisConnection(redis_url)
    connection.install(opened)
    yield opened
    connection._installed.clear()
    await opened.close()


@pytest.fixture
def client(redis_url: str) -> Any:
    """The same Redis as an outsider sees it."""
    with Redis.from_url(redis_url, decode_responses=True, socket_timeout=2 * PATIENCE) as outsider:
        yield outsider


@pytest.fixture
async def scene(redis: RedisConnection, client: Redis) -> AsyncIterator[Scene]:
    """An empty Redis without workers; those that a test starts go home after it."""
    opened = Scene(redis, client)
    yield opened
    await opened.close()


class _News(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        self._loop.call_soon_threadsafe(self.heard.put_nowait, record.getMessage())


@pytest.fixture
async def news() -> AsyncIterator[asyncio.Queue[str]]:
    """What the log says about outages, as it is said."""
    handler = _News()
    log = logging.getLogger("pipeline.redis_client.errors")
    log.addHandler(handler)
    yield handler.heard
    log.removeHandler(handler)


@pytest.fixture
def at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come without a pause."""
    monkeypatch.setattr(RetryBackoff, "pause", lambda *_: 0.001)
    scene.call_backoff = Backoff(first=0.0005, cap=0.032)
