"""Inserts rows of custody from the event loop, over a connection of its own.

A request waits for this, and handing it over to a thread and back takes as long as Postgres does.
So the connection's socket is watched by the event loop; only connecting is done in a thread.
"""

import contextlib
from collections.abc import Sequence

from psycopg.waiting import wait_async

from core.concurrency.aio import LoopTimeout
from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import ACCEPT, NewCustody, insertion, refs_in_order
from core.db.database import Database
from core.db.driver.bounded_connection import BoundedConnection
from core.db.driver.errors import raw_errors_translated
from core.db.driver.pipelined import Limits, Row
from core.errors import ConflictError, InvalidError, UnavailableError

_LOOK_SECONDS = 10.0


class Acceptance:
    """One call at a time, on one event loop. A connection that was lost is replaced."""

    def __init__(self, database: Database, calls: BoundedCalls, seconds: float) -> None:
        """`calls` carries the connecting; Postgres has `seconds` for each call."""
        self._database = database
        self._calls = calls
        self._seconds = seconds
        milliseconds = round(seconds * 1000)
        self._limits = Limits(statement=milliseconds, lock=milliseconds)
        self._connection: BoundedConnection | None = None

    async def __call__(self, items: Sequence[NewCustody]) -> list[str]:
        """Insert rows in one transaction; their refs, in the order of the items.

        It may insert them twice; the earlier ones are void then.

        Raises:
            UnavailableError: Postgres does not commit in time, cannot be reached or is not
                migrated. It may have committed all the same.
            PatchcordError: another error of Postgres.
        """
        try:
            async with LoopTimeout(self._seconds):
                return refs_in_order(await self._inserted(items))
        except TimeoutError:
            raise UnavailableError("Postgres does not answer in time; try again later") from None

    async def _inserted(self, items: Sequence[NewCustody]) -> list[Row]:
        """A connection may have been lost since its last use, so another one is tried then."""
        if self._connection is not None:
            with contextlib.suppress(UnavailableError):
                return await self._exchange(self._connection, items)
        return await self._exchange(await self._connected(), items)

    async def _exchange(
        self, connection: BoundedConnection, items: Sequence[NewCustody]
    ) -> list[Row]:
        try:
            with raw_errors_translated():
                exchange = ACCEPT.over(connection, insertion(items), self._limits)
                wait = wait_async(exchange, connection.pgconn.socket, interval=_LOOK_SECONDS)
                _, rows = await wait
        except (InvalidError, ConflictError):
            raise
        except BaseException:  # the connection may be lost, or in the middle of an answer
            self.close()
            raise
        return rows

    async def _connected(self) -> BoundedConnection:
        self._connection = await self._calls(self._database.connection_of_its_own)
        return self._connection

    def close(self) -> None:
        """Close the connection; the next call makes another one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
