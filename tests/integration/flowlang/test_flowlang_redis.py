"""The Redis plugin on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devstack.servers.valkey import Valkey
from flowlang import exceptions
from flowlang.connections.kept import KeptConnections
from flowlang.connections.redis import RedisPlugin
from flowlang.exceptions import FlowExecutionError


class Cache:
    """The plugin's tasks over its connection."""

    def __init__(self, plugin: RedisPlugin) -> None:
        self.plugin = plugin

    async def do(self, task: str, **parameters: Any) -> dict[str, Any]:
        """The outcome of one task."""
        connection = await self.plugin.get_connection()
        function = self.plugin.get_builtin_tasks()[f"redis_{task}"]
        outcome: dict[str, Any] = await function(connection=connection, **parameters)
        await self.plugin.release_connection(connection)
        return outcome


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[Cache]:
    """An empty Redis."""
    plugin = RedisPlugin()
    await plugin.connect({"type": "redis", "url": redis_url, "max_connections": 2})
    yield Cache(plugin)
    await plugin.disconnect()


async def test_texts_are_written_and_read(cache: Cache) -> None:
    """With and without a time to live; objects are kept as JSON text."""
    assert await cache.do("get", key="a") == {"value": None, "exists": False}
    assert await cache.do("set", key="a", value="x") == {"success": True}
    assert await cache.do("get", key="a") == {"value": "x", "exists": True}
    for value, text in (({"b": [1]}, '{"b": [1]}'), (True, "true"), (None, "null"), (7, "7")):
        await cache.do("set", key="a", value=value, ex=60)
        assert (await cache.do("get", key="a"))["value"] == text
    assert await cache.do("expire", key="a", seconds=0) == {"success": True}
    assert await cache.do("expire", key="a", seconds=9) == {"success": False}
    assert (await cache.do("get", key="a"))["exists"] is False


async def test_one_key_is_one_key(cache: Cache) -> None:
    """A text is not taken for a list of letters."""
    for key in ("ab", "a", "b"):
        await cache.do("set", key=key, value="x")
    assert await cache.do("exists", keys="ab") == {"count": 1, "exists": True}
    assert await cache.do("exists", keys=["a", "none"]) == {"count": 1, "exists": False}
    assert await cache.do("exists", keys=[]) == {"count": 0, "exists": False}
    assert await cache.do("delete", keys="ab") == {"deleted_count": 1}
    assert await cache.do("delete", keys=["a", "b", "none"]) == {"deleted_count": 2}
    assert await cache.do("delete", keys=[]) == {"deleted_count": 0}


async def test_numbers_and_hashes(cache: Cache) -> None:
    """Counting, and fields with any value."""
    assert await cache.do("incr", key="n") == {"value": 1}
    assert await cache.do("incr", key="n", amount=41) == {"value": 42}
    mapping = {"a": "x", "b": {"c": 1}}
    assert await cache.do("hset", key="h", mapping=mapping) == {"fields_set": 2}
    assert await cache.do("hset", key="h", mapping={"a": "y"}) == {"fields_set": 0}
    assert await cache.do("hset", key="h", mapping={}) == {"fields_set": 0}
    assert await cache.do("hgetall", key="h") == {"hash": {"a": "y", "b": '{"c": 1}'}}
    assert await cache.do("hgetall", key="none") == {"hash": {}}


async def test_what_redis_refuses_is_reported(cache: Cache) -> None:
    """In its words, under the name of the task."""
    await cache.do("set", key="a", value="x")
    with pytest.raises(FlowExecutionError, match=r"^Redis incr failed: .*not an integer"):
        await cache.do("incr", key="a")


async def test_a_server_that_is_not_there_is_reported_at_once() -> None:
    """And what was half opened can be closed."""
    plugin = RedisPlugin()
    assert plugin.validate_config({"url": "http://x"})[0] is False
    with pytest.raises(Exception, match="connect"):
        await plugin.connect({"url": "redis://127.0.0.1:1/0"})
    await plugin.disconnect()
    with pytest.raises(exceptions.ConnectionError):
        await plugin.get_connection()


async def test_a_server_that_went_away_is_noticed(reachable_folder: Path) -> None:
    """A check asks it; what does not answer is opened anew as soon as the server is back."""
    now, server = [0.0], Valkey.start(reachable_folder)
    kept = KeptConnections(clock=lambda: now[0])
    await kept.configure({"cache": {"type": "redis", "url": server.url}})
    assert await kept.check("cache") is None
    server.kill()
    assert "Failed to check 'cache' (redis): " in str(await kept.check("cache"))
    assert "Failed to connect 'cache' (redis): " in str(await kept.check("cache"))
    await asyncio.to_thread(server.restart)
    now[0] += 1.0
    assert await kept.check("cache") is None
    await kept.close()
    server.stop()
