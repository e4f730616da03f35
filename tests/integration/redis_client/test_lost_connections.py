"""Connections that end: a stale one is no error, and only what is idempotent is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from core.concurrency.backoff import Backoff
from core.errors import UnavailableError
from devstack.servers.valkey import Valkey
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.driver.repeatable import is_idempotent
from pipeline.redis_client.errors import OutageRetry
from tests.integration.redis_client.doors import Door, door

type Way = Callable[..., Awaitable[Any]]


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """One thread, so that it keeps its connection."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def ways(redis: RedisConnection, thread: ThreadPoolExecutor) -> list[Way]:
    """Every way to send a command."""

    def in_thread(call: Callable[..., Any]) -> Way:
        return lambda *words: asyncio.wrap_future(thread.submit(call, *words))

    return [
        redis.command,
        in_thread(redis.command_from_thread),
        redis.asynchronous.execute_command,
        in_thread(redis.sync.execute_command),
    ]


async def test_the_first_command_after_a_restart_succeeds(
    reachable_folder: Path, thread: ThreadPoolExecutor
) -> None:
    """By every way, and for what may not be repeated, before the event loop has seen the end."""
    server = Valkey.start(reachable_folder)
    redis = RedisConnection(server.url)
    try:
        for number, ask in enumerate(ways(redis, thread)):
            assert await ask("RPUSH", f"list:{number}", "x") == 1
        server.kill()
        server.restart()  # the event loop waits meanwhile
        for number, ask in enumerate(ways(redis, thread)):
            assert await ask("RPUSH", f"list:{number}", "x") == 2
        assert await redis.script("present", "a") == [0]
    finally:
        await redis.close()
        server.stop()


async def test_all_pooled_connections_may_be_stale(reachable_folder: Path) -> None:
    """None of them is met later either, also if the event loop has seen that they ended."""
    server = Valkey.start(reachable_folder)
    redis = RedisConnection(server.url)

    async def popped() -> list[Any]:
        """One element of each list; each command has a turn of its own, and so a connection."""
        waiting = []
        for number in range(8):
            waiting.append(asyncio.create_task(redis.command("BLPOP", f"list:{number}", 5)))
            await asyncio.sleep(0)
        return await asyncio.gather(*waiting)

    try:
        for number in range(8):
            await redis.command("RPUSH", f"list:{number}", "a", "b", "c")
        for element in "abc":
            assert await popped() == [[f"list:{number}", element] for number in range(8)]
            await asyncio.to_thread(server.restart)
    finally:
        await redis.close()
        server.stop()


@pytest.fixture
async def entrance(redis_url: str, client: Redis) -> AsyncIterator[Door]:
    """A door before an empty Redis."""
    async with door(urlsplit(redis_url).port or 6379) as opened:
        yield opened


@pytest.mark.parametrize("number", range(4))
async def test_what_is_idempotent_is_sent_again(
    number: int, entrance: Door, client: Redis, thread: ThreadPoolExecutor
) -> None:
    """The connection is lost after Redis has executed the command; the caller gets its reply."""
    redis = RedisConnection(entrance.url)
    ask = ways(redis, thread)[number]
    await ask("SET", "key", "first")
    entrance.cut_reply_to = b"second"
    assert await ask("SET", "key", "second") in ("OK", True)
    assert client.get("key") == "second"
    entrance.cut_reply_to = b"counter"
    with pytest.raises((UnavailableError, RedisConnectionError)):
        await ask("INCR", "counter")
    assert client.get("counter") == "1"
    await redis.close()


async def test_scripts_of_the_service_are_sent_again(entrance: Door) -> None:
    """From the event loop and from threads."""
    redis = RedisConnection(entrance.url)
    for ask in (redis.script, lambda *words: asyncio.to_thread(redis.script_from_thread, *words)):
        assert await ask("present", "a") == [0]
        entrance.cut_reply_to = b"some-vcon"
        assert await ask("present", "some-vcon") == [0]
    await redis.close()


async def test_a_server_that_refuses_writes_is_not_asked_without_pause() -> None:
    """Each refusal leaves its connections; that ends the wait before the next attempt once."""
    retry, attempts = OutageRetry(Backoff(first=60.0, cap=60.0)), 0

    async def refused() -> None:
        nonlocal attempts
        attempts += 1
        asyncio.get_running_loop().call_soon(retry.wake)
        raise UnavailableError

    waiting = asyncio.create_task(retry.insist(refused))
    for _ in range(100):  # turns of the event loop
        await asyncio.sleep(0)
    assert attempts == 2
    waiting.cancel()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("GET", "a"), True),
        (("get", "a"), True),
        (("SET", "a", "NX"), True),
        (("SET", "a", 1, "EX", 60), True),
        (("SET", "a", 1, "NX"), False),
        (("SET", "a", 1, "EX", 60, "GET"), False),
        (("SET", "a", 1, "px", b"5"), False),
        (("EXPIRE", "a", 60), True),
        (("EXPIRE", "a", 60, "NX"), False),
        (("JSON.SET", "a", "$", "1"), True),
        (("JSON.SET", "a", "$", "1", "NX"), False),
        (("JSON.ARRAPPEND", "a", "$", "1"), False),
        (("SADD", "a", "b"), False),
        (("DEL", "a"), False),
        (("HSETNX", "a", "b", 1), False),
        (("BLPOP", "a", 1), False),
        (("CONFIG", "GET", "x"), True),
        (("CONFIG", "SET", "x", 1), False),
        (("SLOWLOG", "RESET"), False),
        (("SCRIPT", "LOAD", "x"), True),
        (("SCRIPT", "FLUSH"), False),
        (("EVAL", "x", 0), False),
        (("MULTI",), False),
        ((), False),
        ((b"GET", "a"), False),
    ],
)
def test_what_is_idempotent(words: tuple[Any, ...], expected: bool) -> None:
    """By the command and its options."""
    assert is_idempotent(words) is expected
