"""HTTP clients that are kept for an event loop, so that connections are used again.

All plugins of a loop share one, and those of vendors' libraries by what they were made from. A
process that forks later has its own. None has a time limit of its own that matters: whoever uses
one sets it.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any
from weakref import WeakKeyDictionary

import httpx

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Any]] = WeakKeyDictionary()


def shared_client() -> httpx.AsyncClient:
    """The client of the running event loop, made when it is first wanted."""
    return kept(httpx.AsyncClient, lambda: httpx.AsyncClient(timeout=None))  # noqa: S113 -- see above


def kept[T](key: Hashable, make: Callable[[], T]) -> T:
    """What `make` gave when the running event loop first asked for this key."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if key not in clients:
        clients[key] = make()
    found: T = clients[key]
    return found


async def close(kind: str | None = None) -> None:
    """Close clients of this event loop; they are made anew when they are wanted again.

    All of them, or those whose key is a tuple that begins with `kind`.
    """
    clients = _clients.get(asyncio.get_running_loop(), {})
    for key in [key for key in clients if kind is None or _is_of(key, kind)]:
        client = clients.pop(key)
        await (client.aclose() if hasattr(client, "aclose") else client.close())


def _is_of(key: Hashable, kind: str) -> bool:
    return isinstance(key, tuple) and key[0] == kind
