"""Registers vCons with a transparency service (SCITT), which proves that it has done so.

Reads the vCon. A signed statement with the vCon's hash and the operation, such as `vcon_created`,
is registered for each telephone number of the parties, or once if there is none. The service's
receipt is verified: its inclusion proof must lead from the statement to a root that the service
has signed with a key it publishes. Writes one analysis of the type `scitt_receipt`, vendor
`scittles`, dialog 0 (`[]` if there is none): a receipt, or a list of them, with `entry_id`,
`cose_receipt` and `signed_statement` (base64), `vcon_operation`, `subject`, `vcon_hash` and
`scrapi_url`. A receipt that does not verify is an error, and is not written. If the vCon is not in
Redis, the chain ends.

`vcon_hash` is vcon-server's `Vcon.hash`: the SHA-256 of the vCon in Redis before the receipt was
added, as Python's `json.dumps` writes it, with its separators, ASCII only, and the members in their
order. It is no canonical JSON: who verifies it needs the text in the same order and spelling.

A statement that the vCon has a receipt for is not registered again: the receipt must have this
service, this operation and a statement about this vCon by the configured key, so that receipts
that came with a vCon from outside do not count. `vcon_created` is registered once; any other
operation again if something other than receipts has changed since. After a failure the numbers
that have receipts are left out. A repeated statement has the same bytes, and a service that knows
it already (SCITTLEs) is asked for the receipt it has.

Services with the interface SCRAPI are supported: answers 201, and 303 with polling, receipts of the
structure RFC9162_SHA256, and keys by the transparency configuration or at
`/.well-known/scitt-keys`. Raises `VendorError` if the service cannot be reached or refuses,
`ReceiptError` for a receipt that does not verify, and `ValueError` without a usable key.

Better than vcon-server's: a repeat registers nothing more, receipts of services whose tree is not
RFC 9162 are refused with a word why, keys are chosen by their identifier and fetched from the
configured service only, problem details of the service are in the error, and `Retry-After` is
obeyed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from pydantic import Field

from lib.plain_calls import plain_too
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
from lib.vcon.fields import hash_of
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_client import close
from lib.web.http_retry import VendorError

__all__ = ["Options", "ReceiptError", "VendorError", "close", "effect", "only_through_lib", "run"]

only_through_lib = True
effect = "idempotent"

KIND, VENDOR = "scitt_receipt", "scittles"


class Options(StatementOptions):
    """Options of the link."""

    vcon_operation: str = Field(
        "vcon_created", min_length=1, max_length=200, description="what has happened to the vCon"
    )
    store_receipt: bool = Field(
        True,
        description="whether to add the receipts to the vCon; without them a repeat is recognised "
        "by the service only",
    )


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Register what is missing; returns the uuid, or None if the vCon is not in Redis."""
    options, redis = Options.of(opts), AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    vcon_hash, missing = await _missing(document, options)
    records: list[Record] = []
    try:
        for subject in missing:
            statement = make(options, document, subject, options.vcon_operation, vcon_hash)
            records.append(await registered(options, statement))
    finally:  # what is registered is kept, also if a later number fails
        if records and options.store_receipt:
            _add(document, records)
            await redis.store_vcon_dict(document)
    return vcon_uuid


async def _missing(document: Document, options: Options) -> tuple[str, Sequence[Subject]]:
    """The hash to register, and the subjects that have no receipt for it."""
    wanted = subjects(document, options)
    found = [
        (place, record)
        for place, record in _records(document)
        if is_of(record, options, document, options.vcon_operation)
    ]
    if not found:
        return await hash_of(document), wanted
    hashes = {
        place: await hash_of(_before(document, place)) for place in {place for place, _ in found}
    }
    same = [record for place, record in found if record["vcon_hash"] == hashes[place]]
    counted = same if options.repeats(options.vcon_operation) else [record for _, record in found]
    done = {record["subject"] for record in counted}
    vcon_hash = same[0]["vcon_hash"] if same else await hash_of(document)
    return vcon_hash, [each for each in wanted if each.uri not in done]


def _records(document: Document) -> Iterator[tuple[int, Any]]:
    """Each receipt in the vCon, with the index of its analysis."""
    for place, entry in enumerate(document.get("analysis") or ()):
        if not _is_receipt(entry):
            continue
        try:
            body = entry.get("body")
            body = orjson.loads(body) if isinstance(body, str) else body
        except orjson.JSONDecodeError:
            continue
        for record in body if isinstance(body, list) else [body]:
            yield place, record


def _before(document: Document, place: int) -> Document:
    """The vCon without the receipts from this analysis on."""
    entries = [
        entry
        for number, entry in enumerate(document["analysis"])
        if number < place or not _is_receipt(entry)
    ]
    return {**document, "analysis": entries}


def _is_receipt(entry: object) -> bool:
    return isinstance(entry, Mapping) and entry.get("type") == KIND


def _add(document: Document, records: Sequence[Record]) -> None:
    body = records[0] if len(records) == 1 else list(records)
    document["analysis"] = [
        *(document.get("analysis") or ()),
        {
            "type": KIND,
            "dialog": 0 if document.get("dialog") else [],
            "vendor": VENDOR,
            "body": orjson.dumps(body).decode(),
            "encoding": "json",
        },
    ]
