"""The signed originals of vCons that were opened, byte for byte, beside their documents.

`pc:signed:{uuid}` has the JSON of the outermost signed form. It is there as long as Redis knows the
vCon (`pc:about:{uuid}`), and a duplicate does not replace it. Before a vCon is accepted its
original has a name with the original's digest, under which it expires; the script that accepts the
vCon renames it.
"""

import hashlib
from collections.abc import Container

import orjson

from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.driver.batches import ENCODING_ERRORS

WAITING = 3600
"""Seconds for which an original waits for its vCon to be accepted."""


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
) -> bytes | None:
    """The original that a duplicate with one of these digests leaves in place; raises as `read`."""
    known = await connection.command("HGET", keys.about(vcon_uuid), "digest")
    return await read(connection, vcon_uuid) if known in digests else None


async def keep(connection: RedisConnection, vcon_uuid: str, original: bytes) -> None:
    """Keep the original of a vCon that is in Redis; raises as `read`."""
    await connection.command("SET", keys.signed(vcon_uuid), original)


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
