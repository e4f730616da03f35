"""Peers that never answer, and which sockets of this process are open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.servers.ports import HOST

QUEUED = 3
"""Connections that fill the queue of a server that accepts none; the next ones are not answered."""


@contextmanager
def unconnectable() -> Iterator[int]:
    """The port of a peer to which attempts to connect neither succeed nor fail."""
    with contextlib.ExitStack() as open_sockets:
        server = open_sockets.enter_context(socket.socket())
        server.bind((HOST, 0))
        server.listen(0)
        for _ in range(QUEUED):
            queued = open_sockets.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@contextmanager
def silent() -> Iterator[int]:
    """The port of a peer to which all can connect, and which sends nothing."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen(100)
        yield server.getsockname()[1]


def open_sockets() -> dict[int, str]:
    """The sockets of this process: descriptor and inode."""
    found = {}
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if (target := str(each.readlink())).startswith("socket:"):
                found[int(each.name)] = target
    return found


async def some_opened(before: dict[int, str]) -> None:
    """Wait until there is a socket that was not there before."""
    await _until(lambda: not open_sockets().items() <= before.items())


async def those_closed(before: dict[int, str]) -> None:
    """Wait until there is no socket that was not there before."""
    await _until(lambda: open_sockets().items() <= before.items())


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 -- the kernel tells nothing of it
        await asyncio.sleep(0.001)
