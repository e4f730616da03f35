"""PostgreSQL, over a pool of psycopg 3."""

import select
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowlang.connections.postgres.times import take_any_time
from flowlang.connections.postgres.uncollected import carried_out
from flowlang.connections.sql import POSTGRES, Done, Statement
from flowlang.connections.sql_plugin import SqlPlugin
from flowlang.exceptions import ConnectionError
from flowlang.limit import Limit

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    type Rows = AsyncConnection[Any]


SEVERAL = (
    "pg_query takes one statement: give several to pg_transaction, an entry of `queries` for each, "
    "or to pg_execute if no rows are wanted"
)


class PostgresPlugin(SqlPlugin):
    """Queries with `$1`, `$2`; JSON columns take and give mappings."""

    name = "postgres"
    description = "PostgreSQL database"
    product = "PostgreSQL"
    prefix = "pg"
    dialect = POSTGRES
    dependencies = ("psycopg[pool]>=3.2",)
    required = ("url",)
    properties = {
        "url": {
            "type": "string",
            "description": "postgresql://user:password@host:5432/database",
        },
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
            "description": "How many are kept open",
        },
        "timeout": {
            "type": "number",
            "default": 30,
            "exclusiveMinimum": 0,
            "description": "Seconds that a statement may take",
        },
        "sslmode": {
            "type": "string",
            "enum": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
            "description": "TLS, as libpq names it; it overrides the URL",
        },
        "sslrootcert": {
            "type": "string",
            "description": "File with the certificates to check the server's against, or `system`",
        },
    }
    schemes = ("postgres://", "postgresql://")
    scaffold = {"url": "${env.DATABASE_URL}", "pool_size": 10, "timeout": 30}

    def __init__(self) -> None:
        super().__init__()
        self._pool: AsyncConnectionPool[Rows] | None = None
        self._timeout: float | None = None

    def validate_config(self, config: dict[str, Any]) -> tuple[bool, str | None]:
        """Whether it is a PostgreSQL URL, and the pool's sizes fit together."""
        sizes = [self.setting(config, name) for name in ("min_pool_size", "pool_size")]
        if all(isinstance(size, int) for size in sizes) and sizes[0] > sizes[1]:
            return False, f"min_pool_size {sizes[0]} is more than pool_size {sizes[1]}"
        return super().validate_config(config)

    async def connect(self, config: dict[str, Any]) -> Any:
        """Open the pool, after one connection has shown that the server lets us in."""
        import psycopg
        import psycopg_pool

        self.bound(config)
        url, self._timeout = config["url"], self.setting(config, "timeout")
        await (await psycopg.AsyncConnection.connect(url, **self._options(config))).close()
        self._pool = psycopg_pool.AsyncConnectionPool(
            url,
            open=False,
            min_size=self.setting(config, "min_pool_size"),
            max_size=self.setting(config, "pool_size"),
            kwargs={
                "autocommit": True,
                "cursor_factory": psycopg.AsyncRawCursor,
                **self._options(config),
            },
            check=_check,
            configure=take_any_time,
        )
        await self._pool.open(wait=True)  # so that the first who borrows need not wait
        return self._pool

    def _options(self, config: dict[str, Any]) -> dict[str, Any]:
        """Options of each connection besides the URL."""
        tls = {name: config[name] for name in ("sslmode", "sslrootcert") if config.get(name)}
        # A pooler may give each transaction another connection to the server, on which nothing has
        # been prepared.
        return {**tls, "prepare_threshold": None}

    async def disconnect(self) -> None:
        """Close the pool."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def get_connection(self) -> "Rows":
        """One of the pool: in autocommit, with placeholders `$1`."""
        if self._pool is None:
            raise ConnectionError("PostgreSQL is not connected")
        return await self._pool.getconn()

    async def release_connection(self, connection: "Rows") -> None:
        """Give it back; a transaction left open is rolled back."""
        if self._pool is None:
            await connection.close()
        else:
            await self._pool.putconn(connection)

    async def check_connection(self, connection: "Rows") -> None:
        """See that the server answers."""
        await connection.execute("")

    async def run(
        self, connection: "Rows", plan: Sequence[Statement], *, atomic: bool = False
    ) -> list[Done]:
        """Run statements; a single one is a transaction by itself."""
        if not atomic:  # BEGIN and COMMIT would be round trips
            return [await self._done(connection, each) for each in plan]
        async with connection.transaction():
            return [await self._done(connection, each) for each in plan]

    async def _done(self, connection: "Rows", statement: Statement) -> Done:
        try:
            async with Limit(self._timeout):
                if statement.wants_rows:
                    return await self._rows(connection, statement)
                return await _executed(connection, statement)
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._timeout} s") from None

    async def _rows(self, connection: "Rows", statement: Statement) -> Done:
        """Read a result row by row: the driver would else hold all of it, however long it is.

        Rows that are dropped are read, too: ending the statement would undo what it has changed.
        """
        from flowlang.connections.postgres.collected import read_rows

        kept = self.kept(dict[str, Any])
        try:
            await read_rows(connection, *_given(statement), kept.add)
        except Exception as error:
            if _has_several_statements(error):
                raise ValueError(SEVERAL) from error
            raise
        return Done(kept.rows, 0, told=kept.told)

    def told(self, done: Done) -> Any:
        """The server's own words, such as `UPDATE 2`."""
        return done.status


async def _executed(connection: "Rows", statement: Statement) -> Done:
    """Without the rows that it may return."""
    if statement.rows is None:
        outcome = await carried_out(connection, *_given(statement))
        return Done([], outcome.affected, outcome.status)
    cursor = connection.cursor()
    sql: Any = statement.sql
    await cursor.executemany(sql, [list(map(_adapted, row)) for row in statement.rows])
    return Done([], max(cursor.rowcount, 0), cursor.statusmessage or "")


def _has_several_statements(error: Exception) -> bool:
    """Whether the server refused to parse them as one; its words depend on its language."""
    from psycopg import Error

    if not isinstance(error, Error):
        return False
    return error.sqlstate == "42601" and error.diag.source_function == "exec_parse_message"


def _given(statement: Statement) -> tuple[Any, list[Any] | None]:
    """SQL and parameters as the driver takes them."""
    given = statement.parameters
    if isinstance(given, Mapping):
        raise ValueError("params must be a list, for $1, $2 and so on")  # noqa: TRY004 - a user's input
    return statement.sql, None if given is None else list(map(_adapted, given))


def _adapted(value: Any) -> Any:
    """Mappings, and lists of them, are JSON; a list of anything else is an array."""
    if isinstance(value, Mapping) or (
        isinstance(value, list) and any(isinstance(each, Mapping) for each in value)
    ):
        from psycopg.types.json import Jsonb

        return Jsonb(value)
    return value


async def _check(connection: "Rows") -> None:
    """Check the connection only if unread bytes are waiting: usually the server closed it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        from psycopg_pool import AsyncConnectionPool

        await AsyncConnectionPool.check_connection(connection)
