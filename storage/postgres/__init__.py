"""Stores vCons in a table of a PostgreSQL database.

The table is created if it does not exist; saving again replaces the row. The layout is that of
vcon-server's table, so an existing one can be used:

| column | type | content |
|---|---|---|
| `id` | `uuid`, primary key | the vCon's uuid |
| `vcon` | `text` | the vCon's version |
| `uuid` | `uuid` | the vCon's uuid |
| `created_at` | `timestamp` | the vCon's `created_at`, in UTC |
| `updated_at` | `timestamp` | the time of the last save, in UTC |
| `subject` | `text` | the vCon's subject |
| `vcon_json` | `jsonb` | the vCon in the format EGRESS_FORMAT_VERSION |

vCons that are saved at the same time share a statement. If it fails because of one of them, or if
another client has locked one of the rows, each is written by itself.

NUL characters, which PostgreSQL cannot store, are replaced by U+FFFD. Each process has a connection
pool per set of options. The server cancels a statement that takes longer than `timeout`; if it does
not respond at all, the client closes the connection. After a restart of the server, a save with a
dead connection fails, and its repeat (`retries` beside `options`, default 3) gets a new connection.

Reads the vCon, writes nothing to it. Raises `LookupError` for a vCon that is not in Redis,
`ValueError` for an invalid table name or uuid, and `psycopg.Error` for errors of the database.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from lib.plain_calls import plain_too
from lib.shared_calls import SharedCalls
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from storage.postgres.options import Options
from storage.postgres.pools import close, fails_one, rows, upsert
from storage.postgres.table import Row, row, statements

__all__ = ["Options", "close", "delete", "effect", "get", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"

MOST_ROWS = 100
"""Rows of one statement."""
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of the documents of one statement, unless one alone is larger."""

type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon's current content in Redis."""
    options = Options.of(opts)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    await _written(options, row(to_configured_legacy(document)))


@plain_too
async def get(vcon_uuid: str, opts: Given = None) -> dict[str, Any] | None:
    """The vCon as last saved, or None."""
    options = Options.of(opts)
    found = await rows(options, statements(options.table_name).select, _id(vcon_uuid))
    return found[0][0] if found else None


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon; False if there was none."""
    options = Options.of(opts)
    return bool(await rows(options, statements(options.table_name).delete, _id(vcon_uuid)))


async def _write(options: Options, given: Sequence[Row]) -> list[None]:
    await upsert(options, given)
    return [None] * len(given)


_written: SharedCalls[Options, Row] = SharedCalls(
    _write,
    server="Postgres",
    most_items=MOST_ROWS,
    most_bytes=MOST_BYTES,
    bytes_of=lambda each: len(each.document),
    name_of=lambda each: each.id,
    splits=fails_one,
)


def _id(vcon_uuid: str) -> dict[str, Any]:
    return {"id": uuid.UUID(vcon_uuid)}
