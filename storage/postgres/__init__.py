"""Keeps vCons in a table of a PostgreSQL database.

The table is made when it is missing; saving again replaces the row. Its layout is that of
vcon-server's table, so an existing one can be used further:

| column | type | holds |
|---|---|---|
| `id` | `uuid`, primary key | the vCon's uuid |
| `vcon` | `text` | its version |
| `uuid` | `uuid` | the uuid once more |
| `created_at` | `timestamp` | when it was made, in UTC |
| `updated_at` | `timestamp` | when the row was written, in UTC |
| `subject` | `text` | its subject |
| `vcon_json` | `jsonb` | the whole, in the form of EGRESS_FORMAT_VERSION |

NUL characters, which PostgreSQL cannot hold, are saved as U+FFFD. Each process keeps a pool of
connections for each set of options. The server gives up a statement that takes longer than
`timeout`; if it does not even say so, the connection is broken off. When the server restarts, a
save that finds its connection dead fails, and its repeat (`retries` beside `options`, 3 unless you
say otherwise) finds a new one.

Reads the vCon, writes nothing on it. Raises `LookupError` for a vCon that is not in Redis,
`ValueError` for a table name that is none, and `psycopg.Error` when the database does.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from lib.plain_calls import plain_too
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from storage.postgres.options import Options
from storage.postgres.pools import close, rows
from storage.postgres.table import row, statements

__all__ = ["Options", "close", "delete", "get", "only_through_lib", "save"]

only_through_lib = True

type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon as it is now in Redis."""
    options = Options.of(opts)
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    leaving = to_configured_legacy(document)
    await rows(options, statements(options.table_name).upsert, row(leaving))


@plain_too
async def get(vcon_uuid: str, opts: Given = None) -> dict[str, Any] | None:
    """The vCon as it was saved last, or None."""
    options = Options.of(opts)
    found = await rows(options, statements(options.table_name).select, _id(vcon_uuid))
    return found[0][0] if found else None


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Remove the vCon; False when it was not there."""
    options = Options.of(opts)
    return bool(await rows(options, statements(options.table_name).delete, _id(vcon_uuid)))


def _id(vcon_uuid: str) -> dict[str, Any]:
    return {"id": uuid.UUID(vcon_uuid)}
