"""MySQL and MariaDB, over a pool of asyncmy."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flowlang.connections.sql import MYSQL, Done, Parameters, Statement, distinct
from flowlang.connections.sql_plugin import SqlPlugin
from flowlang.connections.tls import TLS, needs_tls, tls_context
from flowlang.exceptions import ConnectionError

if TYPE_CHECKING:
    from asyncmy.connection import Connection
    from asyncmy.pool import Pool


KILL_SECONDS = 5


class MysqlPlugin(SqlPlugin):
    """Queries with `%s`, or `%(name)s` where `params` is a mapping; with either, `%%` is a `%`."""

    name = "mysql"
    description = "MySQL or MariaDB database"
    product = "MySQL"
    prefix = "mysql"
    dialect = MYSQL
    dependencies = ("asyncmy>=0.2.11",)
    required = ("host", "user", "password", "database")
    properties = {
        "host": {"type": "string", "minLength": 1},
        "user": {"type": "string"},
        "password": {"type": "string", "format": "password"},
        "database": {"type": "string", "minLength": 1},
        "port": {"type": "integer", "default": 3306, "minimum": 1, "maximum": 65535},
        "pool_size": {
            "type": "integer",
            "default": 10,
            "minimum": 1,
            "maximum": 100,
            "description": "How many connections there may be at once",
        },
        "min_pool_size": {
            "type": "integer",
            "default": 1,
            "minimum": 0,
            "description": "How many are opened at once",
        },
        "charset": {"type": "string", "default": "utf8mb4"},
        "autocommit": {
            "type": "boolean",
            "default": False,
            "description": "Whether the server commits each statement, or the task at its end",
        },
        **TLS,
    }
    scaffold = {
        "host": "${env.MYSQL_HOST}",
        "port": "${env.MYSQL_PORT:-3306}",
        "user": "${env.MYSQL_USER}",
        "password": "${env.MYSQL_PASSWORD}",
        "database": "${env.MYSQL_DATABASE}",
    }

    def __init__(self) -> None:
        super().__init__()
        self._pool: Pool | None = None
        self._options: dict[str, Any] = {}

    def validate_config(self, config: dict[str, Any]) -> tuple[bool, str | None]:
        """Whether all is there, and certificates are named only for TLS."""
        told = needs_tls(config, bool(config.get("tls")), "set tls: true")
        return (False, told) if told else super().validate_config(config)

    async def connect(self, config: dict[str, Any]) -> Any:
        """Open the pool; an UPDATE counts the rows it finds, as other databases do."""
        import asyncmy
        from asyncmy.constants.CLIENT import FOUND_ROWS

        self.bound(config)
        size = self.setting(config, "pool_size")
        names = (*self.required, "port", "charset", "autocommit")
        self._options = {name: self.setting(config, name) for name in names}
        self._options["client_flag"] = FOUND_ROWS
        if config.get("tls"):
            self._options["ssl"] = tls_context(config)
        self._pool = await asyncmy.create_pool(
            minsize=min(self.setting(config, "min_pool_size"), size) or 1,
            maxsize=size,
            **self._options,
        )
        return self._pool

    async def disconnect(self) -> None:
        """Close the pool, and with it what is still lent."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()
            await pool.wait_closed()

    async def get_connection(self) -> "Connection":
        """One of the pool."""
        if self._pool is None:
            raise ConnectionError("MySQL is not connected")
        return await self._pool.acquire()

    async def release_connection(self, connection: "Connection") -> None:
        """Give it back; one with a transaction left open is closed."""
        if self._pool is None:
            connection.close()
        else:
            await self._pool.release(connection)

    async def check_connection(self, connection: "Connection") -> None:
        """See that the server answers."""
        await connection.ping(reconnect=False)

    async def run(
        self, connection: "Connection", plan: Sequence[Statement], *, atomic: bool = False
    ) -> list[Done]:
        """Run statements and commit; the server ends a transaction at CREATE, ALTER and DROP."""
        try:
            if atomic:
                await connection.begin()
            done = [await self._done(connection, statement) for statement in plan]
            if atomic or not connection.get_autocommit():
                await connection.commit()
        except Exception:
            with suppress(Exception):  # what went wrong first is what is told
                await connection.rollback()
            raise
        except BaseException:  # cancelled
            connection.close()
            await self._kill(connection)
            raise
        return done

    async def _kill(self, connection: "Connection") -> None:
        """Tell the server, which goes on with a statement until it has something to send."""
        import asyncmy

        with suppress(Exception):
            async with asyncio.timeout(KILL_SECONDS), asyncmy.connect(**self._options) as other:
                await self._done(other, Statement(f"KILL {int(connection.thread_id())}"))

    async def _done(self, connection: "Connection", statement: Statement) -> Done:
        if statement.rows is None:
            return await self._read(connection, statement)
        async with connection.cursor() as cursor:
            rows = [tuple(map(_value, row)) for row in statement.rows]
            await cursor.executemany(statement.sql, rows)
            affected: Any = cursor.rowcount
            return Done([], max(affected, 0))

    async def _read(self, connection: "Connection", statement: Statement) -> Done:
        """Read a result row by row: the usual cursor would hold all of it, however long it is."""
        from asyncmy.cursors import SSCursor

        kept, count = self.kept(dict[str, Any]), 0
        async with connection.cursor(SSCursor) as cursor:
            await cursor.execute(statement.sql, _values(statement.parameters))
            names = distinct(column for column, *_ in cursor.description or ())
            while names and (row := await cursor.fetchone()) is not None:
                count += 1
                if statement.wants_rows:
                    kept.add(dict(zip(names, row, strict=True)))
            affected: Any = count if names else cursor.rowcount
        return Done(kept.rows, max(affected, 0), told=kept.told)


def _values(given: Parameters) -> Any:
    if isinstance(given, Mapping):
        return {name: _value(each) for name, each in given.items()}
    return None if given is None else tuple(map(_value, given))


def _value(value: Any) -> Any:
    """Structures are JSON; the driver writes everything else by its exact type."""
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value) if isinstance(value, UUID) else value
