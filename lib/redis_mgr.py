"""vcon-server's module `redis_mgr`, for plugins that use Redis directly.

`redis` is the process's client for threads (a `redis.Redis` with decoded responses), connected at
first use. Writes through it are not fenced: unlike those of `lib.vcon_redis`, they succeed in a run
that another worker has taken over.
"""

from typing import Any

from pipeline.redis_client.client import installed


class _Client:
    """Forwards attribute access to the process's current client.

    A plugin may import `redis` before the connection exists, and keep it when it is replaced.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(installed().sync, name)


redis: Any = _Client()


def get_client() -> Any:
    """The process's current client for threads."""
    return installed().sync


async def get_async_client() -> Any:
    """A `redis.asyncio.Redis` for the event loop of the links, with decoded responses."""
    return installed().asynchronous


def set_key(key: str, value: Any) -> None:
    """Write a JSON document under a key."""
    get_client().json().set(key, "$", value)


def get_key(key: str) -> Any:
    """The JSON document under a key, or None."""
    return get_client().json().get(key)


def delete_key(key: str) -> int:
    """Remove a key; returns the number of keys removed, 0 or 1."""
    return int(get_client().delete(key))


def show_keys(pattern: str) -> list[str]:
    """All keys that match a pattern; scans the whole database in batches."""
    return list(get_client().scan_iter(match=pattern, count=1000))
