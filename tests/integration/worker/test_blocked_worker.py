"""A worker process whose event loop stands still, or whose interpreter's lock is held."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.redis_client import keys
from tests.integration.app.test_bootstrap_worker import PATIENCE, Start, feed, redis, start

__all__ = ["redis", "start"]  # fixtures

BLOCKS = """
import asyncio, os, re, redis, time
def begun(vcon_uuid):
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.rpush("begun", vcon_uuid)
async def run(vcon_uuid, link_name, opts):
    begun(vcon_uuid)
    await asyncio.sleep(0)
    time.sleep(1000)
async def save(vcon_uuid, opts):
    begun(vcon_uuid)
    time.sleep(1000)
"""
TRACES = """
import time
async def run(in_uuid, out_uuid, tracer_name, links, link_index, opts):
    if links == ["traced"]:
        time.sleep(1000)
"""
HOLDS = """
import asyncio, os, redis
async def run(vcon_uuid, link_name, opts):
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.rpush("begun", vcon_uuid)
    await asyncio.sleep(1000)
"""
CONFIG = """
links:
  blocks: {module: blocks}
  limited: {module: blocks, timeout: 0.2}
  holds: {module: holds}
  traced: {module: holds}
storages: {shelf: {module: blocks}}
tracers: {looks: {module: traces}}
chains:
  link: {links: [blocks], ingress_lists: [link], max_attempts: 1}
  limited: {links: [limited], ingress_lists: [limited], max_attempts: 1}
  storage: {storages: [shelf], ingress_lists: [storage], max_attempts: 1}
  tracer: {links: [traced], ingress_lists: [tracer], max_attempts: 1}
  twice: {links: [blocks], ingress_lists: [twice], max_attempts: 2}
  held: {links: [holds], ingress_lists: [held]}
"""
QUICK = {
    "CONSERVER_VCON_CONCURRENCY": "4",
    "BLOCKED_LOOP_WARNING": "0.25",
    "BLOCKED_LOOP_LIMIT": "0.5",
    "LOG_FORMAT": "json",
}
NEVER = {**QUICK, "BLOCKED_LOOP_LIMIT": "1000"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Chains with plugins that block the event loop, and one whose link only waits."""
    for name, text in (("blocks", BLOCKS), ("traces", TRACES), ("holds", HOLDS)):
        (tmp_path / f"{name}.py").write_text(text)
    (path := tmp_path / "config.yml").write_text(CONFIG)
    return path


def lines(worker: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """What a worker that has ended has logged."""
    return [orjson.loads(line) for line in worker.stderr.read().splitlines()]


def begun(redis: Any) -> str:
    """The next vCon whose link has begun."""
    return redis.blpop("begun", PATIENCE)[1]


@pytest.mark.parametrize(
    ("chain", "kind", "name"),
    [
        ("limited", "link", "limited"),
        ("storage", "storage", "shelf"),
        ("tracer", "tracer", "looks"),
    ],
)
def test_what_blocks_the_loop_has_failed_and_its_neighbours_have_not(
    start: Start, redis: Any, chain: str, kind: str, name: str
) -> None:
    """The log names the plugin; the process ends; a dead letter says why; others go back."""
    limit = "1000" if chain == "limited" else "0.5"  # its step has a limit of its own
    worker = start(**{**QUICK, "BLOCKED_LOOP_LIMIT": limit})
    held = [feed(redis, "held") for _ in range(2)]
    assert sorted(begun(redis) for _ in held) == sorted(held)
    culprit = feed(redis, chain)
    assert worker.wait(PATIENCE) == 5
    said = {line["event"]: line for line in lines(worker)}
    warning = said["worker event loop blocked"]
    assert (warning[kind], warning["vcon"], warning["chain"]) == (name, culprit, chain)
    assert f"{'traces' if kind == 'tracer' else 'blocks'}.py" in warning["error"]
    assert redis.lrange(f"DLQ:{chain}", 0, -1) == [culprit]
    reason = orjson.loads(redis.hget(keys.reasons(f"DLQ:{chain}"), culprit))
    assert "BlockedLoop: the event loop stood still for" in reason["error"]
    assert name in reason["cause"]
    assert redis.lrange("held", 0, -1) == held
    assert {redis.hget("pc:attempts:held", each)[-1] for each in held} == {"0"}  # no suspects
    assert redis.hlen(keys.inflight("w1")) == 0


def test_a_blocked_attempt_is_repeated_first(start: Start, redis: Any) -> None:
    """It counts as any other that has failed, and its journal says so until then."""
    worker = start(**QUICK)
    culprit = feed(redis, "twice")
    assert worker.wait(PATIENCE) == 5
    assert redis.zrange(keys.LATER, 0, -1) == [f"twice\n{culprit}"]
    count, run_id, suspect = redis.hget("pc:attempts:twice", culprit).split("\n")
    assert (count, suspect) == ("1", "0")
    assert "BlockedLoop" in orjson.loads(redis.get(keys.run(run_id)))["error"]


def test_a_blocked_worker_ends_with_its_service(start: Start, redis: Any) -> None:
    """It hears nothing on its event loop, but its thread does, and gives back what is held."""
    worker = start(**NEVER)
    held, blocks = feed(redis, "held"), None
    assert begun(redis) == held
    blocks = feed(redis, "link")
    assert begun(redis) == blocks
    worker.stdin.close()
    assert worker.wait(PATIENCE) == 4
    assert (redis.lrange("held", 0, -1), redis.lrange("link", 0, -1)) == ([held], [blocks])
    assert redis.hlen(keys.inflight("w1")) == 0


def test_a_loop_that_goes_on_again_is_only_reported(start: Start, redis: Any) -> None:
    """A blockage that is over before its limit costs nothing."""
    worker = start(**NEVER)
    feed(redis, "link")
    begun(redis)
    assert orjson.loads(worker.stderr.readline())["event"] == "worker event loop blocked"
    assert worker.poll() is None
    worker.send_signal(signal.SIGKILL)
