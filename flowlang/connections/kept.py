"""Connections that outlive runs: opened at first use, kept, and reopened when lost."""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from flowlang.connections import plugin_registry
from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.connection import Connection, Patience, message_of, uninterrupted
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
        """Have no connections before `configure`."""
        self._means = Means(registry, patience or Patience(), clock)
        self._slots: dict[str, Slot] = {}

    async def configure(self, connections: Mapping[str, Any]) -> None:
        """Replace the configuration; unchanged connections stay open, others close when unused."""
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
        """Close all connections, the last configured first, and forget them."""
        slots, self._slots = self._slots, {}
        for slot in reversed(slots.values()):
            await uninterrupted(slot.close())

    def list_connections(self) -> list[str]:
        """The names of all connections, sorted."""
        return sorted(self._slots)

    async def get_plugin(self, name: str) -> ConnectionPlugin:
        """The connected plugin's object; the connection is opened if necessary.

        Raises ConnectionNotFoundError, ConnectionError; for a while after a failure at once.
        """
        return (await self._opened(name))[1].plugin

    @asynccontextmanager
    async def borrowed(self, name: str) -> AsyncIterator[Loan]:
        """Lend a task the connection, and take it back at the end.

        Raises as `get_plugin` does. A connection that proves to be lost is reopened for the next
        task.
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
        """Check a connection: its error without secrets, None when it answers."""
        try:
            async with self._used(name) as connection:
                await connection.check()
                return None
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            return self.secrets().text(message_of(error))

    async def check_open(self) -> None:
        """Check the open connections, so that a lost one is replaced before its next use."""
        for name in [name for name, slot in self._slots.items() if slot.is_open]:
            problem = await self.check(name)
            if problem is not None:
                logger.warning("Connection in trouble: %s", problem)

    def secrets(self) -> Secrets:
        """The secrets that messages about these connections must not show."""
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
