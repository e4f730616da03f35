"""A worker's sign of life, with the thread that keeps it."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from redis import Redis

from core.errors import UnavailableError
from devstack.servers.valkey import Valkey
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.lease import Lease
from tests.integration.support.pipeline_fixtures import PATIENCE


class CountingRedis(RedisConnection):
    """The real connection, which also tells how often a lease was renewed."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.renewed = threading.Semaphore(0)
        self.failed = threading.Semaphore(0)
        self.sick = threading.Event()

    def command_from_thread(self, *words: object) -> object:
        try:
            reply = super().command_from_thread(*words)
            assert not self.sick.is_set(), "an unexpected error"
        except Exception:
            self.failed.release()
            raise
        if words[0] == "EVALSHA":
            self.renewed.release()
        return reply


@pytest.fixture
async def counting(redis_url: str):
    """A connection that tells when a lease is renewed."""
    counting = CountingRedis(redis_url)
    yield counting
    await counting.close()


def wait(semaphore: threading.Semaphore) -> None:
    """Until it has happened once more."""
    assert semaphore.acquire(timeout=PATIENCE)


def run_out(lease: Lease) -> None:
    """The time since the last renewal is longer than the lease."""
    lease._valid_until = time.monotonic() - 1


def test_a_lease_is_not_valid_before_it_is_taken(redis: RedisConnection):
    """A worker that has not announced itself may start nothing."""
    assert not Lease(redis, "one", 60).valid


def test_who_was_taken_for_dead_is_told(redis: RedisConnection, client: Redis):
    """Also if its own clock has not moved, as in a machine that was asleep."""
    lease = Lease(redis, "one", 60)
    lease.start()
    lease._renew()
    assert lease.lapses == 0
    client.delete(keys.worker("one"))
    lease._renew()
    assert (lease.lapses, lease.valid) == (1, True)
    lease.stop()


def test_a_started_lease_is_in_redis(redis: RedisConnection, client: Redis):
    """The worker is in the register, and its key lives as long as the lease."""
    lease = Lease(redis, "one", 60)
    lease.start()
    assert lease.valid
    assert client.smembers(keys.WORKERS) == {"one"}
    assert 0 < client.pttl(keys.worker("one")) <= 60_000
    lease.stop()


def test_a_stopped_lease_is_gone_at_once(redis: RedisConnection, client: Redis):
    """After `stop` nothing is valid, and others need not wait for the key to expire."""
    lease = Lease(redis, "one", 60)
    lease.start()
    lease.stop()
    assert not lease.valid
    assert not client.exists(keys.worker("one"))


async def test_a_lease_is_renewed_by_itself(counting: CountingRedis, client: Redis):
    """While the event loop is blocked, the thread keeps the lease."""
    lease = Lease(counting, "one", 0.3)
    lease.start()
    for _ in range(4):  # blocks the loop: nothing else here can renew it
        wait(counting.renewed)
    assert client.exists(keys.worker("one"))
    await asyncio.to_thread(lease.stop)


async def test_a_worker_that_was_cleared_away_registers_again(
    counting: CountingRedis, client: Redis
):
    """A rescue takes it off the register; the next sign of life puts it back."""
    lease = Lease(counting, "one", 0.3)
    lease.start()
    wait(counting.renewed)
    client.srem(keys.WORKERS, "one")
    wait(counting.renewed)
    wait(counting.renewed)
    assert client.smembers(keys.WORKERS) == {"one"}
    await asyncio.to_thread(lease.stop)


async def test_what_a_worker_holds_does_not_expire(redis: RedisConnection, client: Redis):
    """A link lets its vCon go after a minute: that begins when the run has ended."""
    client.json().set("vcon:a", ".", {})
    client.expire("vcon:a", 60)
    client.hset(keys.inflight("one"), "a", "1\nrun\nin\na")
    lease = Lease(redis, "one", 60)
    lease.start()
    assert client.ttl("vcon:a") == -1
    assert 0 < int(client.hget("pc:about:a", "expiry") or 0) <= 60
    await asyncio.to_thread(lease.stop)


async def test_a_lapse_is_noticed_and_counted(redis: RedisConnection):
    """A lease that was not renewed in time is not valid; once it is again, it has lapsed once."""
    lease = Lease(redis, "one", 60)
    lease._renew()
    run_out(lease)
    assert not lease.valid
    assert lease.lapses == 0
    lease._renew()
    assert (lease.valid, lease.lapses) == (True, 1)
    lease._renew()
    assert lease.lapses == 1
    lease.stop()


async def test_no_error_ends_the_thread(counting: CountingRedis):
    """After any error of one renewal, the next one is tried."""
    lease = Lease(counting, "one", 0.1)
    lease.start()
    counting.sick.set()
    wait(counting.failed)
    counting.sick.clear()
    while counting.renewed.acquire(blocking=False):
        pass
    wait(counting.renewed)
    await asyncio.to_thread(lease.stop)


async def test_without_redis_a_lease_cannot_be_taken():
    """Who starts a worker is told."""
    nowhere = RedisConnection("redis://127.0.0.1:1/0")
    lease = Lease(nowhere, "one", 60)
    with pytest.raises(UnavailableError):
        lease.start()
    assert not lease.valid
    lease.stop()
    await nowhere.close()


async def test_a_lease_survives_an_outage(reachable_folder: Path):
    """Redis is killed and comes back: the thread goes on, and the lapse is counted."""
    server = Valkey.start(reachable_folder)
    counting = CountingRedis(server.url)
    lease = Lease(counting, "one", 0.3)
    try:
        lease.start()
        server.kill()
        await asyncio.to_thread(wait, counting.failed)
        run_out(lease)
        while counting.renewed.acquire(blocking=False):
            pass
        await asyncio.to_thread(server.restart)
        await asyncio.to_thread(wait, counting.renewed)
        assert lease.valid
        assert lease.lapses >= 1
    finally:
        await asyncio.to_thread(lease.stop)
        await counting.close()
        server.stop()
