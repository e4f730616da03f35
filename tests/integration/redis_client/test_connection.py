"""The one way to Redis: batching, scripts, outages, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from core.errors import UnavailableError
from devstack.servers.valkey import Valkey
from pipeline.redis_client import client as connections
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.errors import counted
from pipeline.redis_client.script_texts import script_texts

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
async def lonely() -> AsyncIterator[RedisConnection]:
    """A connection to a port without a server."""
    lonely = RedisConnection(NOWHERE)
    yield lonely
    await lonely.close()


def reads(client: Redis) -> int:
    """How often the server has read something from a socket."""
    return int(client.info("stats")["total_reads_processed"])


async def test_commands_of_one_turn_travel_together(redis: RedisConnection, client: Redis):
    """A hundred commands given at once reach the server in a few reads, not in a hundred."""
    await redis.command("PING")
    before = reads(client)
    await asyncio.gather(*(redis.command("SET", f"key:{n}", n) for n in range(100)))
    assert reads(client) - before < 10
    assert client.dbsize() == 100


async def test_each_caller_gets_its_own_reply(redis: RedisConnection):
    """Replies of a batch go to those who asked, an error to the one whose command it was."""
    await redis.command("SET", "text", "x")
    replies = await asyncio.gather(
        redis.command("GET", "text"),
        redis.command("LPUSH", "text", "y"),
        redis.command("LLEN", "nothing"),
        return_exceptions=True,
    )
    assert (replies[0], replies[2]) == ("x", 0)
    assert isinstance(replies[1], CommandRefused)


async def test_what_is_no_redis_is_told():
    """Such as the port of a web server in `REDIS_URL`."""

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        redis = RedisConnection(f"redis://127.0.0.1:{port}/0")
        with pytest.raises(UnavailableError, match="is no Redis: check the host and the port"):
            await redis.command("PING")
        await redis.close()


async def test_words_that_cannot_be_sent_hurt_only_who_gave_them(redis: RedisConnection):
    """Half a surrogate pair is refused; the neighbours of the same turn are served."""
    bad, good = await asyncio.gather(
        redis.command("SET", "a", "\ud800"), redis.command("SET", "b", 1), return_exceptions=True
    )
    assert isinstance(bad, UnicodeEncodeError)
    assert good == "OK"


async def test_a_caller_that_gave_up_does_no_harm(redis: RedisConnection):
    """When one caller is cancelled in mid-flight, the others still get what they asked for."""
    hasty = asyncio.create_task(redis.command("SET", "a", 1))
    patient = asyncio.create_task(redis.command("SET", "b", 2))
    await asyncio.sleep(0)
    hasty.cancel()
    assert await patient == "OK"
    assert await redis.command("GET", "b") == "2"


async def test_commands_of_different_turns_are_served_side_by_side(redis: RedisConnection):
    """A late reply does not delay later commands."""
    slow = asyncio.create_task(redis.command("BLPOP", "empty", 5))
    await asyncio.sleep(0.01)
    assert await redis.command("PING") == "PONG"
    await redis.command("RPUSH", "empty", "x")
    assert await slow == ["empty", "x"]


async def test_a_script_is_loaded_again_when_the_server_forgot_it(
    redis: RedisConnection, client: Redis
):
    """After SCRIPT FLUSH, as after a restart, callers notice nothing."""
    assert await redis.script("present", "a") == [0]
    client.script_flush()
    assert await asyncio.gather(*(redis.script("present", "a") for _ in range(5))) == [[0]] * 5
    client.script_flush()
    assert await asyncio.to_thread(redis.script_from_thread, "present", "a") == [0]


async def test_every_script_is_one_that_the_server_can_read(redis: RedisConnection):
    """No file of `pipeline/redis_client/scripts/` has a mistake that only its use would show."""
    for name, text in script_texts().items():
        assert await redis.command("SCRIPT", "LOAD", text), name


async def test_a_server_that_is_not_there_is_unavailable(lonely: RedisConnection):
    """Every way to ask says so in the service's own terms, and counts it for the caller."""
    with counted() as failures:
        with pytest.raises(UnavailableError):
            await lonely.command("PING")
        with pytest.raises(UnavailableError):
            await lonely.script("present", "a")
        with pytest.raises(UnavailableError):
            await lonely.wait_for_element("list", 1)
        with pytest.raises(UnavailableError):
            await asyncio.to_thread(lonely.command_from_thread, "PING")
        with pytest.raises(UnavailableError):
            await asyncio.to_thread(lonely.script_from_thread, "present", "a")
        with pytest.raises(UnavailableError):
            await anext(lonely.messages("channel"))
        with pytest.raises(RedisConnectionError):
            await lonely.asynchronous.ping()
        with pytest.raises(RedisConnectionError):
            await asyncio.to_thread(lonely.sync.ping)
    assert not await lonely.reachable()
    assert (failures.count, failures.no_memory) == (7, 0)
    assert lonely.outages >= 6


