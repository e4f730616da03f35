"""SIGTERM at any moment: the service is not ready, ends with 0, and logs no false errors."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from devstack.servers.ports import HOST, free_port
from devstack.service import ENTRYPOINT, fetched
from tests.integration.support.pipeline_fixtures import PATIENCE
from tests.integration.support.plugboard_scene import Scene, plugboard

pytestmark = pytest.mark.executed  # the start of a service

SLOW = """
import sys, time
if {where!r} == sys.argv[1:2]:
    print("importing", file=sys.stderr, flush=True)
    time.sleep(60)
def run(vcon_uuid, link_name, opts):
    return vcon_uuid
"""
BAD = ('"level": "error"', "Traceback", "worker died", "registrations lost")
MOMENTS = {
    "while the service imports a link": ("importing", []),
    "when the configuration is loaded": ("configuration loaded", ["nowhere"]),
    "when the actions are known": ("offering actions", ["nowhere"]),
    "when it has joined": ("joined", ["nowhere"]),
    "while a worker imports a link": ("importing", ["worker"]),
}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A Plugboard with a service and a token."""
    async with plugboard() as scene:
        yield scene


@pytest.fixture
def environment(
    scene: Scene, redis_url: str, database_environment: dict[str, str], tmp_path: Path
) -> dict[str, str]:
    """What a service with one link needs."""
    link = "links: {slow: {module: slow_link}}\n"
    config = tmp_path / "config.yml"
    config.write_text(link + "chains: {main: {links: [slow], ingress_lists: [in]}}\n")
    return database_environment | {
        "WEBSOCKET_URL": scene.board.websocket_url,
        "TOKEN": scene.token.value,
        "REDIS_URL": redis_url,
        "CONSERVER_CONFIG_FILE": str(config),
        "CONSERVER_WORKERS": "2",
        "PYTHONPATH": str(tmp_path),
        "LOG_FORMAT": "json",
    }


@asynccontextmanager
async def started(environment: dict[str, str]) -> AsyncIterator[Process]:
    """A service whose log can be read."""
    command = sys.executable, str(ENTRYPOINT)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def stopped_at(process: Process, event: str, signum: signal.Signals) -> tuple[int, str]:
    """Send a signal when the log has an event; the exit code and the whole log."""
    assert process.stderr is not None
    log, sent = "", False
    async with asyncio.timeout(PATIENCE):
        async for line in process.stderr:
            log += line.decode()
            if event in log and not sent:
                process.send_signal(signum)
                sent = True
        return await process.wait(), log


@pytest.mark.parametrize(("event", "where"), MOMENTS.values(), ids=MOMENTS)
async def test_a_signal_ends_the_start(
    environment: dict[str, str], tmp_path: Path, event: str, where: list[str]
) -> None:
    """Wherever the start is."""
    (tmp_path / "slow_link.py").write_text(SLOW.format(where=where))
    async with started(environment) as process:
        code, log = await stopped_at(process, event, signal.SIGTERM)
    assert (code, [line for line in log.splitlines() if any(bad in line for bad in BAD)]) == (0, [])


async def test_ctrl_c_does_the_same_and_sighup_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """SIGHUP asks for the configuration, which is about to be read."""
    (tmp_path / "slow_link.py").write_text(SLOW.format(where=[]))
    async with started(environment) as process, asyncio.timeout(PATIENCE):
        assert process.stderr is not None
        assert b"importing" in await process.stderr.readuntil(b"importing\n")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        assert (await process.stderr.read(), await process.wait()) == (b"", 0)


WAITING = """
import sys, time
from pathlib import Path
def run(vcon_uuid, link_name, opts):
    print("running", file=sys.stderr, flush=True)
    while not Path(opts["until"]).exists():
        time.sleep(0.02)
    return vcon_uuid
"""


async def test_it_is_not_ready_from_the_signal_on(
    environment: dict[str, str], tmp_path: Path, scene: Scene
) -> None:
    """While a run that has begun still gets its time, /ready answers 503."""
    (tmp_path / "slow_link.py").write_text(WAITING)
    config = tmp_path / "config.yml"
    until = f"{{module: slow_link, options: {{until: {tmp_path}/go}}}}"
    config.write_text(config.read_text().replace("{module: slow_link}", until))
    port = free_port()
    environment |= {"HEALTH_PORT": str(port), "HEALTH_HOST": HOST}
    async with started(environment) as process, asyncio.timeout(PATIENCE):
        assert process.stderr is not None
        await process.stderr.readuntil(b"joined")
        fields = {"chain": "main", "vcon": {**SAMPLE, "uuid": str(uuid4())}, "wait": 0}
        assert (await scene.post(action="RunChain", fields=fields)).status_code in (200, 202)
        await process.stderr.readuntil(b"running\n")
        process.send_signal(signal.SIGTERM)
        await process.stderr.readuntil(b"stopping")
        ready = await asyncio.to_thread(fetched, port, "/ready")
        assert (ready.status, json.loads(ready.content)["serving"]) == (503, False)
        await asyncio.to_thread((tmp_path / "go").touch)
        log = (await process.stderr.read()).decode()
        assert await process.wait() == 0
    assert [line for line in log.splitlines() if any(bad in line for bad in BAD)] == []


SAMPLE = {
    "vcon": "0.4.0",
    "created_at": "2026-03-01T09:00:00+00:00",
    "parties": [{"tel": "+12025550101"}],
    "dialog": [],
    "analysis": [],
    "attachments": [],
}
