"""Statements whose rows are not wanted: counted as they arrive, and dropped.

psycopg's `execute` holds all rows of a statement, and its `stream` does not return the command tag.
So the statement is sent, and its rows are fetched, with psycopg's own generators.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

CHUNK = 10
"""Rows that are held before they are counted: one may be a document of megabytes."""


@dataclass
class Outcome:
    """The result of the first statement, and an error."""

    status: str = ""
    """The server's command tag, such as `UPDATE 2`."""
    affected: int = 0
    """Rows that it returned, or else touched."""
    is_over: bool = False
    error: Exception | None = None


async def carried_out(
    connection: "AsyncConnection[Any]", sql: str, values: Sequence[Any] | None
) -> Outcome:
    """Send a statement, or without values several, and read to the end. Raises psycopg.Error."""
    async with connection.lock:
        _send(connection, sql, values)
        outcome = await connection.wait(_fetched(connection))
    if outcome.error is not None:
        raise outcome.error
    return outcome


def _send(connection: "AsyncConnection[Any]", sql: str, values: Sequence[Any] | None) -> None:
    """Without values by the simple protocol, which takes several statements."""
    from psycopg.adapt import PyFormat, Transformer

    query, server = sql.encode(connection.info.encoding), connection.pgconn
    if values:
        adapter = Transformer(connection)
        dumped = adapter.dump_sequence(values, [PyFormat.AUTO] * len(values))
        server.send_query_params(query, dumped, adapter.types, adapter.formats)
    else:
        server.send_query(query)
    in_chunks(server)


def in_chunks(server: "PGconn") -> None:
    """Let rows come in a few at a time, or singly with a libpq that knows no chunks."""
    from psycopg import capabilities

    if capabilities.has_stream_chunked():
        server.set_chunked_rows_mode(CHUNK)
    else:
        server.set_single_row_mode()


def _fetched(connection: "AsyncConnection[Any]") -> "PQGen[Outcome]":
    from psycopg.generators import fetch, send

    outcome, server = Outcome(), connection.pgconn
    yield from send(server)
    while (result := (yield from fetch(server))) is not None:
        _note(outcome, result, connection.info.encoding)
    return outcome


def _note(outcome: Outcome, result: "PGresult", encoding: str) -> None:
    """Record one result, and drop its rows."""
    from psycopg import NotSupportedError
    from psycopg.errors import error_from_result
    from psycopg.pq import ExecStatus

    kind = ExecStatus(result.status)
    if kind in (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH):
        raise NotSupportedError("COPY from or to the client is not supported")
    if kind is ExecStatus.FATAL_ERROR:
        outcome.error = error_from_result(result, encoding)
    if not outcome.is_over:
        # The words are in the result that ends a statement, or in the last of its rows before that.
        outcome.status = outcome.status or (result.command_status or b"").decode()
        outcome.affected = outcome.affected + result.ntuples or result.command_tuples or 0
        outcome.is_over = kind not in (ExecStatus.SINGLE_TUPLE, ExecStatus.TUPLES_CHUNK)
