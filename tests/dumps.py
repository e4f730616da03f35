"""All that a Redis and a Postgres hold, as bytes, for tests that search it.

Values are as they are stored: a `bytea` is not shown in hexadecimal digits, so that a document in
it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import compress
from typing import Any

import psycopg
from psycopg import sql
from redis import Redis

type Piece = tuple[str, bytes]
"""Where it stands, and what stands there."""
type Table = tuple[str, str]
"""Its schema and its name."""

_READERS: dict[bytes, Callable[[Any, bytes], Any]] = {
    b"string": lambda client, key: client.get(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
    b"stream": lambda client, key: client.xrange(key),
    b"ReJSON-RL": lambda client, key: client.execute_command("JSON.GET", key),
}
_TABLES = """
SELECT nspname, relname, array_agg(ARRAY[attname::text, atttypid::regtype::text] ORDER BY attnum)
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
WHERE relkind IN ('r', 'm') AND nspname !~ '^(pg_|information_schema)'
GROUP BY pg_class.oid, nspname, relname ORDER BY pg_class.oid
"""


def of_redis(url: str) -> Iterator[Piece]:
    """Every key with its value."""
    with Redis.from_url(url) as client:
        keys = list(client.scan_iter(count=10_000))
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.type(key)
        for key, kind in zip(keys, pipeline.execute(), strict=True):
            _READERS.get(kind, _READERS[b"ReJSON-RL"])(pipeline, key)
        values = pipeline.execute(raise_on_error=False)  # a key may have expired meanwhile
    for key, value in zip(keys, values, strict=True):
        yield f"redis {key.decode(errors='replace')}", b"\n".join([key, *_flat(value)])


def _flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        value = [part for each in value.items() for part in each]
    if isinstance(value, list | tuple | set):
        for each in value:
            yield from _flat(each)
    else:
        yield value if isinstance(value, bytes) else str(value).encode()


def of_postgres(url: str, *left_out: str) -> Iterator[Piece]:
    """Every row of every table that is not left out."""
    with psycopg.connect(url, autocommit=True) as connection:
        pieces: list[Piece] | None = None
        while pieces is None:
            with suppress(psycopg.errors.UndefinedTable):  # a service has dropped a partition
                pieces = list(of_database(connection, *left_out))
    yield from pieces


def of_database(connection: psycopg.Connection[Any], *left_out: str) -> Iterator[Piece]:
    """The same, over a connection that is open."""
    found = connection.execute(_TABLES).fetchall()
    columns = {(schema, name): of_table for schema, name, of_table in found}
    for schema, name in with_rows(connection, columns):
        if name in left_out:
            continue
        values = [
            sql.SQL("{}" if kind == "bytea" else "{}::text").format(sql.Identifier(column))
            for column, kind in columns[schema, name]
        ]
        rows = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(values), sql.Identifier(schema, name)
        )
        for row in connection.execute(rows):
            yield f"table {name}", b"\n".join(_flat([each for each in row if each is not None]))


def with_rows(connection: psycopg.Connection[Any], tables: Iterable[Table]) -> list[Table]:
    """Those of the tables that are not empty, by one query."""
    names = list(tables)
    exist = [sql.SQL("EXISTS (SELECT FROM {})").format(sql.Identifier(*name)) for name in names]
    query = sql.SQL("SELECT ARRAY[{}]::bool[]").format(sql.SQL(", ").join(exist))
    [[answers]] = connection.execute(query).fetchall()
    return list(compress(names, answers))
