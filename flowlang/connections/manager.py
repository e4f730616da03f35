"""The connections of one run of a flow: opened before its first step, closed after its last."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from flowlang.connections import plugin_registry
from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.configuration import prepare
from flowlang.connections.connection import Connection, Patience, uninterrupted
from flowlang.connections.registry import ConnectionPluginRegistry
from flowlang.connections.scope import Connections, Loan
from flowlang.exceptions import ConnectionConfigError, ConnectionError, ConnectionNotFoundError
from flowlang.redaction import Secrets

logger = logging.getLogger(__name__)


class ConnectionManager:
    """Connections by name: the run's own, and those of its caller behind them."""

    def __init__(
        self,
        connections: object = None,
        *,
        outer: Connections | None = None,
        registry: ConnectionPluginRegistry = plugin_registry,
        patience: Patience | None = None,
    ) -> None:
        """Take the mapping under `connections:`; nothing is opened yet.

        `outer` are connections that the run may use and never closes. Raises ConnectionConfigError
        if `connections` is no mapping.
        """
        if connections is not None and not isinstance(connections, Mapping):
            raise ConnectionConfigError("'connections' must be a mapping of names")
        self._given: Mapping[str, Any] = connections or {}
        self._outer = outer
        self._registry = registry
        self._patience = patience or Patience()
        self._open: dict[str, Connection] = {}
        self._secrets = Secrets()
        self._ready = False

    async def initialize(self) -> None:
        """Open every connection, in the order they stand in.

        Raises ConnectionError, with what was opened before closed again, in reverse.
        """
        if self._ready:
            return
        try:
            for name, given in self._given.items():
                prepared = prepare(name, given, self._registry)
                self._secrets.include(prepared.secrets)
                connection = Connection(name, prepared, self._patience)
                await connection.open()
                self._open[name] = connection
        except BaseException:
            await self.cleanup()
            raise
        self._ready = True

    async def cleanup(self) -> None:
        """Close this run's own connections, the last opened first, also when cancelled."""
        self._ready = False
        while self._open:
            _, connection = self._open.popitem()
            await uninterrupted(connection.close())

    async def __aenter__(self) -> "ConnectionManager":
        await self.initialize()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cleanup()

    def is_initialized(self) -> bool:
        """Whether every connection is open."""
        return self._ready

    def list_connections(self) -> list[str]:
        """The names of all connections in reach, sorted."""
        outer = self._outer.list_connections() if self._outer is not None else []
        return sorted({*self._given, *outer})

    async def get_plugin(self, name: str) -> ConnectionPlugin:
        """The connected plugin's object. Raises ConnectionNotFoundError, ConnectionError."""
        if self._outer is not None and name not in self._given:
            return await self._outer.get_plugin(name)
        return self._own(name).plugin

    def borrowed(self, name: str) -> AbstractAsyncContextManager[Loan]:
        """What a task of that connection works with, given back at the end.

        Raises ConnectionNotFoundError, ConnectionError.
        """
        if self._outer is not None and name not in self._given:
            return self._outer.borrowed(name)
        return self._borrowed(name)

    @asynccontextmanager
    async def _borrowed(self, name: str) -> AsyncIterator[Loan]:
        connection = self._own(name)
        async with connection.lent() as lent:
            yield Loan(connection.plugin, lent)

    @asynccontextmanager
    async def lent(self, name: str) -> AsyncIterator[Any]:
        """The same without the plugin's object."""
        async with self.borrowed(name) as loan:
            yield loan.connection

    def _own(self, name: str) -> Connection:
        if not self._ready:
            raise ConnectionError("ConnectionManager not initialized. Call initialize() first.")
        if name not in self._open:
            known = ", ".join(self.list_connections()) or "none"
            raise ConnectionNotFoundError(
                f"Connection '{name}' not found. Available connections: {known}"
            )
        return self._open[name]

    def secrets(self) -> Secrets:
        """What no message about these connections may show."""
        secrets = Secrets()
        secrets.include(self._secrets)
        if self._outer is not None:
            secrets.include(self._outer.secrets())
        return secrets

    def __repr__(self) -> str:
        return (
            f"ConnectionManager(connections={self.list_connections()}, open={sorted(self._open)})"
        )