async def test_all_neighbours_hear_that_the_server_is_away(lonely: RedisConnection):
    """A batch that cannot be sent fails for each of its callers."""
    replies = await asyncio.gather(
        *(lonely.command("PING") for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(reply, UnavailableError) for reply in replies)
    assert len({id(reply) for reply in replies}) == 5


async def test_a_full_server_is_one_to_wait_for(redis: RedisConnection, client: Redis):
    """Out of memory is no fault of the caller: it is told to try again, in a script, too."""
    client.config_set("maxmemory", 1)
    try:
        with counted() as failures, pytest.raises(UnavailableError, match="takes no commands"):
            await redis.command("SET", "a", 1)
        with pytest.raises(UnavailableError, match="takes no commands"):
            await redis.script("restore", "a", "{}", 0)
        assert not await redis.reachable()
        with pytest.raises(UnavailableError, match="takes no commands"):
            await asyncio.to_thread(redis.command_from_thread, "SET", "a", 1)
    finally:
        client.config_set("maxmemory", 0)
    assert (failures.count, failures.no_memory) == (1, 1)
    assert redis.outages == 0
    assert await redis.reachable()


async def test_a_server_that_became_a_replica_is_left(redis: RedisConnection, client: Redis):
    """The next command goes to the server that has the address then; from a thread, too."""
    with ThreadPoolExecutor(1) as thread:
        ways = [
            redis.command,
            lambda *words: asyncio.wrap_future(thread.submit(redis.command_from_thread, *words)),
        ]
        for ask in ways:
            before = await ask("CLIENT", "ID")
            assert await ask("CLIENT", "ID") == before
            client.replicaof("127.0.0.1", 1)
            try:
                with pytest.raises(UnavailableError, match="takes no commands"):
                    await ask("SET", "a", 1)
            finally:
                client.replicaof("NO", "ONE")
            assert await ask("CLIENT", "ID") != before


async def test_waiting_for_an_element_takes_nothing(redis: RedisConnection, client: Redis):
    """The wait ends when there is an element, and the list is as it was."""
    waiting = asyncio.create_task(redis.wait_for_element("list", 5))
    client.rpush("list", "a", "b")
    assert await waiting
    assert client.lrange("list", 0, -1) == ["a", "b"]


async def test_waiting_for_an_element_ends(redis: RedisConnection):
    """Nothing came: False, even after less than a second."""
    assert not await redis.wait_for_element("list", 0.01)


async def test_messages_say_when_they_begin(redis: RedisConnection, client: Redis):
    """The first item is empty; all messages published after it are received."""
    heard = redis.messages("channel")
    assert await anext(heard) == ""
    client.publish("channel", "one")
    assert await anext(heard) == "one"
    await heard.aclose()


async def test_insisting_outlasts_an_outage_and_says_so_once(
    reachable_folder: Path, news: asyncio.Queue[str]
):
    """Many callers wait while the server is away, two lines are logged, all get their reply."""
    server = Valkey.start(reachable_folder)
    redis = RedisConnection(server.url)
    try:
        await redis.command("SET", "a", 1)
        server.kill()
        waiting = [
            asyncio.create_task(redis.insist(lambda: redis.command("GET", "a"))) for _ in range(8)
        ]
        assert await news.get() == "Redis unavailable; waiting"
        await asyncio.to_thread(server.restart)
        assert await asyncio.gather(*waiting) == ["1"] * 8
        assert await news.get() == "Redis available again"
        assert news.empty()
        assert await asyncio.to_thread(redis.command_from_thread, "GET", "a") == "1"
    finally:
        await redis.close()
        server.stop()


async def test_only_an_outage_is_outlasted(redis: RedisConnection):
    """An operation that fails for its own reasons is not repeated."""
    with pytest.raises(CommandRefused):
        await redis.insist(lambda: redis.command("NO-SUCH-COMMAND"))


async def test_plugins_find_the_connection_of_their_process(redis: RedisConnection):
    """What was installed is what `lib` gets; with nothing installed it is told so."""
    assert connections.installed() is redis
    connections._installed.clear()
    with pytest.raises(UnavailableError, match="no Redis connection"):
        connections.installed()


async def test_what_was_given_before_the_end_is_answered(redis_url: str):
    """Also a command that is not on its way yet; no connection is opened after the end."""
    connection = RedisConnection(redis_url)
    asking = asyncio.create_task(connection.command("SET", "given", "1"))
    await asyncio.sleep(0)
    assert connection._pending
    await connection.close()
    assert asking.done()
    assert await asking == "OK"
    pools = connection._pools._pools
    assert not any(each.is_connected for pool in pools for each in pool._available_connections)
