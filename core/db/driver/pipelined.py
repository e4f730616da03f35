"""Several statements as one transaction and one message each way, with binary parameters.

A statement with its parameters as literals is a text of more than twice the size of its documents,
which is built here and parsed there. Here the parameters go beside the texts. The statements up to
a sync are one transaction, without BEGIN and COMMIT. No statement stays prepared, as a pooler in
transaction mode requires.
"""

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import BaseConnection, generators
from psycopg.abc import Transformer as AbstractTransformer
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

type Row = tuple[Any, ...]
type Exchange = Generator[Any, Any, list[list[Row]]]
"""For `wait` of a connection: the rows of each statement that has rows."""

_NAMED = re.compile(r"%\((\w+)\)s")
_LIMITS: LiteralString = """
SELECT set_config('TimeZone', 'UTC', true),
    set_config('statement_timeout', %(statement)s::text, true),
    set_config('lock_timeout', %(lock)s::text, true)
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits of a transaction, in milliseconds."""

    statement: int
    lock: int


class Pipelined:
    """Statements whose texts are made once; `%(name)s` are their parameters.

    A parameter is a text, a number, a time, bytes, None, or a list of one of these.
    """

    def __init__(self, *statements: LiteralString) -> None:
        """Each is one statement."""
        self._statements = [_compiled(each) for each in (_LIMITS, *statements)]

    def over(
        self, connection: BaseConnection[Any], parameters: Mapping[str, object], limits: Limits
    ) -> Exchange:
        """Send them, and read what comes back. The connection must be outside a transaction.

        It is to be closed if this is not read to the end.

        Raises:
            psycopg.Error: a statement has failed, so none was carried out; or the connection has.
        """
        transformer, pgconn = Transformer(connection), connection.pgconn
        given = {**parameters, "statement": limits.statement, "lock": limits.lock}
        pgconn.enter_pipeline_mode()
        for text, names in self._statements:
            values = [given[name] for name in names]
            dumped = transformer.dump_sequence(values, [_format(each) for each in values])
            types, formats = transformer.types, transformer.formats
            pgconn.send_query_params(text, dumped, types, formats, Format.BINARY)
        pgconn.pipeline_sync()
        yield from generators.send(pgconn)
        results: list[PGresult] = []
        for _ in (*self._statements, "the sync"):
            results += yield from generators.fetch_many(pgconn)
        pgconn.exit_pipeline_mode()
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise error_from_result(result)
        return [_rows(transformer, each) for each in results[1:] if each.nfields]


def _compiled(statement: LiteralString) -> tuple[bytes, list[str]]:
    names = list(dict.fromkeys(_NAMED.findall(statement)))
    text = _NAMED.sub(lambda found: f"${names.index(found[1]) + 1}", statement)
    return text.encode(), names


def _format(value: object) -> PyFormat:
    """Binary for documents; psycopg's own choice for lists is text.

    Only lists are looked through: a text is a sequence, too, and may have 100,000 characters.
    """
    documents = isinstance(value, list | tuple) and any(isinstance(each, bytes) for each in value)
    return PyFormat.BINARY if documents else PyFormat.AUTO


def _rows(transformer: AbstractTransformer, result: PGresult) -> list[Row]:
    transformer.set_pgresult(result)
    return list(transformer.load_rows(0, result.ntuples, tuple))
