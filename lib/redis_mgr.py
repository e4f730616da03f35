"""vcon-server's way to Redis by hand, for guests that import `redis_mgr`.

`redis` is the process's own client for threads (`redis.Redis`, texts decoded), connected when first
used. What is written through it goes without the protection that `lib.vcon_redis` gives.
"""

from typing import Any

from pipeline.connection import installed


def get_client() -> Any:
    """The client that `redis` is."""
    return installed().sync


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


def __getattr__(name: str) -> Any:
    # Not a plain name: a guest may import it before there is a connection.
    if name == "redis":
        return get_client()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
