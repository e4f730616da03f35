"""Connects flows to SQLite."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from flowlang.connections.generated import connection_yaml, generate
from flowlang.connections.sql import Dialect
from flowlang.connections.sql_plugin import SqlPlugin
from flowlang.exceptions import ConnectionError

LEVELS = ("DEFERRED", "IMMEDIATE", "EXCLUSIVE")


class SqlitePlugin(SqlPlugin):
    """Queries and changes tables in a file; values stand in a text as `?`.

    There is one connection, which lives in a thread of its own and is lent to one task at a time.
    """

    name = "sqlite"
    description = "SQLite"
    prefix: ClassVar[str] = "sqlite"
    dialect: ClassVar[Dialect] = Dialect("SQLite", '"', lambda _: "?")

    def __init__(self) -> None:
        super().__init__()
        self._database: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self._begin = "BEGIN"

    def get_config_schema(self) -> dict[str, Any]:
        """A file, and how long to wait for others who write to it."""
        return {
            "type": "object",
            "required": ["database"],
            "properties": {
                "database": {"type": "string", "minLength": 1, "description": "path or :memory:"},
                "timeout": {"type": "number", "default": 5.0, "minimum": 0.1},
                "isolation_level": {
                    "enum": [*LEVELS, None],
                    "default": None,
                    "description": "how transactions begin",
                },
                "check_same_thread": {
                    "type": "boolean",
                    "default": False,
                    "description": "has no effect: the connection stays in its thread",
                },
            },
        }

    async def connect(self, config: dict[str, Any]) -> Any:
        """Open the file, which is made when it is missing; foreign keys are enforced."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._begin = f"BEGIN {config.get('isolation_level') or ''}".strip()
        path, seconds = config["database"], config.get("timeout", 5.0)
        self._database = await self._in_thread(lambda: _opened(path, seconds))
        return self._database

    async def disconnect(self) -> None:
        """Close the file, and end the thread."""
        if self._thread is None:
            return
        if self._database is not None:
            await self._in_thread(self._database.close)
        self._thread.shutdown(wait=False)
        self._database = self._thread = None

    async def get_connection(self) -> Any:
        """The connection, when it is this task's turn."""
        await self._turn.acquire()
        if self._database is None:
            self._turn.release()
            raise ConnectionError("the database is not open")
        return self._database

    async def release_connection(self, connection: Any) -> None:
        """The next task's turn."""
        self._turn.release()

    async def _in_thread[T](self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @asynccontextmanager
    async def _within(self, connection: Any) -> AsyncIterator[None]:
        await self._in_thread(lambda: connection.execute(self._begin))
        try:
            yield
        except BaseException:
            await self._in_thread(connection.rollback)
            raise
        await self._in_thread(connection.commit)

    async def _rows(
        self, connection: Any, query: str, params: Sequence[Any]
    ) -> list[dict[str, Any]]:
        def fetched() -> list[dict[str, Any]]:
            return [dict(row) for row in connection.execute(query, params).fetchall()]

        return await self._in_thread(fetched)

    async def _affected(self, connection: Any, query: str, params: Sequence[Any]) -> int:
        return await self._in_thread(lambda: max(0, connection.execute(query, params).rowcount))

    async def _many(self, connection: Any, query: str, rows: list[Sequence[Any]]) -> int:
        return await self._in_thread(lambda: int(connection.executemany(query, rows).rowcount))

    def scaffold_connection_config(self, name: str = "db", **kwargs: Any) -> str:
        """A connection to a file below the present folder."""
        return connection_yaml(name, self.name, database="./data/app.db", timeout=5.0)

    def scaffold_example_flow(
        self, output_dir: str, connection_name: str = "db", **kwargs: Any
    ) -> None:
        """`sqlite_example.yaml`: a table in memory, filled and counted."""
        text = f"""flow: SqliteExample
description: Fills a table and counts its rows

connections:
  {connection_name}:
    type: sqlite
    database: ":memory:"

steps:
  - sqlite_execute:
      id: made
      connection: {connection_name}
      query: "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)"

  - sqlite_batch_insert:
      id: filled
      connection: {connection_name}
      table: notes
      records:
        - {{text: first}}
        - {{text: second}}

  - sqlite_query:
      id: counted
      connection: {connection_name}
      query: "SELECT count(*) AS number FROM notes"
      outputs:
        - rows

outputs:
  - name: number
    value: ${{counted.rows[0].number}}
"""  # noqa: S608 - the name of a connection
        generate(output_dir, "sqlite_example.yaml", text)


def _opened(path: str, seconds: float) -> sqlite3.Connection:
    # Transactions are begun and ended here, not by the driver: that is what makes them atomic.
    database = sqlite3.connect(path, timeout=seconds, isolation_level=None)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA foreign_keys = ON")
    return database
