"""Who may call a destination when: the scripts, at times that the test gives."""

from __future__ import annotations

from pipeline.config.model import Breaker, Destination
from pipeline.destinations.replies import Ended, Go, Later
from pipeline.redis_client.client import RedisConnection
from tests.integration.destinations.destination_scene import Book

OFF = Breaker(failures=0)


def waits(reply: Go | Later) -> tuple[str, float]:
    """What for, and how long."""
    assert isinstance(reply, Later), reply
    return reply.reason, reply.seconds


async def test_a_rate_spaces_calls_evenly(redis: RedisConnection) -> None:
    """Sixty a minute: one a second. A wait of up to a second is one in place."""
    book = Book(redis, Destination("there", requests_per_minute=60, breaker=OFF))
    assert await book.enter("a") == Go(0)
    assert await book.enter("b") == Go(1)
    assert [waits(await book.enter(who)) for who in "cde"] == [
        ("rate", 2),
        ("rate", 3),
        ("rate", 4),
    ]
    book.now += 2000
    assert waits(await book.enter("new")) == ("rate", 3)  # behind those that wait
    assert await book.enter("c") == Go(0)
    book.now += 1000
    assert await book.enter("d") == Go(0)
    assert await book.enter("d") == Go(0)  # the reply was lost
    book.now += 1020
    assert await book.enter("e") == Go(0)
    book.now += 980
    assert await book.enter("new") == Go(0.02)


async def test_late_ones_do_not_come_all_at_once(redis: RedisConnection) -> None:
    """Their chain was paused until the times of all had passed."""
    book = Book(redis, Destination("there", requests_per_minute=60, breaker=OFF))
    for who in "abcdef":
        await book.enter(who)
    book.now += 10_000
    starts = [await book.enter(who) for who in "cdef"]
    assert starts[:2] == [Go(0), Go(1)]
    assert all(isinstance(each, Later) for each in starts[2:])


async def test_a_repeat_counts_in_the_rate(redis: RedisConnection) -> None:
    """And waits like a call."""
    book = Book(redis, Destination("there", requests_per_minute=60, breaker=OFF))
    await book.enter("a")
    assert await redis.script("repeat_call", "there", book.now, 1000, 60_000) == 1000
    assert waits(await book.enter("b")) == ("rate", 2)


async def test_slots_of_a_dead_worker_come_back(redis: RedisConnection) -> None:
    """When their leases have run out; those of a living one are renewed."""
    book = Book(redis, Destination("there", max_in_flight=2, breaker=OFF))
    assert [await book.enter(who) for who in ("dead", "alive")] == [Go(), Go()]
    assert waits(await book.enter("next"))[0] == "full"
    book.now += 20_000
    await redis.script("keep_slots", "there", book.now, 30_000, "call of alive", "call of none")
    book.now += 10_001
    assert await book.enter("next") == Go()
    assert waits(await book.enter("more"))[0] == "full"


async def test_parked_runs_come_before_new_ones(redis: RedisConnection) -> None:
    """The end of a call brings the first one back, and holds the slot for it, for 15 seconds."""
    book = Book(redis, Destination("there", max_in_flight=1, breaker=OFF))
    await book.enter("a")
    for who in "bc":
        await book.park(who, await book.enter(who))
    await book.leave("a")
    assert await redis.command("LRANGE", "in", 0, -1) == ["b"]
    assert waits(await book.enter("new"))[0] == "full"
    assert await book.enter("b") == Go()
    await book.leave("b")
    assert await book.due("c") is None
    book.now += 40_000  # cancelled, or its chain is paused
    assert await book.enter("newer") == Go()


async def test_the_time_is_that_of_the_calls_before(redis: RedisConnection) -> None:
    """With two calls of ten seconds at once, a place is free every five."""
    book = Book(redis, Destination("there", max_in_flight=2, breaker=OFF))
    for who in ("a", "b", *"cdefghijklmno"):
        await book.enter(who)
        await book.leave(who, took=10_000)
    await book.enter("x")
    await book.enter("y")
    first, second = [waits(await book.enter(who))[1] for who in ("z1", "z2")]
    assert 4.5 < first < 5
    assert 4.5 < second - first < 5


