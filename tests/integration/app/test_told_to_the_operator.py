"""What nothing else would show: ids that no chain reads, and a Redis without its data."""

from __future__ import annotations

import asyncio

import pytest
from redis import Redis

from core.observability.metrics import REDIS_LOSSES, UNREAD_DEPTH
from pipeline.admin.redis_checks import RedisIdentity
from pipeline.admin.unread_lists import UnreadLists, unread_at_a_glance
from pipeline.config.parser import Chain, PipelineConfig
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.pipeline_fixtures import new_uuid

LEFT = "ids are left in a list that no chain reads"
LOST = "redis has come back without its data"


def reading(*lists: str) -> PipelineConfig:
    """A configuration with one chain that reads these lists and writes `out`."""
    return PipelineConfig(
        chains={"main": Chain("main", ingress_lists=lists, egress_lists=("out",))}
    )


def told(caplog: pytest.LogCaptureFixture, message: str) -> list[tuple[object, object]]:
    """List and count of the log lines that say so."""
    return [
        (getattr(each, "list", None), getattr(each, "count", None))
        for each in caplog.records
        if each.getMessage() == message
    ]


def depths() -> dict[str, float]:
    """What `/metrics` says."""
    [family] = UNREAD_DEPTH.collect()
    return {sample.labels["list"]: sample.value for sample in family.samples}


async def test_a_list_that_lost_its_chain(
    redis: RedisConnection, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told of at the first look after the reload, once, and no more once a chain reads it."""
    configuration = Configuration(reading("calls", "empty"), Plugins())
    lists = UnreadLists(redis, configuration, 1000)
    await lists.look()
    client.rpush("calls", new_uuid(), new_uuid())
    client.rpush("out", new_uuid())
    configuration.adopt(Configuration(reading("others"), Plugins()))
    for _ in range(2):
        await lists.look()
    assert told(caplog, LEFT) == [("calls", 2)]
    assert depths() == {"calls": 2}
    client.rpush("empty", new_uuid())  # by a producer that does not know yet
    await lists.look()
    assert told(caplog, LEFT) == [("calls", 2), ("empty", 1)]
    configuration.adopt(Configuration(reading("calls", "empty"), Plugins()))
    await lists.look()
    assert depths() == {}


async def test_a_list_that_no_chain_ever_read(
    redis: RedisConnection, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Left from before the start: found by its uuids, beside lists and keys of other programs."""
    client.rpush("calls", new_uuid())
    client.rpush("run:gone", f"{new_uuid()} x")
    client.rpush("jobs", "not a uuid")
    client.rpush("DLQ:calls", new_uuid())
    client.set("text", "x")
    configuration = Configuration(reading("others"), Plugins())
    await UnreadLists(redis, configuration, 1000).look()
    assert sorted(told(caplog, LEFT)) == [("calls", 1), ("run:gone", 1)]
    glance = await unread_at_a_glance(redis, configuration.config)
    assert glance == {"calls": 1, "run:gone": 1}


async def test_a_list_that_another_replica_reads(
    redis: RedisConnection, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """While replicas are replaced, those with the old file still read it: nothing is said."""
    client.rpush("calls", new_uuid())
    await UnreadLists(redis, Configuration(reading("calls"), Plugins()), 1000).look()
    newer = UnreadLists(redis, Configuration(reading("others"), Plugins()), 1000)
    await newer.look()
    assert told(caplog, LEFT) == []
    client.zadd(keys.LISTS, {"calls": 1})  # long ago
    await newer.look()
    assert told(caplog, LEFT) == [("calls", 1)]


async def test_a_key_of_another_type_is_no_list(redis: RedisConnection, client: Redis) -> None:
    """A name that was noted and holds something else now stops nothing."""
    client.set("calls", "x")
    client.zadd(keys.LISTS, {"calls": 1})
    await UnreadLists(redis, Configuration(reading("others"), Plugins()), 1000).look()
    assert depths() == {}


async def test_a_redis_that_has_come_back_empty(
    redis: RedisConnection, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Each process says so once, however many write the new name."""
    losses = REDIS_LOSSES._value.get()
    replicas = [RedisIdentity(redis) for _ in range(3)]
    await asyncio.gather(*(each.look() for each in replicas))
    assert client.hlen(keys.EPOCH) == 1
    await asyncio.gather(*(each.look() for each in replicas))
    assert told(caplog, LOST) == []
    client.flushall()
    for _ in range(2):
        await asyncio.gather(*(each.look() for each in replicas))
    assert len(told(caplog, LOST)) == 3
    assert REDIS_LOSSES._value.get() - losses == 3
