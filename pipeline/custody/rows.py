"""Rows of custody for vCons that are in Redis already."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from core.db.custody import NewCustody
from pipeline.media import media
from pipeline.redis_client import keys, originals
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.driver.batches import ENCODING_ERRORS

IN_REDIS = ""
"""The place of a vCon that was accepted for no list."""
NEW_RUN: Mapping[str, Any] = {}
"""The state of a row whose vCon is run although it may have been run before."""


def place_of(list_name: str, run_id: str | None) -> str:
    """The place of an element: its list, for one of a run list with the run."""
    is_run_list = list_name.startswith(keys.RUN_LIST)
    return f"{list_name}|{run_id}" if is_run_list else list_name


async def row_in_redis(
    connection: RedisConnection,
    sorted_set: str,
    vcon_uuid: str,
    places: Sequence[str],
    *,
    run_id: str | None = None,
    state: Mapping[str, Any] | None = None,
    idempotency: Mapping[str, str] | None = None,
) -> NewCustody | None:
    """A row with the vCon as it is in Redis now; None if it is not there.

    Raises:
        UnavailableError: Redis cannot be reached.
        WrongTypeError: the key of the vCon has another type.
    """
    found = await connection.script("as_it_is", vcon_uuid, sorted_set)
    if not found:
        return None
    text, digest, score, index, received, owner, has_owner = found
    whole = await media.installed(connection).for_keeping(
        vcon_uuid, text.encode(errors=ENCODING_ERRORS)
    )
    original = await originals.read(connection, vcon_uuid)
    if original and not await originals.is_sealed(connection, vcon_uuid):
        original = None  # another program has laid this document over the one that was signed
    return NewCustody(
        vcon_uuid=vcon_uuid,
        lists=places,
        document=originals.in_one(whole, original or b""),
        digest=digest,
        created_at=float(score or 0),
        terms=orjson.loads(index) if index else (),
        received=received,
        owner=owner if has_owner else None,
        run_id=run_id,
        keys=idempotency or {},
        state=state,
    )


def is_kept_as(vcon_uuid: str) -> bool:
    """Whether Postgres gives this text back as it is; other programs queue elements of any form."""
    try:
        return str(UUID(vcon_uuid)) == vcon_uuid
    except ValueError:
        return False
