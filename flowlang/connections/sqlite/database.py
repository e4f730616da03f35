"""One connection of the standard library's `sqlite3`, off the event loop."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from flowlang.connections.bounds import MOST_BYTES, MOST_ROWS, Kept
from flowlang.connections.sql import Done, Parameters, Statement, distinct


class Database:
    """Carries out each plan as a whole in one thread, so that transactions never mix."""

    connection: sqlite3.Connection
    """For tasks of one's own; it is in autocommit, and its rows are `sqlite3.Row`."""

    def __init__(
        self,
        level: str,
        bounds: tuple[int, int] = (MOST_ROWS, MOST_BYTES),
        *,
        may_attach: bool = False,
    ) -> None:
        """`level` is how transactions begin: DEFERRED, IMMEDIATE or EXCLUSIVE.

        `bounds`: rows and bytes of one result. `may_attach`: statements may open other files.
        """
        self._begin = f"BEGIN {level}"
        self._bounds, self._may_attach = bounds, may_attach
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    async def open(self, path: str, **options: Any) -> None:
        """Open the file, which is made if it is missing. Raises sqlite3.Error."""

        def opened() -> sqlite3.Connection:
            connection: sqlite3.Connection = sqlite3.connect(path, isolation_level=None, **options)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            if not self._may_attach:
                connection.set_authorizer(_without_other_files)
            return connection

        self.connection = await self._in_thread(opened)

    async def close(self) -> None:
        """Close the file, when what runs has ended."""
        if hasattr(self, "connection"):
            await self._in_thread(self.connection.close)
        self._thread.shutdown(wait=False)

    async def run(self, plan: Sequence[Statement], *, atomic: bool) -> list[Done]:
        """Run statements, all or none where `atomic`; a cancelled one is interrupted."""
        return await self._in_thread(lambda: self._carried_out(plan, atomic=atomic))

    async def _in_thread[Result](self, work: Callable[[], Result]) -> Result:
        future = self._thread.submit(work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future.running():
                self.connection.interrupt()
            raise

    def _carried_out(self, plan: Sequence[Statement], *, atomic: bool) -> list[Done]:
        try:
            if atomic:
                self.connection.execute(self._begin)
            done = [self._done(statement) for statement in plan]
            if atomic:
                self.connection.execute("COMMIT")
            elif self.connection.in_transaction:
                raise ValueError("a transaction ends with its task: use sqlite_transaction")
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        return done

    def _done(self, statement: Statement) -> Done:
        before = self.connection.total_changes
        if statement.rows is not None:
            cursor = self.connection.executemany(
                statement.sql, [list(map(_value, row)) for row in statement.rows]
            )
        else:
            cursor = self.connection.execute(statement.sql, _values(statement.parameters))
        names = distinct(column for column, *_ in cursor.description or ())
        kept = Kept[dict[str, Any]](*self._bounds)
        for row in cursor if names else ():
            if not kept.add(dict(zip(names, row, strict=True))):
                break
        cursor.close()
        return Done(kept.rows, self._affected(cursor, before), told=kept.told)

    def _affected(self, cursor: sqlite3.Cursor, before: int) -> int:
        """Rows that a statement changed; the cursor does not know where its rows were cut."""
        if cursor.rowcount >= 0 or self.connection.total_changes == before:
            return max(cursor.rowcount, 0)
        [(count,)] = self.connection.execute("SELECT changes()")
        return int(count)


def _without_other_files(action: int, file: str | None, *_: str | None) -> int:
    """Deny ATTACH, also that of VACUUM INTO; plain VACUUM attaches a nameless temporary file."""
    is_other = action == sqlite3.SQLITE_ATTACH and file != ""
    return sqlite3.SQLITE_DENY if is_other else sqlite3.SQLITE_OK


def _values(given: Parameters) -> Any:
    if isinstance(given, Mapping):
        return {name: _value(each) for name, each in given.items()}
    return list(map(_value, given or ()))


def _value(value: Any) -> Any:
    """A value as SQLite can hold it: JSON for structures, ISO 8601 for times."""
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
        case Mapping() | list() | tuple():
            return json.dumps(value, default=_value, ensure_ascii=False)
    return value
