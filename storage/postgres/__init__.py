"""Keeps vCons in a table of a PostgreSQL database.

Options: `database`, `user`, `password`, `host`, `port`; `table_name`, with or without a schema;
`pool_size`, the most connections that one process keeps.

The table has a row for each vCon: `id` and `uuid`, the `vcon` version, `created_at`, `updated_at`
and `subject`, and the whole as `vcon_json`. It is made when it is missing; saving again replaces
the row. NUL characters, which PostgreSQL cannot hold, are saved as U+FFFD. Raises `LookupError`
for a vCon that is not in Redis, `ValueError` for a table name that is none, and `psycopg.Error`
when the database does.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from lib.vcon_redis import AsyncVconRedis
from storage.postgres.pools import close, rows
from storage.postgres.table import row, statements

__all__ = ["close", "default_options", "delete", "get", "only_through_lib", "save"]

default_options: dict[str, Any] = {
    "database": "vcon_db",
    "user": "postgres",
    "password": "",
    "host": "localhost",
    "port": 5432,
    "table_name": "vcons",
    "pool_size": 4,
}
only_through_lib = True


async def save(vcon_uuid: str, opts: Mapping[str, Any] = default_options) -> None:
    """Write the vCon as it is now in Redis."""
    options = default_options | dict(opts)
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    await rows(options, statements(options["table_name"]).upsert, row(document))


async def get(vcon_uuid: str, opts: Mapping[str, Any] = default_options) -> dict[str, Any] | None:
    """The vCon as it was saved last, or None."""
    options = default_options | dict(opts)
    found = await rows(options, statements(options["table_name"]).select, _id(vcon_uuid))
    return found[0][0] if found else None


async def delete(vcon_uuid: str, opts: Mapping[str, Any] = default_options) -> bool:
    """Remove the vCon; False when it was not there."""
    options = default_options | dict(opts)
    return bool(await rows(options, statements(options["table_name"]).delete, _id(vcon_uuid)))


def _id(vcon_uuid: str) -> dict[str, Any]:
    return {"id": uuid.UUID(vcon_uuid)}
