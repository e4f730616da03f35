"""Taking elements out of a Redis list, by the name of vcon-server's early plugins."""

from collections.abc import AsyncIterator
from typing import Any


async def listen_list(r: Any, list_name: str) -> AsyncIterator[Any]:
    """Each element of a list, as it comes; `r` is a `redis.asyncio.Redis`.

    Only for lists that no chain reads: an element is lost if the process dies after it was taken.
    """
    while True:
        if taken := await r.blpop([list_name]):
            yield taken[1]
