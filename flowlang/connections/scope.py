"""What a flow's steps see of connections, wherever these come from."""

from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from flowlang.connections.base import ConnectionPlugin
from flowlang.redaction import Secrets


class Loan(NamedTuple):
    """What a task borrows: the plugin's object, and what that object has lent."""

    plugin: ConnectionPlugin
    connection: Any


class Connections(Protocol):
    """Connections by name."""

    def list_connections(self) -> list[str]:
        """The names of all connections in reach."""

    async def get_plugin(self, name: str) -> ConnectionPlugin:
        """The connected plugin's object. Raises ConnectionNotFoundError, ConnectionError."""

    def borrowed(self, name: str) -> AbstractAsyncContextManager[Loan]:
        """What a task of that connection works with, given back at the end.

        Raises ConnectionNotFoundError, ConnectionError.
        """

    def secrets(self) -> Secrets:
        """What no message about these connections may show."""
