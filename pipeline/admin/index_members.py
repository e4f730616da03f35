"""The members of a vCon in Redis by which it is indexed, read without the rest of the document."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.vcon.normalization import created_at_epoch, search_keys

PARTIES = 1000
"""Parties of one vCon that are read; INDEX_TERMS is at most as many."""
_FIELDS = ("tel", "mailto", "name")
_PATHS = ("$.created_at", *(f"$.parties[0:{PARTIES}].{field}" for field in _FIELDS))


@dataclass(frozen=True, slots=True)
class IndexMembers:
    """`score` in the sorted set, and search terms; `read`: each path and the JSON found there."""

    score: float
    terms: list[str]
    read: list[str]


async def index_members(connection: RedisConnection, vcon_uuid: str) -> IndexMembers | None:
    """Read them; None if there is no document under its key.

    Raises:
        CommandRefused: its members cannot be read by paths.
    """
    if not await connection.script("adopt", vcon_uuid):
        return None
    key = keys.vcon(vcon_uuid)
    texts = await asyncio.gather(*(connection.command("JSON.GET", key, path) for path in _PATHS))
    if None in texts:
        return None
    created, *found = (orjson.loads(text) for text in texts)
    return IndexMembers(
        score=created_at_epoch({"created_at": created[0] if created else None}) or 0.0,
        terms=_terms(found),
        read=list(chain.from_iterable(zip(_PATHS, texts, strict=True))),
    )


def _terms(found: Sequence[Sequence[Any]]) -> list[str]:
    """The search terms of the values of each field."""
    parties = [{field: value} for field, each in zip(_FIELDS, found, strict=True) for value in each]
    return search_keys({"parties": parties})
