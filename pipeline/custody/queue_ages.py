"""How long the next vCon of each ingress list has waited, as far as custody knows it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from core.db.custody import key_of
from core.errors import UnusableKeyError
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection

_UNKNOWN = "?"


async def queue_ages(
    connection: RedisConnection, lists: Sequence[str], now: datetime | None = None
) -> dict[str, float]:
    """Seconds by list; 0 for an empty list.

    The time of acceptance is in the name of the row of custody. A vCon that another program has
    queued has none before it is claimed, and its list is left out.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    heads = await asyncio.gather(*(_asked(connection, "LINDEX", name, 0) for name in lists))
    empty = {name: 0.0 for name, head in zip(lists, heads, strict=True) if head is None}
    places = [_place(name, head) for name, head in zip(lists, heads, strict=True) if head]
    refs = await asyncio.gather(
        *(
            _asked(connection, "HGET", keys.about(vcon_uuid), f"custody:{place}")
            for _, vcon_uuid, place in places
        )
    )
    moment = now or datetime.now(UTC)
    ages = {name: _age(ref, moment) for (name, _, _), ref in zip(places, refs, strict=True)}
    return empty | {name: age for name, age in ages.items() if age is not None}


async def _asked(connection: RedisConnection, *words: str | int) -> str | None:
    try:
        answer: str | None = await connection.command(*words)
    except UnusableKeyError:  # the gauge of unusable keys has it
        return _UNKNOWN
    return answer


def _place(list_name: str, element: str) -> tuple[str, str, str]:
    """The list, the vCon, and the place that its row of custody is for."""
    vcon_uuid, bar, run_id = element.partition("|")
    return list_name, vcon_uuid, f"{list_name}{bar}{run_id}"


def _age(refs: str | None, now: datetime) -> float | None:
    """Seconds since the row was accepted; of several, the first one that is still open."""
    try:
        accepted_at, _ = key_of((refs or "").partition(" ")[0])
    except (ValueError, OverflowError):
        return None
    return max(0.0, (now - accepted_at).total_seconds())
