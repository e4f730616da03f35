"""What the tests of the operations half share: its real parts on one Redis, and workers for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from redis import Redis

from core.action_registry import ActionRegistry
from core.action_response import ActionResponse
from core.errors import UnavailableError
from core.rpc.dispatcher import Dispatcher
from pipeline.admin.dead_letters import DeadLetters
from pipeline.admin.egress import Egress
from pipeline.admin.operations import PipelineOperations
from pipeline.admin.retention import Retention
from pipeline.admin.run_archive import RunArchive
from pipeline.admin.vcon_index import VconIndex
from pipeline.config.lists import lists_of
from pipeline.config.parser import PipelineConfig, StorageSpec
from pipeline.ingest.entry import TERM_LIMITS
from pipeline.ingest.intake import Intake
from pipeline.ingest.internal import InternalApi
from pipeline.live_config import Configuration
from pipeline.redis_client import client as connection
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.calls import PluginCalls
from pipeline.runs.vcon_store import VconStore
from pipeline.storages.lookup import VconLookup
from pipeline.vcon_server.operations import VconServerOperations
from pipeline.vcon_server.reindex import Reindex
from pipeline.vcon_server.texts import VconTexts
from schemas.ingested import Ingested
from tests.integration.support.pipeline_fixtures import (
    Scene,
    a_vcon,
    both,
    configured,
    postgres_calls,
)

EXPIRY, DEAD_EXPIRY, RUN_EXPIRY = 600, 900, 300
MAX_DEPTH = 5
FOR_EVER, GONE = -1, -2
ACTIONS = ActionRegistry.discover("actions")


class NoPostgres:
    """A history that is away."""

    def __getattr__(self, name: str) -> Any:
        raise UnavailableError("no Postgres here")


class Notebook:
    """An audit that is remembered here."""

    def __init__(self) -> None:
        self.audited: list[tuple[Any, ...]] = []

    async def audit(self, *event: Any) -> None:
        self.audited.append(event)


class Operations:
    """Every part of the operations half, for one configuration, with workers beside it."""

    def __init__(self, redis: RedisConnection, client: Redis) -> None:
        self.redis, self.client = redis, client
        self.workers = Scene(redis, client)
        self.configuration = Configuration(None, None)  # type: ignore[arg-type]
        self.calls = PluginCalls(4, redis)
        self.index = VconIndex(redis, "vcons", run_expiry=RUN_EXPIRY)
        self.egress = Egress(redis, vcon_expiry=EXPIRY)
        self.letters = DeadLetters(redis, run_expiry=RUN_EXPIRY)
        self.intake = Intake(redis, sorted_set="vcons", max_depth=MAX_DEPTH)
        self.keeper = Retention(
            *(redis, self.index, self.egress),
            vcon_expiry=EXPIRY,
            dead_expiry=DEAD_EXPIRY,
            run_expiry=RUN_EXPIRY,
        )
        no_partners: Any = None
        self.internal = InternalApi(self.configuration, 100_000, self.intake, no_partners)
        self.operations = self.operations_with(NoPostgres())
        self.offloaded: list[str] = []
        self.vcon_server = self.vcon_server_with()

    def operations_with(self, history: Any) -> PipelineOperations:
        """The operations, with the runs of a history."""
        return PipelineOperations(
            self.configuration,
            self.letters,
            self.egress,
            self.index,
            self.intake,
            VconLookup(self.configuration, VconStore(self.redis), self.calls, EXPIRY),
            self.calls,
            RunArchive(history, postgres_calls()),
        )

    def vcon_server_with(self, form: str = "0.4.0-text") -> VconServerOperations:
        """The operations of vcon-server's API, with vCons in this format."""
        store = VconStore(self.redis)
        lookup = self.operations._lookup
        return VconServerOperations(
            self.redis,
            self.configuration,
            self.operations,
            VconTexts(store, lookup, form, self._offload),
            Reindex(self.redis, "vcons", TERM_LIMITS),
        )

    async def _offload(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Note what goes to the helper process, and do it here."""
        self.offloaded.append(function.__name__)
        return function(*args, **options)

    def configure(self, configuration: Configuration) -> None:
        """Put a configuration into force."""
        vars(configuration.config).setdefault("hash", "c0ffee")  # the real one is slow on purpose
        self.configuration.adopt(configuration)

    async def sweep(self) -> None:
        """One round of the keeper."""
        await self.keeper.sweep(lists_of(self.configuration.config))

    async def work(self, count: int = 1, **options: Any) -> list[Any]:
        """Let a worker of its own end so many runs, and send it home; how they ended."""
        crew = await self.workers.start(self.configuration, **options)
        ended = [await self.workers.finished() for _ in range(count)]
        await crew.stop()
        return ended

    async def ingest(self, *lists: str, **changes: Any) -> str:
        """Take a new vCon in, into these lists; its uuid."""
        return (await self.take(a_vcon(**changes), *lists)).uuid

    async def take(self, vcon: dict[str, Any], *lists: str) -> Ingested:
        """Take a vCon in, into these lists."""
        return await self.internal.take(vcon, lists)

    def list(self, name: str) -> list[str]:
        """What is in a list."""
        found: list[str] = self.client.lrange(name, 0, -1)
        return found

    def holders(self, vcon_uuid: str) -> set[str]:
        """Who still needs a vCon."""
        found: set[str] = self.client.smembers(f"pc:holds:{vcon_uuid}")
        return found

    def left(self, vcon_uuid: str) -> int:
        """Seconds that a vCon has left; FOR_EVER or GONE."""
        return int(self.client.ttl(keys.vcon(vcon_uuid)))

    def forget_time(self, vcon_uuid: str) -> None:
        """Let a vCon expire now."""
        self.client.delete(keys.vcon(vcon_uuid))

    def traces(self, vcon_uuid: str) -> list[str]:
        """Every key of Redis that still knows of a vCon, but for runs, their history, owners.

        Sorted: SCAN promises no order, and may name a key twice.
        """
        return sorted({key for key in self.client.scan_iter() if self._knows(key, vcon_uuid)})

    def _knows(self, key: str, vcon_uuid: str) -> bool:
        if key.startswith(("pc:run:", keys.HISTORY, keys.INDEX, keys.OWNERS)):
            return False
        return vcon_uuid in key or vcon_uuid in str(self._content(key))

    def _content(self, key: str) -> Any:
        readers: dict[str, Callable[..., Any]] = {
            "string": self.client.get,
            "list": lambda key: self.client.lrange(key, 0, -1),
            "set": self.client.smembers,
            "hash": self.client.hgetall,
            "zset": lambda key: self.client.zrange(key, 0, -1),
        }
        return readers.get(str(self.client.type(key)), lambda key: "")(key)

    @contextmanager
    def held(self, vcon_uuid: str) -> Iterator[None]:
        """While a run works on a vCon."""
        self.client.hset(keys.LOCKS, vcon_uuid, "somebody")
        yield
        self.client.hdel(keys.LOCKS, vcon_uuid)


@asynccontextmanager
async def operations(redis_url: str) -> AsyncIterator[Operations]:
    """The operations half on an empty Redis; plugins of this process find it, too."""
    redis = RedisConnection(redis_url)
    connection.install(redis)
    with Redis.from_url(redis_url, decode_responses=True) as client:
        opened = Operations(redis, client)
        yield opened
        await opened.workers.close()
        opened.calls.close()
    connection._installed.clear()
    await redis.close()


FORGETFUL = "def save(vcon_uuid, opts):\n    pass\n"
BROKEN = FORGETFUL + "def delete(vcon_uuid, opts):\n    raise OSError('no disk')\n"


def two_chains(folder: Path) -> Configuration:
    """Chains from `in` over `middle` to `out`, and storages that are only read and deleted from.

    Modules of storages are written to the folder.
    """
    for name, source in (("forgetful_storage", FORGETFUL), ("broken_storage", BROKEN)):
        (folder / f"{name}.py").write_text(source)
    files = StorageSpec("files", "storage.file", options={"path": str(folder / "files")})
    storages = {
        "files": files,
        "redis": replace(files, name="redis"),
        "forgetful": StorageSpec("forgetful", "forgetful_storage"),
        "broken": StorageSpec("broken", "broken_storage"),
    }
    chains = both(
        configured(name="main", egress=("middle",)),
        configured(name="next", ingress=("middle",), egress=("out",)),
    )
    config = PipelineConfig(chains=chains.config.chains, storages=storages)
    return Configuration(config, chains.plugins)


async def filed(ops: Operations, vcon_uuid: str) -> None:
    """The storage `files` has this vCon."""
    storage = await ops.operations._lookup.storage("files")
    storage.save(vcon_uuid, storage.fresh_options())


async def ask(ops: Operations, action: str, **fields: Any) -> ActionResponse:
    """The answer to one request."""
    dispatcher = Dispatcher(ACTIONS, run_blocking=asyncio.to_thread)
    pipeline = SimpleNamespace(operations=ops.operations, partner_admin=Notebook())
    client = SimpleNamespace(pipeline=pipeline, service=None)
    return await dispatcher.answer(action, fields, client, None)


async def told(ops: Operations, action: str, **fields: Any) -> dict[str, Any]:
    """The fields of an answer to a request that succeeds."""
    response = await ask(ops, action, **fields)
    assert (response.status_code, response.message) == (200, None)
    answer: dict[str, Any] = response.fields
    return answer


async def refused(ops: Operations, action: str, **fields: Any) -> tuple[int, str]:
    """Status and words of an answer to a request that fails."""
    response = await ask(ops, action, **fields)
    assert response.fields is None
    return response.status_code, response.message
