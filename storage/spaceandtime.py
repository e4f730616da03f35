"""Stores vCons in a table of Space and Time.

The table must exist. Its columns are those that vcon-server's module fills:

| column | content |
|---|---|
| `UUID` | the vCon's uuid; make it the primary key |
| `VCON` | the vCon's version |
| `CREATED_AT` | its `created_at` as `YYYY-MM-DD HH:MM:SS` in UTC |
| `SUBJECT` | its subject |
| `VCON_JSON` | the vCon as JSON, in the format EGRESS_FORMAT_VERSION |

A save reads the row first: it is inserted if it is missing, and updated if it differs, so a second
save of the same content writes nothing. A table that takes inserts only refuses the update.

The requests go to the gateway's SQL endpoint, which takes an API key and signs in by itself;
nothing is sent when the module is loaded. Its API has no parameters for values. So names are
checked, the uuid is a canonical one, JSON is written without quotes, and other texts are quoted.

Better than vcon-server's: it works; errors are errors; a row can be read, updated and deleted.
Reads the vCon, writes nothing to it. Raises `LookupError` for a vCon that is not in Redis,
`ValueError` for an id that is not a uuid and for a vCon that is too large, and `VendorError` if the
last attempt got no answer or an error. Errors have no text of a statement.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

import orjson
from pydantic import Field, SecretStr, StringConstraints, model_validator

from lib.options import vendor_variable
from lib.plain_calls import plain_too
from lib.vcon.fields import created_at, required_uuid
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from lib.web.answers import stored_vcon
from lib.web.http_retry import HttpRetryOptions, VendorError
from lib.web.json_api import HttpUrl, call_json

__all__ = ["Options", "delete", "effect", "get", "only_through_lib", "save"]

effect = "idempotent"
only_through_lib = True

SERVER = "Space and Time"
GATEWAY = "https://proxy.api.makeinfinite.dev"
KEY, TABLE = "SXT_API_KEY", "SXT_VCON_TABLENAME"
BISCUITS = ("SXT_VCON_TABLE_WRITE_BISCUIT", "SXT_VCON_TABLE_WRITE_BISCUI")
"""Variables with the biscuit; vcon-server reads the second one."""
DUPLICATE = "duplicate key"
"""In the error of an INSERT of a row that is there."""
WRITTEN = [{"UPDATED": 1}]
"""The answer to a statement that has written one row."""
LONGEST_ERROR = 200

type Document = dict[str, Any]
type Row = dict[str, str]


class Options(HttpRetryOptions):
    """Options of the storage."""

    name: str = Field("spaceandtime", description="not used, as with vcon-server")
    api_key: SecretStr = Field(SecretStr(""), description=f"+ the API key; unset: `{KEY}`")
    table_name: Annotated[
        str,
        StringConstraints(pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,62}\.[A-Za-z_][A-Za-z0-9_]{0,62})?$"),
    ] = Field("", description=f"+ the table, as `SCHEMA.TABLE`; unset: `{TABLE}`")
    biscuit: SecretStr = Field(
        SecretStr(""),
        description="+ the biscuit that permits SELECT, INSERT, UPDATE and DELETE on the table; "
        f"unset: `{BISCUITS[0]}`, or `{BISCUITS[1]}`, which vcon-server reads; the gateway adds "
        "those that were uploaded to it",
    )
    base_url: HttpUrl = Field(GATEWAY, min_length=1, description="+ the address of the gateway")
    max_vcon_bytes: int = Field(
        10 * 1024 * 1024, ge=1024, description="+ the size of a vCon that is sent at most, in bytes"
    )
    timeout: float = Field(60, gt=0, description="+ seconds for one attempt")

    @model_validator(mode="before")
    @classmethod
    def _with_variables(cls, options: Any) -> Any:
        if not isinstance(options, Mapping):
            return options
        biscuit = next(filter(None, map(vendor_variable, BISCUITS)), "")
        known = {
            "api_key": vendor_variable(KEY),
            "table_name": vendor_variable(TABLE),
            "biscuit": biscuit,
        }
        given = {name: value for name, value in options.items() if value not in (None, "")}
        return {name: value for name, value in known.items() if value} | given

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        for name, variable in (("api_key", KEY), ("table_name", TABLE)):
            if not getattr(self, name):
                raise ValueError(f"set {name} here or {variable} in the environment")
        return self


type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon's current content in Redis."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    row = _row(to_configured_legacy(document), uuid, options)
    found = await _found(options, uuid)
    if found == row["VCON_JSON"]:
        return
    if found is not None or not await _is_inserted(options, uuid, row):
        values = ", ".join(f"{name} = {_literal(value)}" for name, value in row.items())
        update = _sql("UPDATE", options.table_name, "SET", values, _where(uuid))
        await _check(options, uuid, row, await _execute(options, uuid, update))


@plain_too
async def get(vcon_uuid: str, opts: Given = None) -> Document | None:
    """The vCon as last saved, or None."""
    text = await _found(Options.of(opts), required_uuid(vcon_uuid))
    return stored_vcon(SERVER, text)


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon; False if there was none."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    if await _found(options, uuid) is None:
        return False
    answer = await _execute(options, uuid, _sql("DELETE FROM", options.table_name, _where(uuid)))
    if answer != WRITTEN and await _found(options, uuid) is not None:
        raise VendorError(f"{SERVER} answered, and has not deleted the vCon {uuid}")
    return True


def _row(document: Document, uuid: str, options: Options) -> Row:
    """The columns besides the uuid."""
    text = orjson.dumps(document).decode()
    if len(text.encode()) > options.max_vcon_bytes:
        raise ValueError(
            f"the vCon {uuid} has more than max_vcon_bytes, {options.max_vcon_bytes}; a link "
            "diet before makes it smaller"
        )
    moment = created_at(document)
    return {
        "VCON": str(document.get("vcon") or ""),
        "CREATED_AT": moment.replace(tzinfo=None, microsecond=0).isoformat(" ") if moment else "",
        "SUBJECT": str(document.get("subject") or ""),
        "VCON_JSON": text.replace("'", "\\u0027"),  # in JSON the same, and no quote for SQL
    }


async def _found(options: Options, uuid: str) -> str | None:
    """The vCon's JSON in the table, or None; a row without a JSON has an empty text."""
    statement = _sql("SELECT VCON_JSON FROM", options.table_name, _where(uuid))
    rows = await _execute(options, uuid, statement)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise VendorError(f"{SERVER} answered without rows; check base_url")
    if not rows:
        return None
    named = {str(name).upper(): value for name, value in rows[0].items()}
    return str(named.get("VCON_JSON") or "")


