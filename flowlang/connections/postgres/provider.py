"""Connects flows to PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from flowlang.connections.generated import connection_yaml, generate
from flowlang.connections.sql import Dialect
from flowlang.connections.sql_plugin import SqlPlugin
from flowlang.exceptions import ConnectionError

SCHEMES = ("postgres://", "postgresql://")
TEMPLATES = Path(__file__).parent


class PostgresPlugin(SqlPlugin):
    """Queries and changes tables; values stand in a text as `$1`, `$2`."""

    name = "postgres"
    description = "PostgreSQL"
    prefix: ClassVar[str] = "pg"
    dialect: ClassVar[Dialect] = Dialect("PostgreSQL", '"', "${}".format)

    def __init__(self) -> None:
        super().__init__()
        self._pool: Any = None
        self._timeout = 30.0

    def get_config_schema(self) -> dict[str, Any]:
        """A URL, and how many connections at most."""
        return {
            "type": "object",
            "required": ["url"],
            "properties": {
                "url": {"type": "string", "description": "postgresql://user:password@host/name"},
                "pool_size": {"type": "integer", "default": 10, "minimum": 1, "maximum": 100},
                "min_pool_size": {"type": "integer", "default": 1, "minimum": 0},
                "timeout": {
                    "type": "integer",
                    "default": 30,
                    "minimum": 1,
                    "description": "seconds for one statement, and to wait for a connection",
                },
            },
        }

    def get_dependencies(self) -> list[str]:
        """The driver with its pool."""
        return ["psycopg[pool]>=3.2"]

    def validate_config(self, config: dict[str, Any]) -> tuple[bool, str | None]:
        """The URL's scheme, and sizes that fit one another."""
        if not str(config.get("url", "")).startswith(SCHEMES):
            return False, f"url must begin with {' or '.join(SCHEMES)}"
        if config.get("min_pool_size", 1) > config.get("pool_size", 10):
            return False, "min_pool_size must not be above pool_size"
        return True, None

    async def connect(self, config: dict[str, Any]) -> Any:
        """Open the pool; the first connection is made by hand, since it tells what is wrong."""
        import psycopg
        from psycopg_pool import AsyncConnectionPool

        self._timeout = config.get("timeout", 30)
        options: dict[str, Any] = {
            "autocommit": True,
            "connect_timeout": self._timeout,
            "cursor_factory": psycopg.AsyncRawCursor,
            "row_factory": psycopg.rows.dict_row,
            "options": f"-c statement_timeout={int(self._timeout * 1000)}",
        }
        first = await psycopg.AsyncConnection.connect(config["url"], **options)
        await first.close()
        self._pool = AsyncConnectionPool(
            config["url"],
            kwargs=options,
            min_size=config.get("min_pool_size", 1),
            max_size=config.get("pool_size", 10),
            timeout=self._timeout,
            open=False,
        )
        await self._pool.open()
        return self._pool

    async def disconnect(self) -> None:
        """Close the pool with all its connections."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()

    async def get_connection(self) -> Any:
        """One of the pool's."""
        if self._pool is None:
            raise ConnectionError("the pool is not open")
        return await self._pool.getconn()

    async def release_connection(self, connection: Any) -> None:
        """Back into the pool; one that is broken is replaced."""
        if self._pool is None:
            await connection.close()
        else:
            await self._pool.putconn(connection)

    @asynccontextmanager
    async def _within(self, connection: Any) -> AsyncIterator[None]:
        async with connection.transaction():
            yield

    def _alone(self, connection: Any) -> AbstractAsyncContextManager[None]:
        """Nothing: each statement is a transaction, and BEGIN and COMMIT would be round trips."""
        return nullcontext()

    async def _rows(
        self, connection: Any, query: str, params: Sequence[Any]
    ) -> list[dict[str, Any]]:
        cursor = await connection.execute(query, _adapted(params))
        return list(await cursor.fetchall()) if cursor.description else []

    async def _affected(self, connection: Any, query: str, params: Sequence[Any]) -> int:
        cursor = await connection.execute(query, _adapted(params))
        return max(0, int(cursor.rowcount))

    async def _outcome(self, connection: Any, query: str, params: Sequence[Any]) -> Any:
        cursor = await connection.execute(query, _adapted(params))
        return str(cursor.statusmessage)

    async def _many(self, connection: Any, query: str, rows: list[Sequence[Any]]) -> int:
        async with connection.cursor() as cursor:
            await cursor.executemany(query, [_adapted(row) for row in rows])
            return max(0, int(cursor.rowcount))

    def scaffold_connection_config(self, name: str = "db", **kwargs: Any) -> str:
        """A connection by the URL in `DATABASE_URL`."""
        size = kwargs.get("pool_size", 10)
        return connection_yaml(name, self.name, url="${env.DATABASE_URL}", pool_size=size)

    def scaffold_task_helpers(
        self, output_dir: str, connection_name: str = "db", **kwargs: Any
    ) -> None:
        """`db_helpers.py`: the queries that every table needs."""
        text = (TEMPLATES / "db_helpers.py.txt").read_text(encoding="utf-8")
        generate(output_dir, "db_helpers.py", text)

    def scaffold_example_flow(
        self, output_dir: str, connection_name: str = "db", **kwargs: Any
    ) -> None:
        """`postgres_example.yaml`: asks the database what it is."""
        text = f"""flow: PostgresExample
description: Asks the database for its version

connections:{self.scaffold_connection_config(connection_name)}
steps:
  - pg_query:
      id: asked
      connection: {connection_name}
      query: "SELECT version() AS version, $1::text AS said"
      params: ["hello"]
      outputs:
        - rows

outputs:
  - name: version
    value: ${{asked.rows[0].version}}
"""
        generate(output_dir, "postgres_example.yaml", text)


def _adapted(params: Sequence[Any]) -> list[Any]:
    """Objects as JSON: the driver itself takes no dict."""
    from psycopg.types.json import Jsonb

    return [Jsonb(each) if _is_json(each) else each for each in params]


def _is_json(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(each, dict) for each in value)
    )
