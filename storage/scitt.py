"""Registers vCons with a transparency service (SCITT) when all links have run; keeps the receipts.

Reads the vCon; writes nothing to it. For each operation, such as `vcon_enhanced`, a signed
statement with the vCon's hash is registered for each telephone number of the parties, or once if
there is none; statements, services and the verification of receipts are those of `links.scitt`. A
receipt that does not verify is an error, so the save fails and is repeated.

Verified receipts are kept in the service's own Redis: the list `pc:receipts:UUID`, with the members
that `links.scitt` writes, each as JSON. The last 200 of a vCon, or as many as one save registers if
that is more, are kept for `receipts_expire` seconds after the last one came, and are deleted with
the vCon's copies. `receipts(UUID)` returns them. A transparency service keeps no vCons, so there is
nothing to read back.

A second save of the same vCon registers nothing more: a receipt that is kept, with a statement by
the configured key about this vCon, operation, service and hash, is enough. `vcon_created` is
registered once, also if the vCon has changed since. After the receipts have expired, the same
statement is sent again, and SCITTLEs answers with the entry it has.

Raises `LookupError` for a vCon that is not in Redis, `VendorError` if the service cannot be reached
or refuses, `ReceiptError` for a receipt that does not verify, and `ValueError` without a usable key
or for an id that is not a uuid.

Better than vcon-server's: the receipts are verified and kept; there they are thrown away, and each
save registers everything again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import Field

from lib.plain_calls import plain_too
from lib.redis_mgr import get_async_client
from lib.scitt.receipts import ReceiptError
from lib.scitt.statements import (
    Document,
    Record,
    StatementOptions,
    Subject,
    is_of,
    make,
    registered,
    subjects,
)
from lib.vcon.fields import hash_of, required_uuid
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_client import close
from lib.web.http_retry import VendorError

__all__ = [
    "Options",
    "ReceiptError",
    "VendorError",
    "close",
    "delete",
    "effect",
    "only_through_lib",
    "receipts",
    "save",
]

only_through_lib = True
effect = "idempotent"

MOST_KEPT = 200
"""Receipts of one vCon, or as many as one save registers: without these all are sent again."""


class Options(StatementOptions):
    """Options of the storage."""

    operations: list[str] = Field(
        ["vcon_enhanced"],
        min_length=1,
        max_length=20,
        description="what has happened to the vCon; each is registered",
    )
    receipts_expire: int = Field(
        31_536_000, gt=0, description="+ seconds for which the receipts are kept"
    )


type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Register what has no receipt yet, and keep each receipt as soon as it is verified."""
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    wanted, vcon_hash = subjects(document, options), await hash_of(document)
    kept, operations = await receipts(name), list(dict.fromkeys(options.operations))
    most = max(MOST_KEPT, len(operations) * len(wanted))
    for operation in operations:
        done = _done(kept, options, document, operation, vcon_hash)
        for subject in _missing(wanted, done):
            statement = make(options, document, subject, operation, vcon_hash)
            await _keep(name, await registered(options, statement), options, most)


@plain_too
async def receipts(vcon_uuid: str) -> list[Record]:
    """The receipts that are kept of a vCon, oldest first."""
    client = await get_async_client()
    found = await client.lrange(_key(vcon_uuid), 0, -1)
    return [orjson.loads(each) for each in found]


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the receipts; False if there are none. The service's log stays as it is."""
    client = await get_async_client()
    return bool(await client.delete(_key(vcon_uuid)))


def _key(vcon_uuid: str) -> str:
    return f"pc:receipts:{required_uuid(vcon_uuid)}"


def _missing(wanted: Sequence[Subject], done: set[str]) -> list[Subject]:
    return [each for each in wanted if each.uri not in done]


def _done(
    kept: Sequence[Record], options: Options, document: Document, operation: str, vcon_hash: str
) -> set[str]:
    """The subjects with a receipt for this operation, and this hash if that matters."""
    return {
        record["subject"]
        for record in kept
        if is_of(record, options, document, operation)
        and (record["vcon_hash"] == vcon_hash or not options.repeats(operation))
    }


async def _keep(name: str, record: Record, options: Options, most: int) -> None:
    key = _key(name)
    async with (await get_async_client()).pipeline(transaction=True) as commands:
        commands.rpush(key, orjson.dumps(record))
        commands.ltrim(key, -most, -1)
        commands.expire(key, options.receipts_expire)
        await commands.execute()
