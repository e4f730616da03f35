"""The five tasks that every SQL database has, over what a plugin says of its own."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.sql import Dialect, Record, batches, key_of
from flowlang.exceptions import FlowExecutionError

TASKS = ("query", "execute", "transaction", "batch_insert", "batch_update")

type Parameters = Sequence[Any] | None
type Outcome = dict[str, Any]


class SqlPlugin(ConnectionPlugin):
    """A plugin for a SQL database: its tasks are `PREFIX_query`, `PREFIX_execute` and so on."""

    prefix: ClassVar[str]
    dialect: ClassVar[Dialect]
    category = "database"

    def get_builtin_tasks(self) -> dict[str, Callable[..., Any]]:
        """Each with the plugin's prefix in front."""
        return {f"{self.prefix}_{name}": getattr(self, name) for name in TASKS}

    @abstractmethod
    def _within(self, connection: Any) -> AbstractAsyncContextManager[None]:
        """A transaction: committed at the end, rolled back if anything is raised."""

    def _alone(self, connection: Any) -> AbstractAsyncContextManager[None]:
        """The same for one statement, which some databases carry out whole by itself."""
        return self._within(connection)

    @abstractmethod
    async def _rows(self, connection: Any, query: str, params: Sequence[Any]) -> list[Outcome]:
        """The rows of a query."""

    @abstractmethod
    async def _affected(self, connection: Any, query: str, params: Sequence[Any]) -> int:
        """How many rows a statement has changed."""

    @abstractmethod
    async def _many(self, connection: Any, query: str, rows: list[Sequence[Any]]) -> int:
        """How many rows a statement has changed, carried out once for each row of parameters."""

    async def _outcome(self, connection: Any, query: str, params: Sequence[Any]) -> Any:
        return {"rows_affected": await self._affected(connection, query, params)}

    async def query(self, connection: Any, query: str, params: Parameters = None) -> Outcome:
        """Rows as dicts: `rows`, `count`."""
        async with self._told("query"), self._alone(connection):
            rows = await self._rows(connection, query, params or ())
        return {"rows": rows, "count": len(rows)}

    async def execute(self, connection: Any, query: str, params: Parameters = None) -> Outcome:
        """Change rows: `rows_affected`, 0 for what changes none."""
        async with self._told("execute"), self._alone(connection):
            return {"rows_affected": await self._affected(connection, query, params or ())}

    async def transaction(self, connection: Any, queries: Sequence[Mapping[str, Any]]) -> Outcome:
        """Several statements (`query`, `params`), all or none: `results`, `count`."""
        async with self._told("transaction"), self._within(connection):
            results = [
                await self._outcome(connection, each["query"], each.get("params") or ())
                for each in queries
            ]
        return {"results": results, "count": len(results)}

    async def batch_insert(
        self, connection: Any, table: str, records: Iterable[Record], batch_size: int = 1000
    ) -> Outcome:
        """Add rows, all or none: `inserted_count`, `batches`, `table`."""
        count = number = 0
        async with self._told("batch insert"), self._within(connection):
            for batch in batches(records, batch_size):
                number += 1
                for columns, group in batch:
                    rows: list[Sequence[Any]] = [[each[c] for c in columns] for each in group]
                    insert = self.dialect.insert(table, columns)
                    count += await self._many(connection, insert, rows)
        return _counted("inserted_count", count, number, table)

    async def batch_update(
        self,
        connection: Any,
        table: str,
        updates: Iterable[Record],
        key_field: str = "id",
        batch_size: int = 1000,
    ) -> Outcome:
        """Change rows by their key, all or none: `updated_count`, `batches`, `table`."""
        count = number = 0
        async with self._told("batch update"), self._within(connection):
            for batch in batches(updates, batch_size):
                number += 1
                for names, group in batch:
                    columns = [each for each in names if each != key_field]
                    rows: list[Sequence[Any]] = [
                        [*(each[c] for c in columns), key_of(each, key_field)] for each in group
                    ]
                    if columns:
                        update = self.dialect.update(table, columns, key_field)
                        count += await self._many(connection, update, rows)
        return _counted("updated_count", count, number, table)

    @asynccontextmanager
    async def _told(self, doing: str) -> Any:
        try:
            yield
        except FlowExecutionError:
            raise
        except KeyError as error:
            msg = f"{self.dialect.product} {doing} failed: a statement has no {error}"
            raise FlowExecutionError(msg) from error
        except Exception as error:
            said = str(error).strip() or type(error).__name__
            raise FlowExecutionError(f"{self.dialect.product} {doing} failed: {said}") from error


def _counted(what: str, count: int, number: int, table: str) -> Outcome:
    counted: Outcome = {what: count, "batches": number}
    return counted | {"table": table} if number else counted
