"""What a flow's steps see of connections, wherever these come from."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from flowlang.connections.base import ConnectionPlugin
from flowlang.redaction import Secrets


class Connections(Protocol):
    """Connections by name."""

    def list_connections(self) -> list[str]:
        """The names of all connections in reach."""

    async def get_plugin(self, name: str) -> ConnectionPlugin:
        """The connected plugin's object. Raises ConnectionNotFoundError, ConnectionError."""

    def lent(self, name: str) -> AbstractAsyncContextManager[Any]:
        """What a task of that connection works with, taken back at the end."""

    def secrets(self) -> Secrets:
        """What no message about these connections may show."""
