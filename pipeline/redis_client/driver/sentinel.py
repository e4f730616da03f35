"""Pools whose connections go to the server that the sentinels name, and the watch over that name.

The watch asks every `WATCH_SECONDS`, so a promotion is noticed also while a server that does not
answer holds commands, blocking ones and subscriptions.
"""

import asyncio
import contextlib
import threading
from typing import Any, override

import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from pipeline.redis_client.driver.connections import OpenConnections

WATCH_SECONDS = 0.5
ANSWER_SECONDS = 0.5
"""A sentinel that takes longer is passed over."""

type Address = tuple[str, int]


class Primary:
    """The address that the sentinels named last; leaves the connections when it changes."""

    def __init__(self, connections: OpenConnections) -> None:
        """Unknown until a pool asks."""
        self._connections = connections
        self._lock = threading.Lock()
        self.address: Address | None = None

    def named(self, address: Address) -> Address:
        """Note what a sentinel has answered; returns it."""
        with self._lock:
            has_moved = self.address not in (None, address)
            self.address = address
        if has_moved:
            self._connections.leave(self._connections.generation)
        return address


class AsyncPool(redis.asyncio.sentinel.SentinelConnectionPool):
    """Connections on the event loop."""

    def __init__(self, primary: Primary, *place: Any, **options: Any) -> None:
        super().__init__(*place, **options)  # type: ignore[no-untyped-call]
        self._primary = primary

    @override
    async def get_master_address(self) -> Address:
        found = await self.sentinel_manager.discover_master(self.service_name)
        return self._primary.named(found)


class SyncPool(redis.sentinel.SentinelConnectionPool):
    """Connections of threads."""

    def __init__(self, primary: Primary, *place: Any, **options: Any) -> None:
        super().__init__(*place, **options)  # type: ignore[no-untyped-call]
        self.proxy = _Proxy(primary, self)
        self.connection_kwargs["connection_pool"] = self.proxy


class _Proxy(redis.sentinel.SentinelConnectionPoolProxy):
    """What a connection asks for its address."""

    def __init__(self, primary: Primary, pool: SyncPool) -> None:
        super().__init__(pool, True, False, pool.service_name, pool.sentinel_manager)  # type: ignore[no-untyped-call]
        self._primary = primary

    @override
    def get_master_address(self) -> Address:
        return self._primary.named(self.sentinel_manager.discover_master(self.service_name))


def sentinel_options(account: dict[str, str], tls: dict[str, Any]) -> dict[str, Any]:
    """The options of connections to the sentinels, without their retries."""
    return {
        "socket_timeout": ANSWER_SECONDS,
        "socket_connect_timeout": ANSWER_SECONDS,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        **account,
        **tls,
    }


def async_sentinels(
    hosts: tuple[Address, ...], options: dict[str, Any]
) -> redis.asyncio.sentinel.Sentinel:
    """The sentinels, for the event loop."""
    retry = AsyncRetry(NoBackoff(), 0)
    return redis.asyncio.sentinel.Sentinel(hosts, sentinel_kwargs={**options, "retry": retry})  # type: ignore[no-untyped-call]


def sync_sentinels(hosts: tuple[Address, ...], options: dict[str, Any]) -> redis.sentinel.Sentinel:
    """The sentinels, for threads."""
    retry = Retry(NoBackoff(), 0)
    return redis.sentinel.Sentinel(hosts, sentinel_kwargs={**options, "retry": retry})  # type: ignore[no-untyped-call]


async def watch(pool: AsyncPool) -> None:
    """Ask the sentinels for the primary again and again; never ends."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        with contextlib.suppress(RedisError, OSError):  # none answers, or it has no primary now
            await pool.get_master_address()
