"""Connections that outlive runs: opened when first used, kept, opened again when they were lost."""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from flowlang.connections import plugin_registry
from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.connection import Connection, Patience, said, uninterrupted
from flowlang.connections.registry import ConnectionPluginRegistry
from flowlang.connections.scope import Loan
from flowlang.connections.slot import Means, Slot
from flowlang.exceptions import ConnectionNotFoundError
from flowlang.redaction import Secrets

logger = logging.getLogger(__name__)


class KeptConnections:
    """Connections by name, shared by all runs of one process and one event loop."""

    def __init__(
        self,
        *,
        registry: ConnectionPluginRegistry = plugin_registry,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """There are none yet."""
        self._means = Means(registry, patience or Patience(), clock)
        self._slots: dict[str, Slot] = {}

    async def configure(self, connections: Mapping[str, Any]) -> None:
        """Have these from now on. Those that are the same stay open; the others end when unused."""
        before, self._slots = self._slots, {}
        for name, given in connections.items():
            known = before.get(name)
            if known is not None and known.given == given:
                self._slots[name] = before.pop(name)
            else:
                self._slots[name] = Slot(name, given, self._means)
        for slot in before.values():
            await slot.give_up()

    async def close(self) -> None:
        """Close all, the last configured first; there are none from now on."""
        slots, self._slots = self._slots, {}
        for slot in reversed(slots.values()):
            await uninterrupted(slot.close())

    def list_connections(self) -> list[str]:
        """The names of all connections, sorted."""
        return sorted(self._slots)

    async def get_plugin(self, name: str) -> ConnectionPlugin:
        """The connected plugin's object; it is opened if it is not open.

        Raises ConnectionNotFoundError, ConnectionError; also for a while after a failure, at once.
        """
        return (await self._opened(name))[1].plugin

    @asynccontextmanager
    async def borrowed(self, name: str) -> AsyncIterator[Loan]:
        """What a task of that connection works with, given back at the end.

        Raises as `get_plugin` does. A connection that turns out to be lost is opened anew for the
        next one who asks.
        """
        async with self._used(name) as connection, connection.lent() as lent:
            yield Loan(connection.plugin, lent)

    @asynccontextmanager
    async def _used(self, name: str) -> AsyncIterator[Connection]:
        slot, connection = await self._opened(name)
        slot.enter(connection)
        try:
            yield connection
        except Exception as error:
            await slot.failed(connection, error)
            raise
        finally:
            await slot.leave(connection)

    async def check(self, name: str) -> str | None:
        """What is wrong with a connection, without secrets; None when it answers."""
        try:
            async with self._used(name) as connection:
                await connection.check()
                return None
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            return self.secrets().text(said(error))

    async def check_open(self) -> None:
        """Look after those that are open, so that who comes next finds them well."""
        for name in [name for name, slot in self._slots.items() if slot.is_open]:
            problem = await self.check(name)
            if problem is not None:
                logger.warning("Connection in trouble: %s", problem)

    def secrets(self) -> Secrets:
        """What no message about these connections may show."""
        secrets = Secrets()
        for slot in self._slots.values():
            secrets.include(slot.secrets)
        return secrets

    async def _opened(self, name: str) -> tuple[Slot, Connection]:
        while True:  # the configuration may change in the meantime
            slot = self._slot(name)
            connection = await slot.opened()
            if connection is not None:
                return slot, connection

    def _slot(self, name: str) -> Slot:
        if name not in self._slots:
            known = ", ".join(self.list_connections()) or "none"
            raise ConnectionNotFoundError(
                f"Connection '{name}' not found. Available connections: {known}"
            )
        return self._slots[name]
