"""The backlog of lists, and its samples: one a minute, from the first replica."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from pipeline.minutes import backlog as module
from pipeline.minutes.backlog import Backlog, BacklogReader, BacklogSamples, Waiting
from pipeline.minutes.reading import MinuteReader
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.pipeline_fixtures import configured


def fill(client: Redis) -> None:
    """A list, its suspects, retries and what a worker has in flight, and keys of other programs."""
    client.rpush("in", "a", "b", "c")
    client.rpush("pc:suspects:in", "d")
    client.zadd("pc:later", {"in\ne": 1, "in\nf": 2, "run:main\ng|r": 3, "no list": 4})
    client.sadd("pc:workers", "one", "gone", "foreign")
    client.hset("pc:inflight:one", mapping={"h": "1\nr\nin\nh", "i": "2\nr\nrun:main\ni|r"})
    client.hset("pc:inflight:one", "j", "not ours")
    client.set("pc:inflight:foreign", "x")
    client.set("foreign", "x")


async def test_a_backlog_has_everything_that_has_not_ended(
    redis: RedisConnection, client: Redis
) -> None:
    """Waiting (suspects included), delayed and in flight; a list of another type has nothing."""
    fill(client)
    found = await BacklogReader(redis).read(["in", "run:main", "foreign", "absent"])
    assert found == Backlog(
        {
            "in": Waiting(4, 2, 1),
            "run:main": Waiting(0, 1, 1),
            "foreign": Waiting(),
            "absent": Waiting(),
        },
        delayed=4,
    )
    assert found.of(["in", "run:main", "unknown"]) == Waiting(4, 3, 2)
    assert found.of(["in"]).all == 7
    assert client.keys("pc:minutes:*") == []
    assert await BacklogReader(redis).read([]) == Backlog(delayed=4)


async def test_many_retries_are_extrapolated(redis: RedisConnection, client: Redis) -> None:
    """Of very many, a random part is looked at."""
    client.zadd("pc:later", {f"in\n{n}": n for n in range(9000)})
    client.zadd("pc:later", {f"other\n{n}": n for n in range(1000)})
    found = await BacklogReader(redis).read(["in", "other"])
    assert found.delayed == 10_000
    assert found.lists["in"].delayed == pytest.approx(9000, rel=0.1)
    assert found.lists["other"].delayed == pytest.approx(1000, rel=0.6)


async def test_the_first_sample_of_a_minute_stays(
    redis: RedisConnection, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replica's comes too late; one configuration's lists may be many calls."""
    monkeypatch.setattr(module, "AT_ONCE", 2)
    fill(client)
    configuration = configured(ingress=("in", "foreign"))
    samples = BacklogSamples(redis, configuration)
    await samples.take()
    now = int(client.time()[0]) // 60
    client.rpush("in", "x", "y")
    await BacklogSamples(redis, configuration).take()
    hour = await MinuteReader(redis).hour()
    kept: list[dict[str, Any]] = [
        {name: m.sample("waiting", name) for name in ("in", "run:main", "foreign")}
        for m in hour.minutes
        if m.numbers and m.number <= now
    ]
    assert kept[0] == {"in": 4, "run:main": 0, "foreign": 0}
    first = next(m for m in hour.minutes if m.numbers)
    assert (first.sample("delayed", "in"), first.sample("in_flight", "in")) == (2, 1)


async def test_a_minute_that_is_full_takes_no_sample(
    redis: RedisConnection, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of fields is bounded here, too."""
    monkeypatch.setattr(module, "MOST_FIELDS", 0)
    fill(client)
    await BacklogSamples(redis, configured()).take()
    assert client.keys("pc:minutes:*") == []
