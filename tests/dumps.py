"""All that a Redis and a Postgres hold, as bytes, for tests that search it.

Values are as they are stored: a `bytea` is not shown in hexadecimal digits, so that a document in
it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg import sql
from redis import Redis

type Piece = tuple[str, bytes]
"""Where it stands, and what stands there."""

_READERS: dict[bytes, Callable[[Any, bytes], Any]] = {
    b"string": lambda client, key: client.get(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
    b"stream": lambda client, key: client.xrange(key),
    b"ReJSON-RL": lambda client, key: client.execute_command("JSON.GET", key),
}
_COLUMNS = """
SELECT attname, atttypid = 'bytea'::regtype FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_TABLES = """
SELECT oid, relnamespace::regnamespace::text, relname FROM pg_class
WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
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
        for oid, schema, name in connection.execute(_TABLES).fetchall():
            if name in left_out:
                continue
            columns = [
                sql.SQL("{}" if is_bytes else "{}::text").format(sql.Identifier(column))
                for column, is_bytes in connection.execute(_COLUMNS, [oid]).fetchall()
            ]
            rows = sql.SQL("SELECT {} FROM {}").format(
                sql.SQL(", ").join(columns), sql.Identifier(schema, name)
            )
            for row in connection.execute(rows):
                yield f"table {name}", b"\n".join(_flat([each for each in row if each is not None]))
