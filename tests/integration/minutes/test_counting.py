"""What a process counts is in the minutes of Redis, once, also when replies are lost."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from redis import Redis

from core.errors import UnavailableError
from core.observability.metrics import LONG_SECONDS
from core.observability.outcome_metrics import Outcomes
from pipeline.minutes import counting
from pipeline.minutes.counting import MinuteCounts, OutcomeSource, partner_source, run_sources
from pipeline.minutes.fields import KEPT_SECONDS, MOST_FIELDS, OTHER
from pipeline.minutes.histogram import Histogram, summed
from pipeline.minutes.reading import HOUR, Minute, MinuteReader, read_minute
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.pipeline_fixtures import Scene, configured, link, storage


def links() -> Outcomes[str, str]:
    """A metric of this test's own."""
    subject = ("chain", "link")
    return Outcomes("test_link", ("", ""), subject=subject, outcome="o", bounds=LONG_SECONDS)


def counted(client: Redis) -> Minute:
    """The present minute; the one before it is added, as the test may run over its end."""
    found: Counter[str] = Counter()
    for key in client.keys("pc:minutes:*"):
        assert 0 < client.ttl(key) <= KEPT_SECONDS
        found.update({name: int(value, 16) if name.startswith("batch") else int(value)
                      for name, value in client.hgetall(key).items()})  # fmt: skip
    return read_minute(0, {name: str(value) for name, value in found.items()})


async def test_runs_and_steps_are_counted(scene: Scene, client: Redis) -> None:
    """A run with two links, one of which fails once, and a storage."""
    failures = iter([OSError("once")])

    def moody(vcon_uuid: str, _name: str, _opts: Any) -> str:
        if error := next(failures, None):
            raise error
        return vcon_uuid

    minutes = MinuteCounts(scene.redis, run_sources())
    chain = configured(links=[link(moody, 'a "b"\n[c]')], storages=[storage()], max_attempts=2)
    await scene.feed()
    await scene.start(chain)
    await scene.finished()
    await minutes.flush()
    await minutes.flush()
    minute = counted(client)
    runs = {outcome: each.count for outcome, each in minute.outcomes("run", "main").items()}
    assert runs == {"retried": 1, "done": 1}
    steps = minute.outcomes("link", "main", 'a "b"\n[c]')
    assert {outcome: each.count for outcome, each in steps.items()} == {"failed": 1, "ok": 1}
    assert minute.outcomes("storage", "main", "shelf")["ok"].count == 1
    assert summed(minute.outcomes("run", "main").values()).seconds > 0


async def test_an_idle_process_sends_nothing(redis: RedisConnection, client: Redis) -> None:
    """Neither what was counted before, nor anything when nothing is counted."""
    metric = links()
    metric.ended(("main", "tag", "ok"), 0.3)
    minutes = MinuteCounts(redis, [OutcomeSource("link", metric)])
    await minutes.flush()
    assert client.keys("*") == []


