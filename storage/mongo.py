"""Stores vCons in a MongoDB collection.

A vCon is a document with its uuid as `_id`; saving again replaces it. As in vcon-server's
documents, `created_at` and each dialog's `start` are dates, for queries. MongoDB stores them in
milliseconds without a time zone; when read, they are in UTC. A text that is not a date is stored
unchanged. vCons that are saved at the same time share a bulk write; one that is refused fails
alone. Each process has one client per set of options.

Reads the vCon, which is stored in the format EGRESS_FORMAT_VERSION; writes nothing to it. Raises
`LookupError` for a vCon that is not in Redis, `ValueError` for an id that is not a uuid, and
`pymongo.errors.PyMongoError` or `bson.errors.BSONError` for errors of the database; errors and log
lines do not contain the URL.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pydantic import Field, SecretStr
from pymongo import AsyncMongoClient, ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DocumentTooLarge, WriteConcernError, WriteError

from lib.mongo_client import mongo_client
from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.shared_calls import SharedCalls
from lib.vcon.fields import required_uuid
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from lib.web import http_client

__all__ = ["Options", "close", "delete", "effect", "get", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"

MOST_VCONS = 100
"""vCons of one bulk write."""
MOST_BYTES = 10 * 1024 * 1024
"""Bytes of one bulk write, unless one vCon is larger."""

type Document = dict[str, Any]


class Options(PluginOptions):
    """Options of the storage."""

    url: SecretStr = Field(
        SecretStr("mongodb://localhost:27017/"), description="the server's URL with credentials"
    )
    database: str = Field("conserver", description="name of the database")
    collection: str = Field("vcons", description="name of the collection")
    timeout: float = Field(30, gt=0, description="+ seconds to wait for the server")
    tls: bool = Field(False, description="+ whether to use TLS, if the URL does not set it")
    tls_ca_file: str = Field(
        "", description="+ a file with the CA certificates that verify the server's"
    )
    tls_verify: bool = Field(
        True, description="+ whether to verify the server's certificate and host name"
    )

    def access(self) -> dict[str, Any]:
        """The client's arguments for TLS; unset options are left to the URL."""
        given: dict[str, Any] = {"tls": True} if self.tls else {}
        given |= {"tlsCAFile": self.tls_ca_file} if self.tls_ca_file else {}
        return given | ({} if self.tls_verify else {"tlsAllowInvalidCertificates": True})


type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon's current content in Redis."""
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    name = required_uuid(vcon_uuid)
    kept_document = {**with_dates(to_configured_legacy(document), as_date), "_id": name}
    await _written(Options.of(opts), (name, bson.encode(kept_document)))


@plain_too
async def get(vcon_uuid: str, opts: Given = None) -> Document | None:
    """The vCon as last saved, or None."""
    found = await _collection(Options.of(opts)).find_one({"_id": required_uuid(vcon_uuid)})
    if found is None:
        return None
    found.pop("_id")
    return with_dates(found, as_text)


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon; False if there was none."""
    outcome = await _collection(Options.of(opts)).delete_one({"_id": required_uuid(vcon_uuid)})
    return outcome.deleted_count > 0


async def close() -> None:
    """Close the clients of this event loop; the next call makes new ones."""
    await http_client.close("mongo")


def with_dates(document: Document, converted: Callable[[object], object]) -> Document:
    """A copy of the vCon with `converted` applied to its dates."""
    dialogs = document.get("dialog")
    changed: Document = {
        name: converted(document[name]) for name in ("created_at",) if name in document
    }
    if isinstance(dialogs, list):
        changed["dialog"] = [
            {**each, "start": converted(each["start"])}
            if isinstance(each, dict) and "start" in each
            else each
            for each in dialogs
        ]
    return {**document, **changed}


def as_date(value: object) -> object:
    """A text in ISO 8601 as a datetime in UTC; any other value unchanged."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None:
            return value
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: outside the years 1 to 9999 in UTC
        return value


def as_text(value: object) -> object:
    """A datetime as text in ISO 8601, in UTC; any other value unchanged."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _collection(options: Options) -> AsyncCollection[Document]:
    url, wait = options.url.get_secret_value(), int(options.timeout * 1000)

    def make() -> AsyncMongoClient[Document]:
        names = ("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS")
        waits: Any = dict.fromkeys(names, wait)
        return mongo_client(url, appname="patchcord", **waits, **access)

    access = options.access()
    client = http_client.kept(("mongo", url, wait, *access.items()), make)
    return client[options.database][options.collection]


async def _write(
    options: Options, items: Sequence[tuple[str, bytes]]
) -> Sequence[Exception | None]:
    # Replaced, not updated: members removed from the vCon must not remain.
    changes: list[ReplaceOne[Any]] = [
        ReplaceOne({"_id": name}, RawBSONDocument(content), upsert=True) for name, content in items
    ]
    errors: list[Exception | None] = [None] * len(items)
    try:
        await _collection(options).bulk_write(changes, ordered=False)
    except BulkWriteError as error:
        # Neither error has the `op` of pymongo's, which is the vCon.
        if concerns := error.details["writeConcernErrors"]:  # all may be lost again
            raise WriteConcernError(concerns[0]["errmsg"], concerns[0]["code"]) from None
        for refused in error.details["writeErrors"]:
            errors[refused["index"]] = WriteError(refused["errmsg"], refused["code"])
    return errors


_written: SharedCalls[Options, tuple[str, bytes]] = SharedCalls(
    _write,
    server="MongoDB",
    most_items=MOST_VCONS,
    most_bytes=MOST_BYTES,
    bytes_of=lambda item: len(item[1]),
    name_of=lambda item: item[0],
    splits=lambda error: isinstance(error, DocumentTooLarge),
)
