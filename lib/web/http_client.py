"""HTTP clients cached per event loop, so that connections are reused.

All plugins of a loop share one `httpx` client; clients of vendors' libraries are cached by their
settings. The clients have no timeout of their own; the caller sets one for each request.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from lib.web.client import AiohttpClient

LEAST_CONNECTIONS = 10
"""Connections to one server that a library with a pool of a fixed size may have at least."""

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Any]] = WeakKeyDictionary()
_at_once = LEAST_CONNECTIONS


def fit(at_once: int) -> None:
    """Let clients that are made from now on have so many connections to one server.

    The worker tells how many vCons it runs at once.
    """
    global _at_once  # noqa: PLW0603 -- one number of the process
    _at_once = max(at_once, LEAST_CONNECTIONS)


def connections() -> int:
    """The size of a pool of connections to one server, for libraries that need one."""
    return _at_once


def shared_client() -> "AiohttpClient":
    """The `httpx` client of the running event loop, made at the first call.

    It follows no redirects.
    """
    return kept(("shared", "as they come"), lambda: _client(follow_redirects=False))


def following_client() -> "AiohttpClient":
    """The same with redirects, for vendors' libraries, which follow them by default."""
    return kept(("shared", "following"), lambda: _client(follow_redirects=True))


def _client(*, follow_redirects: bool) -> "AiohttpClient":
    from lib.web.client import AiohttpClient  # noqa: PLC0415 -- many workers send nothing

    return AiohttpClient(timeout=None, follow_redirects=follow_redirects)


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