async def test_a_lost_reply_counts_once(
    redis: RedisConnection, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is sent again as it was, and what came meanwhile is in the next one."""
    metric = links()
    minutes = MinuteCounts(redis, [OutcomeSource("link", metric)])
    monkeypatch.setattr(counting, "BATCH", 2)
    script = redis.script

    async def lose(*words: Any) -> Any:
        await script(*words)
        raise UnavailableError

    for outcome in ("ok", "failed"):
        metric.ended(("main", "tag", outcome), 0.3)
    with monkeypatch.context() as patch:
        patch.setattr(redis, "script", lose)
        for _ in range(2):
            metric.ended(("main", "tag", "ok"), 0.3)
            with pytest.raises(UnavailableError):
                await minutes.flush()
    for _ in range(2):
        await minutes.flush()
    found = counted(client).outcomes("link", "main", "tag")
    assert found["ok"] == Histogram({0.5: 3}, pytest.approx(0.9))
    assert found["failed"].count == 1


async def test_names_beyond_the_bounds_count_as_other(
    redis: RedisConnection, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process has so many subjects, and a minute so many fields; nothing is lost beyond."""
    monkeypatch.setattr(counting, "MOST_NAMES", 3)
    metric = links()
    minutes = MinuteCounts(redis, [OutcomeSource("link", metric)])
    for number in range(5):
        metric.ended(("main", f"link {number}", "ok"), 0.3)
    await minutes.flush()
    found = counted(client)
    assert set(found.durations["link"]) == {("main", f"link {n}") for n in range(3)} | {
        (OTHER, OTHER)
    }
    assert found.outcomes("link", OTHER, OTHER)["ok"].count == 2

    monkeypatch.setattr(counting, "MOST_FIELDS", 1)
    metric.ended(("main", "link 1", "ok"), 0.3)
    metric.ended(("main", "link 1", "failed"), 0.3)
    await minutes.flush()
    found = counted(client)
    assert found.outcomes("link", "main", "link 1")["ok"].count == 2
    assert found.outcomes("link", OTHER)["failed"].count == 1


async def test_partners_are_counted(redis: RedisConnection, client: Redis) -> None:
    """By key: accepted, their size, and refused by reason."""
    key = UUID(int=7)
    recent = [Counter({(key, "accepted"): 2, (key, "bytes"): 900, (key, "invalid"): 1}), Counter()]
    recent.insert(0, Counter({(key, "accepted"): 100}))  # from before
    minutes = MinuteCounts(redis, [partner_source(lambda: recent.pop(0))])
    await minutes.flush()
    assert counted(client).numbers["partner"] == {
        (str(key),): {"accepted": 2, "bytes": 900, "invalid": 1}
    }


async def test_a_foreign_key_loses_nothing(redis: RedisConnection, client: Redis) -> None:
    """While the minute's key has another type, the numbers are kept; other fields are left out."""
    now = int(client.time()[0]) // 60
    for number in (now, now + 1):
        client.set(f"pc:minutes:{number}", "another program's")
    metric = links()
    minutes = MinuteCounts(redis, [OutcomeSource("link", metric)])
    metric.ended(("main", "tag", "ok"), 0.3)
    await minutes.close()
    reader = MinuteReader(redis)
    assert all(not each.durations for each in (await reader.hour()).minutes)
    for number in (now, now + 1):
        client.delete(f"pc:minutes:{number}")
        client.hset(f"pc:minutes:{number}", 'link ok us ["main","tag"]', "no number")
    await minutes.flush()
    hour = await reader.hour()
    assert len(hour.minutes) == HOUR + 1
    found = summed(
        each for minute in hour.minutes for each in minute.outcomes("link", "main", "tag").values()
    )
    assert (found.count, found.seconds) == (1, 0)


async def test_minutes_that_are_over_are_read_once(redis: RedisConnection, client: Redis) -> None:
    """A past minute no longer changes; the present one is read each time. A huge hash is not."""
    now = int(client.time()[0]) // 60
    client.hset(f"pc:minutes:{now - 30}", 'partner accepted n ["k"]', 5)
    client.hset(f"pc:minutes:{now - 40}", mapping={str(n): n for n in range(3 * MOST_FIELDS + 1)})
    client.hset(f"pc:minutes:{now - 40}", 'partner accepted n ["k"]', 5)
    reader = MinuteReader(redis)
    first = await reader.hour()
    client.flushdb()
    client.hset(f"pc:minutes:{now + 1}", 'partner accepted n ["k"]', 7)
    client.hset(f"pc:minutes:{now}", 'partner accepted n ["k"]', 7)
    second = await reader.hour()
    for hour, recent in ((first, 0), (second, 7)):
        found = {
            m.number: m.numbers["partner"]["k",]["accepted"] for m in hour.minutes if m.numbers
        }
        assert found.pop(hour.minutes[-1].number, 0) == recent
        found.pop(now, None)  # the minute may have ended meanwhile
        assert found == {now - 30: 5}
    assert 0 <= second.seconds < 60
