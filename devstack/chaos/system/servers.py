"""The two servers that the scenarios share."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from devstack.servers.postgres import Postgres
from devstack.servers.stack import EmbeddedStack
from devstack.servers.valkey import Valkey

_numbers = count(1)


class Servers:
    """Valkey and PostgreSQL; both run between scenarios."""

    def __init__(
        self,
        stack: EmbeddedStack,
        *,
        valkey: Callable[[], Valkey] | None = None,
        redis_url: str = "",
        custody: str = "redis",
    ) -> None:
        """`stack` is running; see `running` and `with_valkey`. `custody`: the setting CUSTODY."""
        self._stack = stack
        self._valkey = valkey or (lambda: stack.valkey)
        self._redis_url = redis_url
        self._custody = custody

    def with_valkey(self, valkey: Callable[[], Valkey], redis_url: str = "") -> "Servers":
        """The same servers, but for Valkey; services find it by `redis_url`."""
        return Servers(self._stack, valkey=valkey, redis_url=redis_url)

    @property
    def folder(self) -> Path:
        """A folder for other files, removed with the servers."""
        return self._stack.folder

    @property
    def valkey(self) -> Valkey:
        """The Valkey server."""
        return self._valkey()

    @property
    def postgres(self) -> Postgres:
        """The PostgreSQL server started last."""
        return self._stack.postgres

    def environment(self, database: str) -> dict[str, str]:
        """The service's environment variables for both servers and `database`."""
        environment = self._stack.environment(database)
        redis_url = self._redis_url or self.valkey.url
        return {**environment, "REDIS_URL": redis_url, "CUSTODY": self._custody}

    async def new_database(self) -> str:
        """Create a database without tables; returns its name.

        What is committed in it survives a killed server, which the others here do not promise.
        """
        name = f"chaos_{next(_numbers)}"
        await asyncio.to_thread(self._create_database, name)
        return name

    def _create_database(self, name: str) -> None:
        self.postgres.create_database(name)
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            statement = "ALTER DATABASE {} SET synchronous_commit = on"
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))

    async def restart_valkey(self) -> None:
        """Start Valkey again on the same port and data."""
        await asyncio.to_thread(self.valkey.restart)

    async def restart_postgres(self) -> None:
        """Start PostgreSQL again on the same port and data, after it was stopped or killed."""
        self._stack.postgres = await asyncio.to_thread(
            Postgres.start, self.folder / "postgres", port=self.postgres.port, fsync=False
        )


@contextmanager
def running(custody: str = "redis") -> Iterator[Servers]:
    """Start both servers in a temporary folder; `custody` is for scenarios that do not set it.

    Raises:
        StackError: if one does not start; the message is one line.
    """
    with EmbeddedStack(fsync=False) as stack:
        servers = Servers(stack, custody=custody)
        yield servers
        servers.postgres.stop()  # the stack knows only the one that it started
