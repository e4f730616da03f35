"""Stores vCons in a table of Microsoft Dataverse.

A vCon is a row with its uuid, its JSON, its subject and its `created_at`, in existing columns,
which the options name. A new row has the vCon's uuid as its primary key, so that it exists once
even if two processes save it at the same moment or an answer is lost. A row with the uuid in
`uuid_field` and another primary key, as vcon-server makes them, is found and replaced, and further
rows of the same vCon are deleted. With `alternate_key` the row is found by that key, without a
request before.

A column has at most 1,048,576 characters: a vCon with recordings in it does not fit. Requests over
the service protection limits are repeated as `Retry-After` says. The application needs the
privileges Create, Read, Write and Delete on the table.

Better than vcon-server's: its filter has a stray `$`, so that each save adds a row and none is ever
found; here vCons are found, replaced and deleted. The token is kept until it expires, where
vcon-server asks for one with each call, and secrets come from `AZURE_CLIENT_SECRET` if the
configuration has none. Microsoft's library is not needed.

Reads the vCon, which is stored in the format EGRESS_FORMAT_VERSION; writes nothing to it. Raises
`LookupError` for a vCon that is not in Redis, `ValueError` for an id that is not a uuid and for a
vCon that is too long, and `VendorError` if the last attempt got no answer or an error.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.vcon.fields import created_at, required_uuid
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from lib.web import http_client
from lib.web.answers import stored_vcon
from lib.web.client_credentials import KIND
from lib.web.http_retry import VendorError
from storage.dataverse.api import NOT_FOUND, SERVER, call
from storage.dataverse.options import Options

__all__ = ["Options", "close", "delete", "effect", "get", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"

FIRST_YEAR = 1753
"""The first year of a column with date and time."""
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

type Document = dict[str, Any]
type Given = Mapping[str, Any] | PluginOptions | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon's current content in Redis into its row."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    row = _row(document, uuid, options)
    if options.alternate_key:
        await call(options, "PATCH", _key(options, uuid), row=row)
        return
    rows = await _rows_of(options, uuid)
    kept = uuid if uuid in rows or not rows else rows[0]
    await call(options, "PATCH", f"({kept})", row={**row, options.uuid_field: uuid})
    for other in rows:
        if other != kept:
            await call(options, "DELETE", f"({other})", accept=(NOT_FOUND,))


@plain_too
async def get(vcon_uuid: str, opts: Given = None) -> Document | None:
    """The vCon as last saved, or None."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    return stored_vcon(SERVER, await _text(options, uuid))


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete all rows of the vCon; False if there was none."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    if options.alternate_key:
        places = [_key(options, uuid)]
    else:
        places = [f"({row})" for row in await _rows_of(options, uuid)]
    answers = [await call(options, "DELETE", place, accept=(NOT_FOUND,)) for place in places]
    return any(answer.status != NOT_FOUND for answer in answers)


async def close() -> None:
    """Forget the tokens of this event loop; the next call asks for new ones."""
    await http_client.close(KIND)


def _row(document: Document, uuid: str, options: Options) -> dict[str, Any]:
    """The columns without the uuid."""
    text = orjson.dumps(to_configured_legacy(document)).decode()
    if (length := _length(text)) > options.data_length:
        size = f"{length} characters, data_length allows {options.data_length}"
        raise ValueError(f"the vCon {uuid} has {size}; the link diet makes it smaller")
    subject, made = document.get("subject"), created_at(document)
    return {
        options.data_field: text,
        options.subject_field: _cut(str(subject), options.subject_length) if subject else None,
        options.created_at_field: f"{made:%Y-%m-%dT%H:%M:%SZ}"
        if made and made.year >= FIRST_YEAR
        else None,
    }


def _length(text: str) -> int:
    """The length as Dataverse counts it: characters outside the BMP count twice."""
    return len(text) + sum(1 for each in text if each > "\uffff")


def _cut(text: str, most: int) -> str:
    while _length(text) > most:
        text = text[: len(text) - max(1, (_length(text) - most) // 2)]
    return text


def _key(options: Options, uuid: str) -> str:
    return f"({options.uuid_field}='{uuid}')"


async def _rows_of(options: Options, uuid: str) -> list[str]:
    """The primary keys of the vCon's rows, the one that was changed last first."""
    rows = await _found(options, uuid, {})
    return [key for row in rows for key in _primary_keys(row, options)]


def _primary_keys(row: Mapping[str, Any], options: Options) -> Iterator[str]:
    """The one GUID of a row of which only `uuid_field` was selected.

    The primary key always comes in addition to what is selected; its name is that of the table,
    which the name of the entity set does not tell.
    """
    found = [
        value.lower()
        for name, value in row.items()
        if name != options.uuid_field and isinstance(value, str) and _GUID.fullmatch(value)
    ]
    if len(found) != 1:
        raise VendorError(f"Dataverse answered with {len(found)} primary keys for a row")
    yield from found


async def _text(options: Options, uuid: str) -> object:
    if options.alternate_key:
        select = {"$select": options.data_field}
        place = _key(options, uuid)
        answer = await call(options, "GET", place, params=select, accept=(NOT_FOUND,))
        rows = _checked([answer.body] if answer.status != NOT_FOUND else [])
    else:
        rows = await _found(options, uuid, {"$top": "1"}, options.data_field)
    if rows and options.data_field not in rows[0]:
        raise VendorError(f"Dataverse answered with a row without {options.data_field}")
    return rows[0][options.data_field] if rows else None


async def _found(
    options: Options, uuid: str, more: Mapping[str, str], *columns: str
) -> list[dict[str, Any]]:
    """The vCon's rows with `columns` and the uuid; rows of others are an error, not the vCon's."""
    params = {
        **more,
        "$select": ",".join((options.uuid_field, *columns)),
        "$filter": f"{options.uuid_field} eq '{uuid}'",
        "$orderby": "modifiedon desc",
    }
    answer = await call(options, "GET", params=params)
    rows = _checked(answer.body.get("value") if isinstance(answer.body, dict) else None)
    if any(str(row.get(options.uuid_field)).strip().lower() != uuid for row in rows):
        raise VendorError("Dataverse answered with rows of other vCons")
    return rows


def _checked(rows: object) -> list[dict[str, Any]]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise VendorError("Dataverse answered without rows")
    return rows
