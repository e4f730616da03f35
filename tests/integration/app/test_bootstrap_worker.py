"""A worker as a process of its own: `python entrypoint.py worker ID`."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from app.bootstrap_worker import EXIT_DAMAGED
from pipeline.redis_client import keys
from tests.integration.support.pipeline_fixtures import a_vcon

pytestmark = pytest.mark.executed  # the start and end of a worker

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds; a ceiling, reached only when something is broken
CONFIG = """
links:
  damaging: {{module: damaging_link}}
  stuck: {{module: stuck_link}}
  late: {{module: stuck_link, timeout: 0.05}}
chains:
  late: {{links: [late], ingress_lists: [late]}}
  damaging: {{links: [damaging], ingress_lists: [damaging]}}
  stuck: {{links: [stuck], ingress_lists: [stuck]}}
  main: {{ingress_lists: [{}], egress_lists: [out]}}
"""
STUCK = """
import os, redis, time
def run(vcon_uuid, link_name, opts):
    redis.Redis.from_url(os.environ["REDIS_URL"]).rpush("begun", vcon_uuid)
    time.sleep(1000)
"""
DAMAGING = """
import os, resource
def run(vcon_uuid, link_name, opts):
    limit = getattr(resource, "RLIMIT_" + os.environ["SHORT_OF"])
    resource.setrlimit(limit, (3, resource.getrlimit(limit)[1]))
    raise OSError("too many open files")
"""
POSTGRES = {
    **{f"POSTGRES_{name}": "nobody" for name in ("HOST", "USER", "PASSWORD")},
    **{f"POSTGRES_DB_{name}": "nothing" for name in ("DEVELOPMENT", "TEST", "PRODUCTION")},
    "POSTGRES_PORT": "1",
}

type Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A chain from `in` to `out`, and one whose link never ends."""
    (tmp_path / "stuck_link.py").write_text(STUCK)
    (tmp_path / "damaging_link.py").write_text(DAMAGING)
    (path := tmp_path / "config.yml").write_text(CONFIG.format("in"))
    return path


@pytest.fixture
def redis(redis_url: str) -> Iterator[Any]:
    """An empty Redis."""
    with Redis.from_url(redis_url, decode_responses=True, socket_timeout=2 * PATIENCE) as client:
        yield client


