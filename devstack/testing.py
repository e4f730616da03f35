"""Runs single plugins on single vCons, for tests of links, storages and tracers.

It uses a real Redis and does not need the service. A plugin is loaded as a chain loads it, so a
wrong signature or option is reported as at the service's start, and called as a worker calls it:
`async def` on an event loop, other functions in a thread. The plugin's exceptions are raised to the
caller.

    with PluginBench() as bench:
        outcome = bench.run_link("my_links.word_count", sample_vcon(), {"analysis_type": "words"})
    assert outcome.returned and outcome.vcon["analysis"]

With pytest, `pytest_plugins = ["devstack.pytest_plugin"]` in a `conftest.py` provides the fixture
`plugin_bench`, whose server runs for the whole session. `GuestBench` and the fixture `guest_bench`
are the former names.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

from devstack.servers.folders import temporary_folder
from devstack.servers.valkey import Valkey
from lib.vcon_library import prepare
from lib.vcon_server import aliases
from pipeline.config.parser import parse
from pipeline.plugins.loader import Loaded, LoadedStorage, Plugins, load
from pipeline.redis_client import client
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.calls import PluginCalls
from pipeline.runs.vcon_store import VconStore
from pipeline.vcon.normalization import normalised

type Document = dict[str, Any]
type Options = Mapping[str, Any]

NAME = "on_the_bench"
"""The plugin's name in the configuration with which it is loaded."""


def sample_vcon(**changes: Any) -> Document:
    """A vCon in the format 0.4.0 with two parties, one text dialog and a new uuid."""
    start = "2024-05-01T10:00:00+00:00"
    text = {"type": "text", "start": start, "parties": [0, 1], "mediatype": "text/plain"}
    return {
        "vcon": "0.4.0",
        "uuid": str(uuid4()),
        "created_at": start,
        "parties": [{"name": "Ada", "tel": "+15550100"}, {"name": "Support", "role": "agent"}],
        "dialog": [{**text, "body": "Can I bring the bike on Saturday?", "encoding": "none"}],
        "analysis": [],
        "attachments": [],
        **changes,
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """A link's return value, and the vCon's content in Redis after the call, None if deleted."""

    returned: Any
    vcon: Document | None


class PluginBench:
    """A context manager that provides a Redis with JSON to plugins."""

    def __init__(self, redis_url: str | None = None) -> None:
        """Without `redis_url`, an empty embedded server runs until the context manager exits."""
        self._given = redis_url
        self._running = ExitStack()
        self.redis_url = redis_url or ""

    def __enter__(self) -> Self:
        """Start the server, if any, and the event loop.

        Raises:
            StackError: if the embedded server does not start.
        """
        aliases.install()
        prepare()
        with ExitStack() as started:
            if self._given is None:
                server = Valkey.start(started.enter_context(temporary_folder()))
                started.callback(server.stop)
                self.redis_url = server.url
            self._loop = started.enter_context(_own_loop())
            self._running = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the event loop and the embedded server."""
        self._running.close()

    @property
    def redis_host(self) -> str:
        """The server's host, for plugins that connect to Redis themselves."""
        return urlsplit(self.redis_url).hostname or ""

    @property
    def redis_port(self) -> int:
        """The server's port, for plugins that connect to Redis themselves."""
        return urlsplit(self.redis_url).port or 6379

    def put(self, vcon: Mapping[str, Any]) -> None:
        """Store a vCon in Redis, normalised as at ingest."""
        document = normalised(dict(vcon))
        self._work(lambda store, _: store.put(document))

    def read(self, vcon_uuid: str) -> Document | None:
        """The vCon's content in Redis, or None."""
        return self._work(lambda store, _: store.get(vcon_uuid))

    def run_link(
        self, module: str, vcon: Mapping[str, Any], options: Options | None = None
    ) -> Outcome:
        """Store a vCon in Redis and run one link on it.

        Raises:
            ConfigurationError: if the link cannot be loaded or refuses the options.
        """
        plugins = _loaded("links", module, options)
        [link] = plugins.links.values()
        returned = self._store_and_call(vcon, link, link.run, vcon["uuid"], NAME)
        return Outcome(returned, self.read(vcon["uuid"]))

    def trace(
        self,
        module: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        options: Options | None = None,
        *,
        links: tuple[str, ...] = ("a_link",),
        link_index: int = 0,
    ) -> None:
        """Store two vCons in Redis and call a tracer as after a link that made one from the other.

        Raises:
            ConfigurationError: if the tracer cannot be loaded or refuses the options.
        """
        [tracer] = _loaded("tracers", module, options).tracers.values()
        self.put(before)
        uuids = (before["uuid"], after["uuid"])
        self._store_and_call(after, tracer, tracer.run, *uuids, NAME, list(links), link_index)

    def save(self, module: str, vcon: Mapping[str, Any], options: Options | None = None) -> None:
        """Store a vCon in Redis and save it with a storage.

        Raises:
            ConfigurationError: if the storage cannot be loaded or refuses the options.
        """
        storage = _storage(module, options)
        self._store_and_call(vcon, storage, storage.save, vcon["uuid"])

    def get(self, module: str, vcon_uuid: str, options: Options | None = None) -> Any:
        """The result of a storage's `get`."""
        storage = _storage(module, options)
        return self._call(storage, storage.get, vcon_uuid)

    def delete(self, module: str, vcon_uuid: str, options: Options | None = None) -> Any:
        """The result of a storage's `delete`."""
        storage = _storage(module, options)
        return self._call(storage, storage.delete, vcon_uuid)

    def _store_and_call(
        self, vcon: Mapping[str, Any], plugin: Loaded, function: Callable[..., Any], *words: Any
    ) -> Any:
        self.put(vcon)
        return self._call(plugin, function, *words)

    def _call(self, plugin: Loaded, function: Callable[..., Any] | None, *words: Any) -> Any:
        if function is None:
            raise NotImplementedError("the storage does not define this function")

        async def called(_: VconStore, calls: PluginCalls) -> Any:
            arguments = (*words, plugin.fresh_options())
            try:
                return await calls.call(function, *arguments, is_async=plugin.is_async)
            finally:
                if isinstance(plugin, LoadedStorage):
                    await calls.close_storages([plugin])

        return self._work(called)

    def _work[T](self, work: Callable[[VconStore, PluginCalls], Awaitable[T]]) -> T:
        async def working() -> T:
            async with connected(self.redis_url) as store:
                calls = PluginCalls(1, client.installed())
                try:
                    return await work(store, calls)
                finally:
                    calls.close()

        return asyncio.run_coroutine_threadsafe(working(), self._loop).result()


GuestBench = PluginBench
"""The former name, for tests of plugins that import it."""


@contextmanager
def _own_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One loop for all calls, as in a worker, so that a plugin's cached clients stay usable."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="plugin bench", daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@asynccontextmanager
async def connected(redis_url: str) -> AsyncIterator[VconStore]:
    """Install a connection for the plugins of this process; yields its vCon store."""
    redis = RedisConnection(redis_url)
    before = list(client._installed)
    client.install(redis)
    try:
        yield VconStore(redis)
    finally:
        client._installed[:] = before
        await redis.close()


def _storage(module: str, options: Options | None) -> LoadedStorage:
    [storage] = _loaded("storages", module, options).storages.values()
    return storage


def _loaded(section: str, module: str, options: Options | None) -> Plugins:
    chain: dict[str, list[str]] = {"links": [], "storages": [], "tracers": [], section: [NAME]}
    plugin = {NAME: {"module": module, "options": dict(options or {})}}
    return load(parse({section: plugin, "chains": {"main": chain}}, {}))
