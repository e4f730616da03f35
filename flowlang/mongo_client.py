"""The client of MongoDB, whose cancelled attempts to connect leave no socket open.

pymongo (4.20.1) closes the socket of an attempt to connect that fails, but not of one that is
cancelled, and closing a client cancels what its monitors are doing. Such a socket stayed open until
a garbage collection. `tests/integration/lib/test_clients_while_connecting.py` says when pymongo
closes it itself; then this module can go.
"""

from __future__ import annotations

from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from pymongo import AsyncMongoClient, pool_shared

if TYPE_CHECKING:
    from socket import socket

_NAME = "_async_create_connection"
_connected: Any = getattr(pool_shared, _NAME, None)


def mongo_client(url: str, **options: Any) -> AsyncMongoClient[dict[str, Any]]:
    """A client with these options of pymongo's; it connects at the first operation."""
    return AsyncMongoClient(url, tz_aware=True, **options)


async def _connect(*arguments: Any) -> socket:
    try:
        connected: socket = await _connected(*arguments)
    except BaseException as error:
        for frame, _ in walk_tb(error.__traceback__):
            if frame.f_code is _connected.__code__ and (made := frame.f_locals.get("sock")):
                made.close()
        raise
    return connected


if _connected is not None:
    setattr(pool_shared, _NAME, _connect)
