"""The signed originals of vCons that were opened, byte for byte, beside their documents.

`pc:signed:{uuid}` has the JSON of the outermost signed form. It is there as long as Redis knows the
vCon (`pc:about:{uuid}`), and a duplicate replaces it only if that is verified and the one that is
kept is not (`pipeline.ingest.kept_originals`). Before a vCon is accepted its original is offered
under a name with the original's digest, and expires; the script that accepts the vCon renames it.
"""

import hashlib
from collections.abc import Container
from typing import NamedTuple

import orjson

from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.driver.batches import ENCODING_ERRORS

WAITING = 3600
"""Seconds for which an original waits for its vCon to be accepted."""
ANY, NONE, UNKNOWN = "*", "", "-"
"""In place of the digest of one that is kept: each; none; one of which the digest is not known."""


class Kept(NamedTuple):
    """An original that is kept, and what names it to the scripts (`parts/original.lua`)."""

    text: bytes
    name: str


async def read(connection: RedisConnection, vcon_uuid: str) -> bytes | None:
    """The signed original of a vCon, or None.

    Raises:
        UnavailableError: Redis cannot be reached.
        WrongTypeError: another program keeps something else under its key.
    """
    text: str | None = await connection.command("GET", keys.signed(vcon_uuid))
    return None if text is None else text.encode(errors=ENCODING_ERRORS)


async def kept_for(
    connection: RedisConnection, vcon_uuid: str, digests: Container[str]
) -> Kept | None:
    """The original beside a document with one of these digests; raises as `read`."""
    about = ("HMGET", keys.about(vcon_uuid), "digest", "original")
    known, name = await connection.command(*about)
    if known not in digests:
        return None
    return await _named(connection, vcon_uuid, name)


async def kept(connection: RedisConnection, vcon_uuid: str) -> Kept | None:
    """The original beside a document; raises as `read`."""
    name = await connection.command("HGET", keys.about(vcon_uuid), "original")
    return await _named(connection, vcon_uuid, name)


async def _named(connection: RedisConnection, vcon_uuid: str, name: str | None) -> Kept | None:
    text = await read(connection, vcon_uuid)
    return None if text is None else Kept(text, name or UNKNOWN)


async def keep(connection: RedisConnection, vcon_uuid: str, original: bytes, over: str) -> None:
    """Keep the original of a vCon that is in Redis; raises as `read`.

    It replaces the one of this name, `ANY`, or `NONE`; otherwise the one that is there stays.
    """
    await offer(connection, vcon_uuid, original)
    await connection.script("keep_original", vcon_uuid, digest_of(original), over)


async def seal(connection: RedisConnection, vcon_uuid: str) -> None:
    """Take the document that Redis has now for what its signed original says; raises as `read`."""
    await connection.script("seal", vcon_uuid, "seal")


async def is_sealed(connection: RedisConnection, vcon_uuid: str) -> bool:
    """Whether the document is the sealed one, with what runs have written since; raises as `read`.

    Another program that writes under the vCon's key breaks the seal, `lib` does not.
    """
    return bool(await connection.script("seal", vcon_uuid, "look"))


def digest_of(original: bytes) -> str:
    """What the name of an original that is offered ends with."""
    return hashlib.sha256(original).hexdigest()


async def offer(connection: RedisConnection, vcon_uuid: str, original: bytes) -> None:
    """Keep an original until `ingest.lua` accepts its vCon; raises as `read`."""
    name = keys.offered_original(vcon_uuid, digest_of(original))
    await connection.command("SET", name, original, "EX", WAITING)


# Custody in Postgres has one text for each row: the document, and before its own members the
# original, under a name that no vCon has.
_FIRST = b'{"pc:signed":'


def in_one(document: bytes, original: bytes) -> bytes:
    """A document in JSON with its original, for custody; the same document if it has none."""
    if not original:
        return document
    return _FIRST + orjson.dumps(original.decode()) + b"," + document[1:]


def apart(text: bytes) -> tuple[bytes, bytes]:
    """The document and the original that `in_one` has put together."""
    if not text.startswith(_FIRST):
        return text, b""
    members = orjson.loads(text)
    original = members.pop("pc:signed")
    return orjson.dumps(members), str(original).encode()
