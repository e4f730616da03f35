"""An empty Redis before every test, without FLUSHALL.

After a synchronous FLUSHALL, the next KEYS stops the key table of Valkey 9.1 from ever growing
again: a hundred thousand keys then share two buckets, and a script takes half a minute. An
asynchronous one frees JSON in a thread in which the JSON module crashes; see `servers.valkey`.
"""

from __future__ import annotations

from itertools import batched
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis import Redis

_AT_A_TIME = 10_000


def empty(client: Redis) -> None:
    """Delete every key, one by one and at once."""
    for keys in batched(client.scan_iter(count=_AT_A_TIME), _AT_A_TIME):
        client.delete(*keys)
