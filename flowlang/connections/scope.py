"""The interface through which a flow's steps use connections."""

from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from flowlang.connections.base import ConnectionPlugin
from flowlang.redaction import Secrets


class Loan(NamedTuple):
    """The plugin's object, and the connection that it lends to a task."""

    plugin: ConnectionPlugin
    connection: Any


class Connections(Protocol):
    """Connections by name."""

    def list_connections(self) -> list[str]:
        """The names of all connections in reach."""

    async def get_plugin(self, name: str) -> ConnectionPlugin:
        """The connected plugin's object. Raises ConnectionNotFoundError, ConnectionError."""

    def borrowed(self, name: str) -> AbstractAsyncContextManager[Loan]:
        """Lend a task the connection, and take it back at the end.

        Raises ConnectionNotFoundError, ConnectionError.
        """

    def secrets(self) -> Secrets:
        """The secrets that messages about these connections must not show."""