async def _is_inserted(options: Options, uuid: str, row: Row) -> bool:
    """Insert the row; False if another process has done so meanwhile."""
    names = ", ".join(("UUID", *row))
    values = ", ".join(map(_literal, (uuid, *row.values())))
    statement = _sql("INSERT INTO", options.table_name, f"({names}) VALUES ({values})")
    answer = await _execute(options, uuid, statement, accept_duplicate=True)
    if answer == DUPLICATE:
        return False
    await _check(options, uuid, row, answer)
    return True


async def _check(options: Options, uuid: str, row: Row, answer: Any) -> None:
    """Read the row back if the answer does not say that one was written.

    Raises:
        VendorError: if the row has another content.
    """
    if answer != WRITTEN and await _found(options, uuid) != row["VCON_JSON"]:
        raise VendorError(f"{SERVER} answered, and has not written the vCon {uuid}")


async def _execute(
    options: Options, uuid: str, statement: str, *, accept_duplicate: bool = False
) -> Any:
    """The rows of a statement, or what was changed; `DUPLICATE` for one that is accepted."""
    biscuit = options.biscuit.get_secret_value()
    answer = await call_json(
        "POST",
        f"{options.base_url.rstrip('/')}/v1/sql",
        server=SERVER,
        retry=options.http_retry,
        headers={"apikey": options.api_key.get_secret_value()},
        accept=(400,),
        json={"sqlText": statement, "biscuits": [biscuit] if biscuit else []},
        most_bytes=2 * options.max_vcon_bytes + 1024,
    )
    if answer.status != 400:
        return answer.body
    told = _error_of(answer.body, "title", "detail")
    if accept_duplicate and DUPLICATE in told.lower():
        return DUPLICATE
    if not statement.startswith("SELECT"):  # the detail may repeat a part of the conversation
        told = _error_of(answer.body, "title")
    shown = "" if uuid in told or not told else f": {told[:LONGEST_ERROR]}"
    raise VendorError(f"{SERVER} answered 400{shown}")


def _error_of(body: Any, *members: str) -> str:
    told = body if isinstance(body, dict) else {}
    return " ".join(str(told[name]) for name in members if told.get(name))


def _sql(*parts: str) -> str:
    """A statement of checked names and literals."""
    return " ".join(parts)


def _where(uuid: str) -> str:
    return f"WHERE UUID = {_literal(uuid)}"


def _literal(text: str) -> str:
    """A text as SQL: the dialect has no escapes but the doubled quote."""
    return "'" + text.replace("\0", "\ufffd").replace("'", "''") + "'" if text else "NULL"
