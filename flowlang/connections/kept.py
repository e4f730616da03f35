"""Connections that outlive runs: opened when first used, kept, opened again when they were lost."""

import asyncio
import builtins
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from flowlang.connections import plugin_registry
from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.configuration import prepare
from flowlang.connections.connection import Connection, Patience, said, uninterrupted
from flowlang.connections.registry import ConnectionPluginRegistry
from flowlang.connections.scope import Loan
from flowlang.exceptions import ConnectionError, ConnectionNotFoundError
from flowlang.redaction import Secrets

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds after a failure in which nobody tries again; they double with each one."""


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
        self._registry = registry
        self._patience = patience or Patience()
        self._clock = clock
        self._slots: dict[str, _Slot] = {}

    async def configure(self, connections: Mapping[str, Any]) -> None:
        """Have these from now on. Those that are the same stay open; the others end when unused."""
        before, self._slots = self._slots, {}
        for name, given in connections.items():
            known = before.get(name)
            if known is not None and known.given == given:
                self._slots[name] = before.pop(name)
            else:
                self._slots[name] = _Slot(name, given, self._registry, self._patience, self._clock)
        for slot in before.values():
            await slot.give_up()

    async def close(self) -> None:
        """Close all, the last configured first."""
        for slot in reversed(self._slots.values()):
            await uninterrupted(slot.close())

    def list_connections(self) -> list[str]:
        """The names of all connections, sorted."""
        return sorted(self._slots)

    async def get_plugin(self, name: str) -> ConnectionPlugin:
        """The connected plugin's object; it is opened if it is not open.

        Raises ConnectionNotFoundError, ConnectionError; also for a while after a failure, at once.
        """
        return (await self._slot(name).opened()).plugin

    @asynccontextmanager
    async def borrowed(self, name: str) -> AsyncIterator[Loan]:
        """What a task of that connection works with, given back at the end.

        Raises as `get_plugin` does. A connection that turns out to be lost is opened anew for the
        next one who asks.
        """
        slot = self._slot(name)
        connection = await slot.opened()
        slot.users[connection] = slot.users.get(connection, 0) + 1
        try:
            async with connection.lent() as lent:
                yield Loan(connection.plugin, lent)
        except Exception as error:
            if was_lost(error):
                slot.forget(connection)
            raise
        finally:
            if slot.left(connection):
                await uninterrupted(connection.close())

    async def check(self, name: str) -> str | None:
        """What is wrong with a connection, without secrets; None when it can be borrowed."""
        try:
            async with self.borrowed(name):
                return None
        except ConnectionError as error:
            return self.secrets().text(str(error))

    async def check_open(self) -> None:
        """Look after those that are open, so that who comes next finds them well."""
        for name in [name for name, slot in self._slots.items() if slot.is_open]:
            problem = await self.check(name)
            if problem is not None:
                logger.warning("Connection lost: %s", problem)

    def secrets(self) -> Secrets:
        """What no message about these connections may show."""
        secrets = Secrets()
        for slot in self._slots.values():
            secrets.include(slot.secrets)
        return secrets

    def _slot(self, name: str) -> "_Slot":
        if name not in self._slots:
            known = ", ".join(self.list_connections()) or "none"
            raise ConnectionNotFoundError(
                f"Connection '{name}' not found. Available connections: {known}"
            )
        return self._slots[name]


class _Slot:
    """One name, and the connection that it stands for now."""

    def __init__(
        self,
        name: str,
        given: Any,
        registry: ConnectionPluginRegistry,
        patience: Patience,
        clock: Callable[[], float],
    ) -> None:
        self.given = given
        self.secrets = Secrets()
        self.users: dict[Connection, int] = {}
        self._name = name
        self._registry = registry
        self._patience = patience
        self._clock = clock
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._failures = 0
        self._not_before = 0.0
        self._why = ""

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    async def opened(self) -> Connection:
        if self._connection is not None:
            return self._connection
        async with self._opening:
            if self._connection is None:
                self._connection = await self._open()
            return self._connection

    async def _open(self) -> Connection:
        wait = self._not_before - self._clock()
        if wait > 0:
            raise ConnectionError(f"{self._why} (tried again in {wait:.0f} s)")
        try:
            prepared = prepare(self._name, self.given, self._registry)
            self.secrets.include(prepared.secrets)
            connection = Connection(self._name, prepared, self._patience)
            await connection.open()
        except ConnectionError as error:
            self._why = said(error)
            self._not_before = self._clock() + min(FIRST_WAIT * 2**self._failures, LONGEST_WAIT)
            self._failures += 1
            raise
        self._failures = 0
        return connection

    def forget(self, connection: Connection) -> None:
        """Have it replaced; it is closed when its last borrower has left."""
        if self._connection is connection:
            self._connection = None

    def left(self, connection: Connection) -> bool:
        """Count one borrower less; whether the connection is of no more use."""
        self.users[connection] -= 1
        if self.users[connection]:
            return False
        del self.users[connection]
        return self._connection is not connection

    async def give_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection not in self.users:
            await connection.close()

    async def close(self) -> None:
        for connection in {*self.users, self._connection} - {None}:
            assert connection is not None
            await connection.close()
        self._connection = None


def was_lost(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, tells that there is no connection any more."""
    while error is not None:
        if isinstance(error, builtins.TimeoutError):  # slow is not gone
            return False
        if isinstance(error, ConnectionError | OSError | EOFError):
            return True
        error = error.__cause__
    return False
