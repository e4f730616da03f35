"""What plugins do with Redis by themselves, through vcon-server's modules for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from core.errors import UnavailableError
from lib import context_utils, error_tracking, redis_mgr
from lib.vcon_server import aliases
from pipeline.redis_client import client as connection
from pipeline.redis_client.client import RedisConnection


@pytest.fixture(autouse=True)
def installed(redis_url: str) -> Iterator[None]:
    """The process has a connection."""
    connection.install(RedisConnection(redis_url))
    yield
    connection._installed.clear()


def test_keys_are_written_read_listed_and_removed() -> None:
    """As JSON documents, by the client that the process has anyway."""
    assert redis_mgr.get_key("a:1") is None
    redis_mgr.set_key("a:1", {"x": [1]})
    redis_mgr.set_key("a:2", "text")
    assert (redis_mgr.get_key("a:1"), redis_mgr.get_key("a:2")) == ({"x": [1]}, "text")
    assert sorted(redis_mgr.show_keys("a:*")) == ["a:1", "a:2"]
    assert (redis_mgr.delete_key("a:1"), redis_mgr.delete_key("a:1")) == (1, 0)
    assert redis_mgr.redis.json().get("a:2") == redis_mgr.get_client().json().get("a:2") == "text"


async def test_plugins_import_the_client_before_there_is_a_connection(redis_url: str) -> None:
    """As they do when they are loaded; it is the one that the process has when it is used."""
    ours = connection._installed.pop()
    for name in ("lib.redis_mgr", "redis_mgr"):
        sys.modules.pop(name, None)
    aliases.install()
    namespace: dict[str, Any] = {}
    exec("from redis_mgr import redis, get_async_client", namespace)
    redis, later = namespace["redis"], RedisConnection(redis_url)
    with pytest.raises(UnavailableError):
        redis.get("a:3")
    connection.install(later)
    assert redis.set("a:3", "text") is True
    assert await (await namespace["get_async_client"]()).get("a:3") == "text"
    await later.close()
    await ours.close()


def test_a_context_travels_with_a_uuid(redis_url: str) -> None:
    """First in, first out, with either client, and kept for a day."""
    first, second = {"trace_id": "a"}, {"trace_id": "b"}
    with Redis.from_url(redis_url, decode_responses=True) as client:
        context_utils.store_context_sync(client, "in", "u-1", first)

        async def later() -> None:
            async with AsyncRedis.from_url(redis_url) as redis:
                await context_utils.store_context_async(redis, "in", "u-1", second)

        asyncio.run(later())
        assert 0 < client.ttl("context:in:u-1") <= context_utils.DAY
        taken = [context_utils.retrieve_context(client, "in", "u-1") for _ in range(3)]
    assert taken == [first, second, None]
    assert context_utils.extract_otel_trace_context() is None


@pytest.mark.parametrize("garbage", ["{", "7", '"x"', "[]", "null", ""])
def test_what_is_no_context_is_none(redis_url: str, garbage: str) -> None:
    """It is taken out all the same, and the next one is found."""
    with Redis.from_url(redis_url) as client:
        client.rpush("context:in:u-2", garbage, '{"trace_id": "a"}')
        taken = [context_utils.retrieve_context(client, "in", "u-2") for _ in range(3)]
    assert taken == [None, {"trace_id": "a"}, None]


def test_a_context_that_cannot_be_read_is_none(caplog: pytest.LogCaptureFixture) -> None:
    """With a line in the log, as for one that cannot be kept."""
    with Redis.from_url("redis://127.0.0.1:1") as nowhere:
        assert context_utils.retrieve_context(nowhere, "in", "u-1") is None
    assert "trace context not read" in caplog.text


def test_a_context_that_cannot_be_kept_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""
    nowhere = Redis.from_url("redis://127.0.0.1:1")
    context_utils.store_context_sync(nowhere, "in", "u-1", {})
    assert "trace context not stored" in caplog.text
    nowhere.close()


def test_reported_errors_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """With their traceback; switching the tracking on does nothing else."""
    error_tracking.init_error_tracker()
    error_tracking.init_sentry()
    try:
        int("no number")
    except ValueError as error:
        error_tracking.capture_exception(error)
    assert "ValueError: invalid literal" in caplog.text
