"""The two servers that the scenarios share."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.servers.postgres import Postgres
from devstack.servers.stack import EmbeddedStack
from devstack.servers.valkey import Valkey


class Servers:
    """Valkey and PostgreSQL; both run between scenarios."""

    def __init__(self, stack: EmbeddedStack) -> None:
        """`stack` is running; see `running`."""
        self._stack = stack
        self._databases = 0

    @property
    def folder(self) -> Path:
        """A folder for other files, removed with the servers."""
        return self._stack.folder

    @property
    def valkey(self) -> Valkey:
        """The Valkey server."""
        return self._stack.valkey

    @property
    def postgres(self) -> Postgres:
        """The PostgreSQL server started last."""
        return self._stack.postgres

    def environment(self, database: str) -> dict[str, str]:
        """The service's environment variables for both servers and `database`."""
        return self._stack.environment(database)

    async def new_database(self) -> str:
        """Create a database without tables; returns its name."""
        self._databases += 1
        name = f"chaos_{self._databases}"
        await asyncio.to_thread(self.postgres.create_database, name)
        return name

    async def restart_valkey(self) -> None:
        """Start Valkey again on the same port and data."""
        await asyncio.to_thread(self.valkey.restart)

    async def restart_postgres(self) -> None:
        """Start PostgreSQL again on the same port and data, after it was stopped or killed."""
        self._stack.postgres = await asyncio.to_thread(
            Postgres.start, self.folder / "postgres", port=self.postgres.port, fsync=False
        )


@contextmanager
def running() -> Iterator[Servers]:
    """Start both servers in a temporary folder.

    Raises:
        StackError: if one does not start; the message is one line.
    """
    with EmbeddedStack(fsync=False) as stack:
        servers = Servers(stack)
        yield servers
        servers.postgres.stop()  # the stack knows only the one that it started
