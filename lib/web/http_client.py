"""HTTP clients cached per event loop, so that connections are reused.

All plugins of a loop share one `httpx` client; clients of vendors' libraries are cached by their
settings. The clients have no timeout of their own; the caller sets one for each request.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any
from weakref import WeakKeyDictionary

import httpx

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Any]] = WeakKeyDictionary()


def shared_client() -> httpx.AsyncClient:
    """The `httpx` client of the running event loop, made at the first call."""
    return kept(httpx.AsyncClient, lambda: httpx.AsyncClient(timeout=None))  # noqa: S113 -- see above


def kept[T](key: Hashable, make: Callable[[], T]) -> T:
    """The running event loop's object for this key; `make` is called for the first request."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if key not in clients:
        clients[key] = make()
    found: T = clients[key]
    return found


async def close(kind: str | None = None) -> None:
    """Close clients of this event loop; the next request makes new ones.

    `kind`: only clients whose key is a tuple that begins with it; None: all.
    """
    clients = _clients.get(asyncio.get_running_loop(), {})
    for key in [key for key in clients if kind is None or _is_of(key, kind)]:
        client = clients.pop(key)
        await (client.aclose() if hasattr(client, "aclose") else client.close())


def _is_of(key: Hashable, kind: str) -> bool:
    return isinstance(key, tuple) and key[0] == kind
