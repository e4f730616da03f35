"""Keeps vCons in a collection of a MongoDB.

A vCon is a document with its uuid as `_id`; saving again replaces it. As in vcon-server's documents
`created_at` and each dialog's `start` are dates, so that they can be searched by; MongoDB keeps
milliseconds of them and no time zone, and read back they are the same moments in UTC. A date that
cannot be read stays the text it was. Each process keeps one client for each set of options.

Reads the vCon, which is kept in the form of EGRESS_FORMAT_VERSION; writes nothing on it. Raises
`LookupError` for a vCon that is not in Redis, `ValueError` for a text that is not a uuid, and
`pymongo.errors.PyMongoError` when the database does; errors and log lines do not have the URL.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, SecretStr
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from lib.options import GuestOptions
from lib.plain_calls import plain_too
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_fields import required_uuid
from lib.vcon_redis import AsyncVconRedis
from lib.web import http_client

__all__ = ["Options", "close", "delete", "get", "only_through_lib", "save"]

only_through_lib = True

type Document = dict[str, Any]


class Options(GuestOptions):
    """Which collection of which database."""

    url: SecretStr = Field(
        SecretStr("mongodb://localhost:27017/"), description="where the server is, and who asks"
    )
    database: str = Field("conserver", description="name of the database")
    collection: str = Field("vcons", description="name of the collection")
    timeout: float = Field(30, gt=0, description="+ seconds to wait for the server")
    tls: bool = Field(False, description="+ whether to connect by TLS, if the URL does not say so")
    tls_ca_file: str = Field(
        "", description="+ file with the certificates to check the server's against"
    )
    tls_verify: bool = Field(
        True, description="+ whether the server's certificate and name are checked"
    )

    def access(self) -> dict[str, Any]:
        """The client's arguments for TLS; what is not given is left to the URL."""
        given: dict[str, Any] = {"tls": True} if self.tls else {}
        given |= {"tlsCAFile": self.tls_ca_file} if self.tls_ca_file else {}
        return given | ({} if self.tls_verify else {"tlsAllowInvalidCertificates": True})


type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon as it is now in Redis."""
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    # Replaced and not updated: what the vCon has lost must not stay.
    found_by = {"_id": required_uuid(vcon_uuid)}
    kept_document = {**with_dates(to_configured_legacy(document), as_date), **found_by}
    await _collection(Options.of(opts)).replace_one(found_by, kept_document, upsert=True)


@plain_too
async def get(vcon_uuid: str, opts: Given = None) -> Document | None:
    """The vCon as it was saved last, or None."""
    found = await _collection(Options.of(opts)).find_one({"_id": required_uuid(vcon_uuid)})
    if found is None:
        return None
    found.pop("_id")
    return with_dates(found, as_text)


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Remove the vCon; False when it was not there."""
    outcome = await _collection(Options.of(opts)).delete_one({"_id": required_uuid(vcon_uuid)})
    return outcome.deleted_count > 0


async def close() -> None:
    """Close the connections; they are made anew when they are wanted again."""
    await http_client.close("mongo")


def with_dates(document: Document, converted: Callable[[object], object]) -> Document:
    """The vCon with its dates in another form; the one given stays as it is."""
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
    """The moment that a text says, in UTC; the value itself if MongoDB's client cannot hold it."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None:
            return value
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: outside the years 1 to 9999 in UTC
        return value


def as_text(value: object) -> object:
    """The other way round."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _collection(options: Options) -> AsyncCollection[Document]:
    url, wait = options.url.get_secret_value(), int(options.timeout * 1000)

    def make() -> AsyncMongoClient[Document]:
        names = ("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS")
        waits: Any = dict.fromkeys(names, wait)
        return AsyncMongoClient(url, tz_aware=True, appname="patchcord", **waits, **access)

    access = options.access()
    client = http_client.kept(("mongo", url, wait, *access.items()), make)
    return client[options.database][options.collection]
