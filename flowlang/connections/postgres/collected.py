"""Statements whose rows are kept, up to limits: read as they arrive, in one wait.

To be imported when a statement is run: only then psycopg must be there.

psycopg's `execute` holds all rows of a statement, and its `stream` waits anew for each part of a
result, which takes longer than a small query. So this uses psycopg's own generators.
"""

from collections.abc import Callable, Sequence
from typing import Any

from psycopg import AsyncConnection, NotSupportedError, ProgrammingError
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.generators import fetch, send
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from flowlang.connections.postgres.uncollected import in_chunks
from flowlang.connections.sql import distinct

_COPIES = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)

type Keep = Callable[[dict[str, Any]], object]


async def read_rows(
    connection: AsyncConnection[Any], sql: str, values: Sequence[Any] | None, keep: Keep
) -> None:
    """Carry out one statement and give each of its rows to `keep`, to the end.

    A second column of a name has a number. Raises psycopg.Error.
    """
    async with connection.lock:
        reader = _Reader(connection, keep)
        reader.send(sql, values or ())
        await connection.wait(reader.fetched())
    if reader.error is not None:
        raise reader.error


class _Reader:
    """One result as it comes in; an error does not end the reading, as rows may follow it."""

    def __init__(self, connection: AsyncConnection[Any], keep: Keep) -> None:
        self.error: Exception | None = None
        self._server, self._encoding = connection.pgconn, connection.info.encoding
        self._transformer: Any = Transformer(connection)
        self._names: list[str] = []
        self._keep = keep

    def send(self, sql: str, values: Sequence[Any]) -> None:
        """By the extended protocol, which takes one statement only."""
        adapter = self._transformer
        dumped = adapter.dump_sequence(values, [PyFormat.AUTO] * len(values))
        query = sql.encode(self._encoding)
        self._server.send_query_params(query, dumped, adapter.types, adapter.formats)
        in_chunks(self._server)

    def fetched(self) -> PQGen[None]:
        """Read all results. Raises NotSupportedError for COPY, of which libpq returns no end."""
        yield from send(self._server)
        while (result := (yield from fetch(self._server))) is not None:
            if result.status in _COPIES:
                raise NotSupportedError("COPY from or to the client is not supported")
            if self.error is None:
                self.error = self._taken(result)

    def _taken(self, result: PGresult) -> Exception | None:
        """Keep the rows of one part; returns an error."""
        match result.status:
            case ExecStatus.TUPLES_CHUNK | ExecStatus.SINGLE_TUPLE | ExecStatus.TUPLES_OK:
                return self._kept(result)
            case ExecStatus.COMMAND_OK:
                return None
            case ExecStatus.EMPTY_QUERY:
                return ProgrammingError("the query is empty")
            case _:
                return error_from_result(result, self._encoding)

    def _kept(self, result: PGresult) -> Exception | None:
        first = not self._names
        if first:
            columns = range(result.nfields)
            self._names = distinct((result.fname(n) or b"").decode(self._encoding) for n in columns)
        try:
            self._transformer.set_pgresult(result, set_loaders=first)
            for row in range(result.ntuples):
                self._keep(self._transformer.load_row(row, self._row))
        except Exception as error:  # noqa: BLE001 - of a value that cannot be read
            return error
        return None

    def _row(self, values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self._names, values, strict=True))