async def test_a_breaker_opens_tries_and_closes(redis: RedisConnection) -> None:
    """One call tries; the others wait behind it, and come back when it has succeeded."""
    book = Book(redis, Destination("there", breaker=Breaker(2, 30)))
    await book.enter("a")
    assert await book.leave("a", "failed") == Ended("", 0, 1)
    await book.enter("b")
    assert await book.leave("b", "failed") == Ended("opened", 30, 2)  # it waits itself
    await book.park("b", Later(30, "open"))
    for who in "cd":
        later = await book.enter(who)
        assert waits(later)[0] == "open"
        await book.park(who, later)
    book.now += 30_000
    assert await book.enter("b") == Go(0, is_probe=True)
    assert waits(await book.enter("new"))[0] == "probe"
    assert waits(await book.enter("c"))[0] == "probe"
    assert (await book.leave("b")).change == "closed"
    assert await redis.command("LRANGE", "in", 0, -1) == ["d", "c"]  # in their order: c came later
    assert [await book.enter(who) for who in "cd"] == [Go(), Go()]
    assert await book.enter("e") == Go()


async def test_a_try_that_fails_doubles_the_time(redis: RedisConnection) -> None:
    """Up to ten minutes; the run that tried goes behind the others."""
    book = Book(redis, Destination("there", breaker=Breaker(1, 30)))
    await book.enter("a")
    assert (await book.leave("a", "failed")).seconds == 30
    later = await book.enter("b")
    for seconds in (60, 120, 240, 480, 600, 600):
        book.now += 1000 * 700
        assert await book.enter("a") == Go(0, is_probe=True)
        ended = await book.leave("a", "failed")
        assert (ended.change, ended.seconds) == ("reopened", seconds)
    assert isinstance(later, Later)


async def test_a_vcon_that_always_fails_does_not_keep_it_open(redis: RedisConnection) -> None:
    """After its try another one is first."""
    book = Book(redis, Destination("there", breaker=Breaker(1, 30)))
    await book.enter("bad")
    await book.leave("bad", "failed")
    await book.enter("good")
    book.now += 30_000
    assert await book.enter("bad") == Go(0, is_probe=True)
    ended = await book.leave("bad", "failed")
    good = await book.enter("good")
    assert ended.change == "reopened"
    assert waits(good)[0] == "open"
    book.now += 60_000
    first = await book.enter("good")
    assert first == Go(0, is_probe=True)
    assert waits(await book.enter("bad"))[0] == "probe"
    assert (await book.leave("good")).change == "closed"


async def test_other_errors_are_no_failures(redis: RedisConnection) -> None:
    """Success ends a row of failures; a try that tells nothing lets the next one try."""
    book = Book(redis, Destination("there", breaker=Breaker(2, 30)))
    for outcome in ("failed", "neither", "ok", "failed", "neither"):
        await book.enter(outcome)
        assert (await book.leave(outcome, outcome)).change == ""
    await book.enter("last")
    assert (await book.leave("last", "failed")).change == "opened"
    await book.park("next", await book.enter("next"))
    book.now += 30_000
    await book.enter("last")
    await book.leave("last", "neither")
    assert await book.due("next") is None
    assert await book.enter("next") == Go(0, is_probe=True)


async def test_a_failure_is_counted_once(redis: RedisConnection) -> None:
    """The reply was lost, and the script runs again; so does one whose slot has run out."""
    book = Book(redis, Destination("there", breaker=Breaker(2, 30)))
    await book.enter("a")
    assert [(await book.leave("a", "failed")).failures for _ in range(2)] == [1, 1]
    await book.enter("b")
    changes = [(await book.leave("b", "failed")).change for _ in range(2)]
    assert changes == ["opened", "open"]


async def test_many_parked_runs_come_back_paced(redis: RedisConnection) -> None:
    """Without limits: sixteen at once, the others one after another within ten seconds."""
    book = Book(redis, Destination("there", breaker=Breaker(1, 30)))
    await book.enter("0")
    await book.park("0", await book.leave("0", "failed"))
    for n in range(1, 60):
        await book.park(str(n), await book.enter(str(n)))
    book.now += 30_000
    await book.enter("0")
    await redis.command("ZREM", "pc:later", "in\n0")
    await book.leave("0")
    times = [await book.due(str(n)) for n in range(1, 60)]
    assert times[:16] == [None] * 16
    later = [each for each in times[16:] if each is not None]
    assert later == sorted(later)
    assert len(later) == 43
    assert 0 < later[0] < later[-1] < 2
