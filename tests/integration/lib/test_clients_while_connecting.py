"""Clients that are cancelled, or closed, while they connect leave no socket open."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import pytest

from devstack.servers.ports import HOST
from lib.web import http_client
from tests.integration.support.flowlang_databases import NAME, manager
from tests.integration.support.unanswering import (
    open_sockets,
    silent,
    some_opened,
    those_closed,
    unconnectable,
)
from tests.plugins.scene import Later

elasticsearch, mongo, websockets, openai = map(
    Later,
    ("storage.elasticsearch", "storage.mongo", "websockets", "openai"),
)
UUID = "00000000-0000-8000-8000-000000000000"
SQL = {"user": "a", "password": "b", "database": "c"}


async def nothing() -> None:
    """For clients that are closed where they are used."""


def closing(module: Later) -> Callable[[], Awaitable[object]]:
    """Its `close`, without an import now."""
    return lambda: cast("Awaitable[object]", module.close())


@dataclass(frozen=True)
class Client:
    """How one is used with a peer at a port, and closed."""

    use: Callable[[int], Awaitable[object]]
    close: Callable[[], Awaitable[object]] = nothing


async def flow(**config: object) -> None:
    """Open a connection of flows."""
    async with manager({**config}) as connections, connections.lent(NAME):
        pass


async def vendors_library(port: int) -> None:
    """A library that gets our client."""
    given = {"api_key": "x", "base_url": f"http://{HOST}:{port}/", "max_retries": 0}
    await openai.AsyncOpenAI(**given, http_client=http_client.following_client()).models.list()


def at(scheme: str, port: int) -> dict[str, str]:
    """The URL, as most configurations have it."""
    return {"url": f"{scheme}://{HOST}:{port}/"}


def http(scheme: str) -> Client:
    """The client that links share."""
    return Client(
        lambda port: http_client.shared_client().get(**at(scheme, port)), http_client.close
    )


def stored_in_mongodb(*, tls: bool) -> Client:
    """The storage, which has a client of pymongo's."""
    return Client(lambda port: mongo.get(UUID, {**at("mongodb", port), "tls": tls}), closing(mongo))


CLIENTS = {
    "http": http("http"),
    "https": http("https"),
    "openai": Client(vendors_library, http_client.close),
    "elasticsearch": Client(
        lambda port: elasticsearch.delete(UUID, at("http", port)), closing(elasticsearch)
    ),
    "mongo": stored_in_mongodb(tls=False),
    "mongo, TLS": stored_in_mongodb(tls=True),
    "flows: mongodb": Client(
        lambda port: flow(type="mongodb", database="c", **at("mongodb", port))
    ),
    "flows: mysql": Client(lambda port: flow(type="mysql", host=HOST, port=port, **SQL)),
    "flows: redis": Client(lambda port: flow(type="redis", **at("redis", port))),
    "flows: redis, TLS": Client(lambda port: flow(type="redis", **at("rediss", port))),
    "websocket": Client(lambda port: websockets.connect(f"ws://{HOST}:{port}")),
    "websocket, TLS": Client(lambda port: websockets.connect(f"wss://{HOST}:{port}")),
}


async def ended(client: Client, port: int, *, cancelled_first: bool) -> None:
    """Use the client until it connects, and end it."""
    before = open_sockets()
    using = asyncio.ensure_future(client.use(port))
    await some_opened(before)
    if cancelled_first:
        using.cancel()
        await asyncio.wait([using])
    await client.close()
    using.cancel()
    await asyncio.wait([using])
    del using  # its error may hold what it was about
    await those_closed(before)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CLIENTS)
def test_no_socket_stays_open(name: str) -> None:
    """Neither when the peer cannot be reached, nor when it says nothing; without the collector."""
    gc.collect()
    gc.disable()
    try:
        for peer in (unconnectable, silent):
            for cancelled_first in (True, False):
                with peer() as port:
                    asyncio.run(ended(CLIENTS[name], port, cancelled_first=cancelled_first))
    finally:
        gc.enable()
