"""The statements for vcon-server's table, and the conversion of a vCon into a row."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
from psycopg import sql

from lib.vcon.fields import created_at

_TABLE_NAME = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_$]{0,62}\.)?[A-Za-z_][A-Za-z0-9_$]{0,62}")
# An escaped NUL in JSON text, after an even number of backslashes.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

_CREATE = sql.SQL("""
CREATE TABLE IF NOT EXISTS {} (
    id uuid PRIMARY KEY,
    vcon text NOT NULL,
    uuid uuid NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp,
    subject text,
    vcon_json jsonb
)""")
# Arrays in binary: a document is neither escaped here nor unescaped there.
_UPSERT = sql.SQL("""
INSERT INTO {} (id, vcon, uuid, created_at, updated_at, subject, vcon_json)
SELECT id, vcon, id, created_at, updated_at, subject, convert_from(document, 'UTF8')::jsonb
FROM unnest(
    %(ids)b::uuid[], %(vcons)b::text[], %(created_at)b::timestamp[], %(updated_at)b::timestamp[],
    %(subjects)b::text[], %(documents)b::bytea[]
) AS given (id, vcon, created_at, updated_at, subject, document)
ON CONFLICT (id) DO UPDATE SET
    vcon = excluded.vcon,
    uuid = excluded.uuid,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    subject = excluded.subject,
    vcon_json = excluded.vcon_json""")
_SELECT = sql.SQL("SELECT vcon_json FROM {} WHERE id = %(id)s")
_DELETE = sql.SQL("DELETE FROM {} WHERE id = %(id)s RETURNING id")


@dataclass(frozen=True, slots=True)
class Statements:
    """The SQL statements for one table; `name` is its quoted name.

    `upsert` writes any number of rows with different ids, see `columns`.
    """

    name: str
    create: bytes
    upsert: bytes
    select: bytes
    delete: bytes


@cache
def statements(table_name: str) -> Statements:
    """The statements for a table.

    Raises:
        ValueError: for an invalid table name.
    """
    if not _TABLE_NAME.fullmatch(table_name):
        raise ValueError(f"table_name: not a valid table name: {table_name!r:.80}")
    name = sql.Identifier(*table_name.split("."))
    texts = [part.format(name).as_bytes(None) for part in (_CREATE, _UPSERT, _SELECT, _DELETE)]
    return Statements(name.as_string(None), *texts)


@dataclass(frozen=True, slots=True)
class Row:
    """The values of a vCon's row; times are in UTC, since the columns have no time zone."""

    id: uuid.UUID
    vcon: str
    created_at: datetime
    updated_at: datetime
    subject: str | None
    document: bytes


def row(document: dict[str, Any]) -> Row:
    """The row of a vCon.

    Raises:
        ValueError: its `uuid` is not one.
    """
    text = orjson.dumps(document)
    if b"\\u0000" in text:
        text = _NUL.sub(rb"\1\\ufffd", text)
        document = orjson.loads(text)
    now = datetime.now(UTC)
    subject = document.get("subject")
    return Row(
        id=uuid.UUID(document["uuid"]),
        vcon=str(document.get("vcon")),
        created_at=(created_at(document) or now).replace(tzinfo=None),
        updated_at=now.replace(tzinfo=None),
        subject=subject if isinstance(subject, str) else None,
        document=text,
    )


def columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The parameters of `Statements.upsert`.

    In the order of the ids, in which every process locks the rows, so that two of them that write
    the same vCons do not wait for each other.
    """
    rows = sorted(rows, key=lambda each: each.id)
    return {
        "ids": [each.id for each in rows],
        "vcons": [each.vcon for each in rows],
        "created_at": [each.created_at for each in rows],
        "updated_at": [each.updated_at for each in rows],
        "subjects": [each.subject for each in rows],
        "documents": [each.document for each in rows],
    }
