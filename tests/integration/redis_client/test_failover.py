"""The client follows a primary that moves: by sentinels, and behind one address."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from core.errors import UnavailableError
from devstack.servers.folders import temporary_folder
from devstack.servers.ports import HOST
from devstack.servers.sentinels import Sentinels
from pipeline.admin.redis_checks import shortcomings
from pipeline.redis_client import client as redis_client
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.driver import batches
from pipeline.redis_client.driver.batches import ReplicaWait, TooFewReplicasError
from pipeline.redis_client.driver.pools import RedisAccess
from pipeline.redis_client.errors import with_remedy
from tests.integration.redis_client.doors import door

PAGE = Path(__file__).parents[3] / "docs" / "redis-acl.md"
CEILING = 60.0
NEVER = 10 * CEILING
"""Seconds: what has ended before was not ended by its time limit."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies are waited for as if for ever."""
    for module in (batches, redis_client):
        monkeypatch.setattr(module, "REPLY_SECONDS", NEVER)


@pytest.fixture(scope="module")
def group() -> Iterator[Sentinels]:
    """The servers; each test leaves the two in sync."""
    with temporary_folder() as folder, Sentinels(folder, password="pa55") as started:
        yield started


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """One thread, so that it keeps its connection."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
async def redis(patient: None, group: Sentinels) -> AsyncIterator[RedisConnection]:
    """Connected by way of the sentinels."""
    opened = RedisConnection(group.url)
    yield opened
    await opened.close()


def ways(redis: RedisConnection, thread: ThreadPoolExecutor) -> list[Callable[..., Awaitable[Any]]]:
    """Every way to send a command."""

    def in_thread(call: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        return lambda *words: asyncio.wrap_future(thread.submit(call, *words))

    return [
        redis.command,
        in_thread(redis.command_from_thread),
        redis.asynchronous.execute_command,
        in_thread(redis.sync.execute_command),
    ]


async def test_every_connection_follows_the_sentinels(
    group: Sentinels, redis: RedisConnection, thread: ThreadPoolExecutor
) -> None:
    """After a promotion each way takes writes, and what was blocked at the old primary ends."""
    for number, ask in enumerate(ways(redis, thread)):
        assert await ask("RPUSH", f"before:{number}", "x") == 1
    waiting = asyncio.create_task(redis.wait_for_element("empty", NEVER))
    heard = redis.messages("channel")
    assert await anext(heard) == ""
    message = asyncio.ensure_future(anext(heard))
    await asyncio.to_thread(group.fail_over)
    await asyncio.to_thread(group.wait_until_in_sync)  # the former primary takes no writes now
    async with asyncio.timeout(CEILING):
        for number, ask in enumerate(ways(redis, thread)):
            assert await ask("RPUSH", f"after:{number}", "x") == 1
        for blocked in (waiting, message):
            with pytest.raises(UnavailableError):
                await blocked
    with group.client(group.primary) as client:
        assert [client.llen(f"after:{number}") for number in range(4)] == [1, 1, 1, 1]


async def test_a_primary_that_does_not_answer_is_left(
    group: Sentinels, redis: RedisConnection
) -> None:
    """Commands in flight, blocking ones and subscriptions do not wait for it any longer."""
    await redis.command("SET", "a", 1)
    heard = redis.messages("channel")
    assert await anext(heard) == ""
    message = asyncio.ensure_future(anext(heard))
    frozen = group.primary
    frozen.freeze()
    insisting = asyncio.create_task(redis.insist(lambda: redis.command("SET", "a", 2)))
    lost = asyncio.create_task(redis.command("RPUSH", "list", "x"))
    await asyncio.to_thread(group.wait_for_promotion)
    async with asyncio.timeout(CEILING):
        assert await insisting == "OK"
        for failed in (lost, message):
            with pytest.raises(UnavailableError):
                await failed
    assert await redis.command("GET", "a") == "2"
    frozen.thaw()
    await asyncio.to_thread(group.wait_until_in_sync)


async def test_an_address_may_lead_to_another_server(
    group: Sentinels, thread: ThreadPoolExecutor
) -> None:
    """A write that the former primary refuses is sent to the new one, once, by every way."""
    async with door(group.primary.port) as entrance:
        redis = RedisConnection(entrance.url.replace("redis://", "redis://:pa55@"))
        every = ways(redis, thread)
        for number, ask in enumerate(every):
            await ask("DEL", f"list:{number}")
        waiting = asyncio.create_task(redis.wait_for_element("empty", 60))
        await asyncio.to_thread(group.fail_over)
        await asyncio.to_thread(group.wait_until_in_sync)
        entrance.port = group.primary.port
        for number, ask in enumerate(every):
            assert await ask("RPUSH", f"list:{number}", "x") == 1
        with pytest.raises(UnavailableError):
            await waiting
        await redis.close()


async def test_replicas_must_have_what_is_accepted(group: Sentinels) -> None:
    """Without them an accepting script fails, also one that writes nothing; others do not."""
    redis = RedisConnection(group.url, wait=ReplicaWait(1, 0.2))

    async def accepted() -> Any:
        return await redis.script("enqueue", "list", 100, "", "", 1, "unknown")

    assert await accepted() == ["unknown"]
    group.stop_link()
    refused, other = await asyncio.gather(
        accepted(), redis.command("SET", "other", 1), return_exceptions=True
    )
    assert isinstance(refused, TooFewReplicasError)
    [told] = [each for each in await shortcomings(redis) if "REPLICAS" in each]
    assert told == ("nothing is accepted (503): REDIS_WAIT_REPLICAS is 1, and Redis has 0 replicas")
    assert "0 of 1 replicas of Redis (REDIS_WAIT_REPLICAS) had the write within 0.2 s" in str(
        refused
    )
    assert other == "OK"
    await asyncio.to_thread(group.restore_link)
    assert await accepted() == ["unknown"]
    assert redis.outages == 0
    await redis.close()


async def test_sentinels_that_know_no_such_primary(group: Sentinels) -> None:
    """What is wrong is told, with what to do and without the password."""
    url = group.url.replace("mymaster", "other")
    redis = RedisConnection(url)
    with pytest.raises(UnavailableError) as raised:
        await redis.command("PING")
    told = str(with_remedy(raised.value, url))
    assert told.startswith(f"REDIS_URL, other of the sentinels {HOST}:{group.ports[0]}, ")
    assert "no sentinel names a primary that runs" in told
    assert "pa55" not in told
    with pytest.raises(UnavailableError):
        await asyncio.to_thread(redis.command_from_thread, "PING")
    await redis.close()


async def test_sentinels_with_a_user_of_their_own(group: Sentinels) -> None:
    """It needs the rights of the page, and no more; its password is another one than Redis'."""
    [rights] = re.findall(r"`REDIS_SENTINEL_USER`\): `([^`]+)`", PAGE.read_text())
    for port in group.ports:
        with Redis(host=HOST, port=port) as sentinel:
            sentinel.execute_command("ACL", "SETUSER", "watcher", "on", ">w4tch", *rights.split())
    redis = RedisConnection(
        group.url, access=RedisAccess(sentinel_user="watcher", sentinel_password="w4tch")
    )
    assert await redis.command("PING") == "PONG"
    assert await asyncio.to_thread(redis.command_from_thread, "PING") == "PONG"
    with Redis(host=HOST, port=group.ports[0], decode_responses=True) as sentinel:
        assert "watcher" in {each["user"] for each in sentinel.client_list()}
    await redis.close()
    stranger = RedisConnection(
        group.url, access=RedisAccess(sentinel_user="watcher", sentinel_password="wrong")
    )
    with pytest.raises(UnavailableError):
        await stranger.command("PING")
    await stranger.close()


async def test_a_sentinel_may_be_away(group: Sentinels) -> None:
    """Also the first one."""
    group.kill_sentinel(0)
    redis = RedisConnection(group.url)
    assert await redis.command("PING") == "PONG"
    assert await asyncio.to_thread(redis.command_from_thread, "PING") == "PONG"
    await redis.close()
