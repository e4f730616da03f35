"""The one place that makes connections to Redis: pools for batches, for plugins, for threads."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
import redis.connection
from redis.maint_notifications import MaintNotificationsConfig

from core.setting_groups.addresses import RedisAddress
from pipeline.redis_client.driver import connections, sentinel
from pipeline.redis_client.driver.connections import OpenConnections

MAX_CONNECTIONS = 10_000
"""High enough that the pool never refuses one: concurrency is limited elsewhere."""


_UNKNOWN = re.compile("unexpected keyword argument '(.{1,100})'")


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """What the settings say about how to reach Redis, besides the address."""

    ca_file: str = ""
    """Certificates to trust, in PEM; empty: those of the system."""
    sentinel_user: str = ""
    sentinel_password: str = field(default="", repr=False)


class Pools:
    """The pools of a process; their connections are of the same generations."""

    def __init__(self, address: RedisAddress, access: RedisAccess, options: dict[str, Any]) -> None:
        """Connects on first use. `options` are the driver's, for every connection.

        Raises:
            ValueError: the address has an option that the driver does not know.
        """
        self.open = OpenConnections()
        self._address = address
        self._options = {
            **options,
            **({"ssl_ca_certs": access.ca_file} if access.ca_file else {}),
            "max_connections": MAX_CONNECTIONS,
            "open_connections": self.open,
            # with them the driver does not look whether a pooled connection has been closed
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }
        self._primary = sentinel.Primary(self.open)
        self._sentinels = sentinel.sentinel_options(_account(access), self._tls())
        self._watch: asyncio.Task[None] | None = None
        self._pools: list[redis.asyncio.ConnectionPool] = []

    def on_loop(self) -> redis.asyncio.ConnectionPool:
        """A new pool for the event loop."""
        pool = self._on_loop()
        try:
            pool.make_connection()  # type: ignore[no-untyped-call]  # not connected
        except (TypeError, ValueError, redis.RedisError) as error:  # its text has no values
            unknown = _UNKNOWN.search(str(error))
            msg = f"has the option {unknown[1]}, which is unknown" if unknown else str(error)
            raise ValueError(msg) from None
        self._pools.append(pool)
        return pool

    def _on_loop(self) -> redis.asyncio.ConnectionPool:
        options = self._with_url(socket_timeout=None)
        if not self._address.sentinels:
            options["connection_class"] = connections.ASYNC[self._scheme]
            return redis.asyncio.ConnectionPool(**options)
        options["connection_class"] = connections.ASYNC_PRIMARY[self._scheme]
        found = sentinel.async_sentinels(self._address.sentinels, self._sentinels)
        return sentinel.AsyncPool(self._primary, self._address.service, found, **options)

    def in_threads(self, seconds: float) -> redis.ConnectionPool:
        """A new pool for threads, with a time limit for each reply."""
        options = self._with_url(socket_timeout=seconds)
        if not self._address.sentinels:
            options["connection_class"] = connections.SYNC[self._scheme]
            return redis.ConnectionPool(**options)
        options["connection_class"] = connections.SYNC_PRIMARY[self._scheme]
        found = sentinel.sync_sentinels(self._address.sentinels, self._sentinels)
        return sentinel.SyncPool(self._primary, self._address.service, found, **options)

    def start_watch(self) -> None:
        """Watch the sentinels, if there are any, from the running loop; without effect later."""
        if self._watch is None and self._address.sentinels:
            pool = self._pools[0]
            assert isinstance(pool, sentinel.AsyncPool)
            self._watch = asyncio.get_running_loop().create_task(sentinel.watch(pool))

    async def close(self) -> None:
        """Close the pools of the event loop, and end the watch."""
        if self._watch is not None:
            self._watch.cancel()
        for pool in self._pools:
            await pool.aclose()
            if isinstance(pool, sentinel.AsyncPool):
                await pool.sentinel_manager.aclose()

    @property
    def _scheme(self) -> str:
        return self._address.plain_url.partition(":")[0]

    def _with_url(self, **options: Any) -> dict[str, Any]:
        """The options, and those of the address, which win."""
        merged = self._options | options | _of_url(self._address)
        if self._address.sentinels:
            merged = {name: merged[name] for name in merged if name not in ("host", "port")}
        return merged

    def _tls(self) -> dict[str, Any]:
        if not self._address.uses_tls:
            return {}
        given = self._options | _of_url(self._address)
        return {"ssl": True} | {name: given[name] for name in given if name.startswith("ssl_")}


def _of_url(address: RedisAddress) -> dict[str, Any]:
    parsed = redis.connection.parse_url(address.plain_url)  # type: ignore[no-untyped-call]
    return {name: value for name, value in parsed.items() if name != "connection_class"}


def _account(access: RedisAccess) -> dict[str, str]:
    given = {"username": access.sentinel_user, "password": access.sentinel_password}
    return {name: value for name, value in given.items() if value}
