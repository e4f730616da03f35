"""The five tasks that every SQL database has."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from string import Template
from typing import Any, ClassVar

from flowlang.connections.built_in import BuiltInPlugin, generate, task
from flowlang.connections.sql import (
    Dialect,
    Done,
    Parameters,
    Record,
    Statement,
    batches,
    insertions,
    parameters,
    statements,
    updates,
)

HELPERS = Path(__file__).parent.parent / "templates" / "db_helpers.py.txt"


class SqlPlugin(BuiltInPlugin):
    """Makes statements of what the tasks are given; a database's own plugin runs them."""

    category = "database"
    dialect: ClassVar[Dialect]

    @abstractmethod
    async def run(
        self, connection: Any, plan: Sequence[Statement], *, atomic: bool = False
    ) -> list[Done]:
        """Run statements one after another; all or none of them where `atomic`."""

    @task
    async def _query(
        self, query: str, params: Parameters = None, connection: Any = None
    ) -> dict[str, Any]:
        """Run a statement: `rows`, each a dict, and their `count`; `truncated` if cut."""
        statement = Statement(query, parameters(params), wants_rows=True)
        [done] = await self.run(connection, [statement])
        return {"rows": done.rows, "count": len(done.rows), **done.told}

    @task
    async def _execute(
        self, query: str, params: Parameters = None, connection: Any = None
    ) -> dict[str, Any]:
        """Run a statement: `rows_affected`."""
        [done] = await self.run(connection, [Statement(query, parameters(params))])
        return {"rows_affected": done.affected}

    @task
    async def _transaction(
        self, queries: list[dict[str, Any]], connection: Any = None
    ) -> dict[str, Any]:
        """Run all of `{query, params}` or none: `results`, one for each, and their `count`."""
        done = await self.run(connection, statements(queries), atomic=True)
        return {"results": [self.told(each) for each in done], "count": len(done)}

    def told(self, done: Done) -> Any:
        """What a transaction tells of one statement."""
        return {"rows_affected": done.affected}

    @task
    async def _batch_insert(
        self, table: str, records: list[Record], batch_size: int = 1000, connection: Any = None
    ) -> dict[str, Any]:
        """Insert all records or none: `inserted_count`, `batches`, `table`."""

        def plan(batch: list[Record]) -> Iterable[Statement]:
            return insertions(self.dialect, table, batch)

        given: list[list[Record]] = batches(records, batch_size, "records")
        return await self._in_batches(connection, given, plan, "inserted_count", table)

    @task
    async def _batch_update(
        self,
        table: str,
        updates: list[Record],
        key_field: str = "id",
        batch_size: int = 1000,
        connection: Any = None,
    ) -> dict[str, Any]:
        """Update rows by their key, all or none: `updated_count` (rows), `batches`, `table`."""

        def plan(batch: list[Record]) -> Iterable[Statement]:
            return _updates(self.dialect, table, batch, key_field)

        given: list[list[Record]] = batches(updates, batch_size, "updates")
        return await self._in_batches(connection, given, plan, "updated_count", table)

    async def _in_batches(
        self,
        connection: Any,
        given: list[list[Record]],
        plan: Callable[[list[Record]], Iterable[Statement]],
        counted: str,
        table: str,
    ) -> dict[str, Any]:
        if not given:
            return {counted: 0, "batches": 0}
        whole = list(chain.from_iterable(map(plan, given)))
        done = await self.run(connection, whole, atomic=True)
        return {counted: sum(each.affected for each in done), "batches": len(given), "table": table}

    def scaffold_task_helpers(
        self, output_dir: str, connection_name: str | None = None, **kwargs: Any
    ) -> None:
        """Write `db_helpers.py`: functions for single rows, over this plugin's tasks."""
        text = Template(HELPERS.read_text(encoding="utf-8")).substitute(
            plugin=self.name,
            cls=type(self).__name__,
            prefix=self.prefix,
            connection=connection_name or self.scaffold_name,
        )
        generate(Path(output_dir) / "db_helpers.py", text)


_updates = updates  # a task's parameter has the same name