@pytest.fixture
def start(config: Path, redis_url: str) -> Iterator[Start]:
    """Starts a worker; those that still run after the test are killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str = "w1", **variables: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "entrypoint.py", "worker", name],
            cwd=ROOT,
            env={
                **POSTGRES,
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(config.parent),
                "CONSERVER_CONFIG_FILE": str(config),
                "REDIS_URL": redis_url,
                "WEBSOCKET_URL": "ws://nowhere",
                "TOKEN": "none",
                "LOG_LEVEL": "WARNING",
            }
            | variables,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def feed(redis: Any, name: str) -> str:
    """A vCon in a list; its uuid."""
    vcon = a_vcon()
    redis.json().set(keys.vcon(vcon["uuid"]), ".", vcon)
    redis.rpush(name, vcon["uuid"])
    return vcon["uuid"]


def forwarded(redis: Any) -> str:
    """The next vCon in `out`."""
    _, vcon_uuid = redis.blpop("out", PATIENCE)
    return vcon_uuid


def test_a_worker_reloads_and_ends_as_told(start: Start, redis: Any, config: Path) -> None:
    """It goes by the file as it is when told on its input, survives a bad one, and ends with 0."""
    worker = start()
    first = feed(redis, "in")
    assert forwarded(redis) == first
    config.write_text(CONFIG.format("other"))
    worker.stdin.write(b"reload\n")
    worker.stdin.flush()
    second = feed(redis, "other")
    assert forwarded(redis) == second
    config.write_text("chains: [")
    worker.send_signal(signal.SIGHUP)
    assert b"configuration not changed" in worker.stderr.readline()
    third = feed(redis, "other")
    assert forwarded(redis) == third
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    assert redis.exists(keys.worker("w1")) == 0


def test_what_a_worker_cannot_finish_goes_back(start: Start, redis: Any) -> None:
    """A worker ends at once without its service, or after two signals, even if a thread hangs."""
    orphan, hurried = (start(name, SHUTDOWN_GRACE="1000") for name in ("w1", "w2"))
    uuids = {feed(redis, "stuck"), feed(redis, "stuck")}
    assert {redis.blpop("begun", PATIENCE)[1] for _ in uuids} == uuids
    orphan.stdin.close()
    hurried.send_signal(signal.SIGTERM)
    hurried.send_signal(signal.SIGINT)
    assert (orphan.wait(PATIENCE), hurried.wait(PATIENCE)) == (0, 0)
    assert set(redis.lrange("stuck", 0, -1)) == uuids
    assert redis.hlen(keys.LOCKS) == 0
    assert redis.exists(keys.inflight("w1"), keys.inflight("w2")) == 0


def test_without_redis_a_worker_ends_at_once(start: Start) -> None:
    """It waits for Redis, but not when it is told to end."""
    worker = start(REDIS_URL="redis://127.0.0.1:1/0", SHUTDOWN_GRACE="1000")
    readable, _, _ = select.select([worker.stderr], [], [], PATIENCE)
    assert readable
    assert b"Redis unavailable" in worker.stderr.readline()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0


SIGNATURES = ["cryptography.x509", "joserfc", "jwcrypto"]
HEAVY = [*SIGNATURES, "aiohttp", "alembic", "boto3", "cryptography.hazmat", "httpx", "openai"]
SQL = ["sqlalchemy", "core.db.tables"]


@pytest.mark.parametrize(
    ("modules", "left_out"),
    [
        ("app.bootstrap", HEAVY),
        ("app.bootstrap_api", [*SIGNATURES, "alembic", "boto3", "openai"]),
        ("app.bootstrap_worker", [*HEAVY, *SQL, "psycopg", "websockets", "app.bootstrap"]),
        ("app.preflight", [*HEAVY, *SQL, "starlette", "uvicorn", "app.bootstrap"]),
        ("app.command_line", [*HEAVY, *SQL, "asyncio", "psycopg", "pydantic", "redis", "yaml"]),
    ],
)
def test_nothing_starts_with_libraries_that_it_may_not_need(
    modules: str, left_out: list[str]
) -> None:
    """They take up to 0.3 s each; a worker in the place of a dead one works in half the time."""
    program = f"import sys, {modules}\nprint(*set({left_out}) & set(sys.modules))"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout == b"\n"


def test_a_worker_ends_when_plugins_have_left_too_much(start: Start, redis: Any) -> None:
    """Its calls that hang are bounded; the supervisor starts another, and the runs have ended."""
    for _ in range(2):
        feed(redis, "late")
    worker = start(MAX_ABANDONED_CALLS="2")
    assert worker.wait(PATIENCE) == 0
    assert redis.hgetall("pc:locks") == {}
    assert len(redis.zrange(keys.LATER, 0, -1)) + redis.llen("late") == 2


@pytest.mark.parametrize("short_of", ["NOFILE", "AS"])
def test_a_worker_ends_when_a_plugin_has_damaged_it(
    start: Start, redis: Any, short_of: str
) -> None:
    """It can open no file, or has no memory left: its run goes back, another worker takes over."""
    vcon_uuid = feed(redis, "damaging")
    worker = start(SHORT_OF=short_of)
    assert worker.wait(PATIENCE) == EXIT_DAMAGED
    assert b"worker ending early" in worker.stderr.read()
    assert redis.zrange(keys.LATER, 0, -1) == [f"damaging\n{vcon_uuid}"]
    assert redis.hgetall(keys.LOCKS) == {}
