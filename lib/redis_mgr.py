"""vcon-server's way to Redis by hand, for plugins that import `redis_mgr`.

`redis` is the process's own client for threads (`redis.Redis`, texts decoded), connected when first
used. What is written through it goes without the protection that `lib.vcon_redis` gives.
"""

from typing import Any

from pipeline.redis_client.client import installed


class _Client:
    """Whatever the process's client is when something is asked of it.

    A plugin imports `redis` when there is no connection yet, and one outlives that it has.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(installed().sync, name)


redis: Any = _Client()


def get_client() -> Any:
    """The client that `redis` stands for."""
    return installed().sync


async def get_async_client() -> Any:
    """A `redis.asyncio.Redis` for the event loop that links run on, texts decoded."""
    return installed().asynchronous


def set_key(key: str, value: Any) -> None:
    """Write a JSON document under a key."""
    get_client().json().set(key, "$", value)


def get_key(key: str) -> Any:
    """The JSON document under a key, or None."""
    return get_client().json().get(key)


def delete_key(key: str) -> int:
    """Remove a key; how many were removed."""
    return int(get_client().delete(key))


def show_keys(pattern: str) -> list[str]:
    """Every key of this pattern; looks through the whole of Redis, in steps."""
    return list(get_client().scan_iter(match=pattern, count=1000))
