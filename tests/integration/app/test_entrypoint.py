"""`python entrypoint.py` as a pure RPC service: without a configuration file and without Redis."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devstack.servers.folders import temporary_folder
from devstack.servers.ports import HOST
from devstack.servers.postgres import Postgres
from devstack.service import ENTRYPOINT, ServiceProcess, fetched
from tests.integration.support.plugboard_scene import Scene, plugboard
from tests.integration.support.processes import wait_until_ended

pytestmark = pytest.mark.executed  # the start and end of a service

CEILING = 60.0  # seconds; reached only when something is broken
SCALED = {"RECONNECT_MIN": "0.05", "RECONNECT_MAX": "0.2", "SHUTDOWN_GRACE": "5"}

Start = Callable[..., ServiceProcess]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A Plugboard with a service and a token."""
    async with plugboard() as scene:
        yield scene


@pytest.fixture
async def start(
    scene: Scene, database_environment: dict[str, str], tmp_path: Path
) -> AsyncIterator[Start]:
    """Starts the service for the scene; stopped after the test."""
    async with AsyncExitStack() as stack:

        def start(**settings: str) -> ServiceProcess:
            service = ServiceProcess(tmp_path, environment(scene) | database_environment | settings)
            stack.push_async_callback(asyncio.to_thread, service.stop)
            return service

        yield start


def environment(scene: Scene) -> dict[str, str]:
    """What the service must be told of the Plugboard."""
    return {"WEBSOCKET_URL": scene.board.websocket_url, "TOKEN": scene.token.value, **SCALED}


async def until(service: ServiceProcess, **expected: bool) -> dict[str, Any]:
    """All checks, as soon as these are so."""
    async with asyncio.timeout(CEILING):
        while True:
            checks = await asyncio.to_thread(service.checks) or {}
            if expected.items() <= checks.items():
                return checks
            assert service.running, service.logged()
            await asyncio.sleep(0.02)  # a health port offers no event to wait for


async def test_a_pure_rpc_service(start: Start, scene: Scene, database_url: str) -> None:
    """It migrates, joins, is ready, answers, records what the Plugboard says, and stops with 0."""
    service = start()
    checks = await until(service, joined=True, postgres=True)
    assert checks == {"joined": True, "postgres": True, "serving": True}
    assert (await asyncio.to_thread(fetched, service.health_port, "/live")).status == 200
    assert (await scene.post(action="IngestVcon", fields={})).json() == {
        "message": "Unknown action: IngestVcon",
        "status": "error",
    }
    [connection] = scene.board.consumers
    assert await asyncio.to_thread(service.stop) == 0
    assert "phx_leave" in str(connection.received[-1])
    assert connection.close_code == 1000
    with psycopg.connect(database_url) as database:
        services = database.execute("SELECT id, name FROM services").fetchall()
        tokens = database.execute("SELECT id, service_id, value_sha256 FROM tokens").fetchall()
    assert services == [(scene.service.id, "basic")]
    assert tokens == [(scene.token.id, scene.service.id, None)]


async def test_the_log_keeps_the_secrets(
    start: Start, scene: Scene, database_environment: dict[str, str]
) -> None:
    """Even at DEBUG neither the token nor the password is in any line."""
    service = start(LOG_LEVEL="DEBUG", LOG_FORMAT="json")
    await until(service, joined=True, postgres=True)
    made = scene.board.create_token(scene.service)
    await scene.post(action="Nope", fields={})
    await asyncio.to_thread(service.stop)
    logged = service.logged()
    assert '"event": "joined"' in logged
    secrets = (scene.token.value, made.value, database_environment["POSTGRES_PASSWORD"])
    assert [secret for secret in secrets if secret in logged] == []


async def test_without_a_plugboard_it_lives_and_is_not_ready(start: Start, scene: Scene) -> None:
    """While the Plugboard is away the process stays, unready, and joins when it is back."""
    await scene.board.stop(drain_timeout=0)
    service = start()
    assert await until(service, postgres=True) == {
        "joined": False,
        "postgres": True,
        "serving": True,
    }
    await scene.board.start()
    await until(service, joined=True)
    await scene.board.stop(drain_timeout=0)
    await until(service, joined=False)
    assert await asyncio.to_thread(service.stop) == 0


async def test_postgres_may_come_later(scene: Scene, tmp_path: Path) -> None:
    """Started without Postgres it serves, unready; when Postgres comes it migrates and is ready."""
    with temporary_folder() as folder:
        postgres = await asyncio.to_thread(Postgres.start, folder, fsync=False)
        postgres.create_database("later")
        postgres.stop()
        settings = environment(scene) | postgres.environment("later")
        service = ServiceProcess(tmp_path, settings)
        try:
            await until(service, joined=True)
            assert (await scene.post(action="Nope", fields={})).status_code == 400
            assert (await until(service, serving=True))["postgres"] is False
            postgres = await asyncio.to_thread(
                Postgres.start, folder, port=postgres.port, fsync=False
            )
            await until(service, joined=True, postgres=True)
            with psycopg.connect(postgres.url("later")) as database:
                assert database.execute("SELECT count(*) FROM services").fetchone() == (1,)
        finally:
            assert await asyncio.to_thread(service.stop) == 0
            postgres.stop()


async def test_while_it_is_refused_and_without_its_token_it_is_not_ready(
    start: Start, scene: Scene
) -> None:
    """While others with other actions are joined; and without its token, though it serves."""
    other = await scene.join(actions='{"Other": {}}')
    service = start(STRICT_TOKEN="true")
    await until(service, postgres=True)
    async with asyncio.timeout(CEILING):
        while "consumers that offer other actions are joined" not in service.logged():  # noqa: ASYNC110 -- a log file offers no event
            await asyncio.sleep(0.02)
    assert (await until(service, token=True))["joined"] is False
    await other.socket.close()
    await until(service, joined=True, token=True)
    scene.board.delete_token(scene.token)
    await until(service, joined=True, token=False)
    assert (await scene.post(action="Nope", fields={})).status_code == 400


async def test_a_deleted_service_ends_the_process(start: Start, scene: Scene) -> None:
    """When its service is deleted on the Plugboard the process ends, with a code of its own."""
    service = start()
    await until(service, joined=True)
    scene.board.delete_service(scene.service)
    await asyncio.to_thread(wait_until_ended, service.pid)
    assert service.stop() == 3
    assert "was deleted" in service.logged()
    assert scene.board.consumers == []


def run(settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the entrypoint to its end."""
    return subprocess.run(
        [sys.executable, ENTRYPOINT, *arguments],
        env=dict(settings),
        capture_output=True,
        text=True,
        timeout=CEILING,
        check=False,
    )


COMPLETE = {
    "WEBSOCKET_URL": "ws://127.0.0.1:1/websocket",
    "TOKEN": "t",
    "POSTGRES_HOST": HOST,
    "POSTGRES_PORT": "1",
    "POSTGRES_USER": "u",
    "POSTGRES_PASSWORD": "p",
    "POSTGRES_DB_DEVELOPMENT": "d",
    "POSTGRES_DB_TEST": "t",
    "POSTGRES_DB_PRODUCTION": "p",
}


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        (
            COMPLETE | {"TOKEN": "", "POSTGRES_PORT": "x"},
            [
                "POSTGRES_PORT: Input should be a valid integer, unable to parse string as an "
                "integer",
                "TOKEN: must be set",
            ],
        ),
        (
            COMPLETE | {"ACTIONS": "IngestVcon, DeleteVcon"},
            [
                "ACTIONS: IngestVcon needs a pipeline: set CONSERVER_CONFIG_FILE and REDIS_URL",
                "ACTIONS: DeleteVcon needs a pipeline: set CONSERVER_CONFIG_FILE and REDIS_URL",
            ],
        ),
        (
            COMPLETE | {"TOKEN": "t" * 10_000},
            [
                "ACTIONS: the handshake's request line would be 10123 bytes, but the Plugboard "
                "reads 9998; set ACTIONS to the names this service shall offer"
            ],
        ),
    ],
)
def test_what_is_wrong_is_told_and_nothing_starts(
    settings: dict[str, str], lines: list[str]
) -> None:
    """A setting that cannot work ends the start with 2 and one clear line each."""
    ran = run(settings)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-len(lines) - 1 :] == [
        "Cannot start:",
        *(f"  {line}" for line in lines),
    ]
    assert "Traceback" not in ran.stderr


async def test_a_check_joins_nothing(scene: Scene, database_environment: dict[str, str]) -> None:
    """`check` tells what works and what does not, with exit code 0 or 1, and has not joined."""
    settings = environment(scene) | database_environment
    well = await asyncio.to_thread(run, settings, "check")
    assert (well.returncode, well.stderr) == (0, "")
    wrong = await asyncio.to_thread(run, settings | {"POSTGRES_PORT": "1"}, "check")
    assert wrong.returncode == 1
    assert [line.split()[:2] for line in wrong.stdout.splitlines()[1:]] == [
        ["settings", "ok"],
        ["actions", "ok"],
        ["postgres", "failed"],
        ["plugboard", "ok"],
    ]
    assert scene.board.consumers == []


async def test_a_taken_health_port_is_told(scene: Scene) -> None:
    """A port in use ends the start."""
    settings = COMPLETE | {"HEALTH_PORT": str(scene.board.port), "HEALTH_HOST": HOST}
    ran = await asyncio.to_thread(run, settings)
    assert ran.returncode == 2
    assert f"HEALTH_PORT: cannot listen on {scene.board.port}" in ran.stderr


FREEZES = """
import re, threading, time
def freeze():
    while "freeze watch" not in {thread.name for thread in threading.enumerate()}:
        time.sleep(0.01)
    re.match("(a+)+$", "a" * 64 + "b")
threading.Thread(target=freeze, daemon=True).start()
def save(vcon_uuid, options):
    pass
"""


async def test_a_service_that_a_plugin_freezes_ends(start: Start, tmp_path: Path) -> None:
    """No thread of it runs any more, so nothing else could end it; its log has the stack."""
    (tmp_path / "freezing_shelf.py").write_text(FREEZES)
    (config := tmp_path / "config.yml").write_text(
        "storages: {shelf: {module: freezing_shelf}}\nchains: {main: {storages: [shelf]}}\n"
    )
    service = start(
        CONSERVER_CONFIG_FILE=str(config),
        REDIS_URL="redis://127.0.0.1:1/0",
        PYTHONPATH=str(tmp_path),
        FROZEN_SERVICE_LIMIT="0.5",
    )
    async with asyncio.timeout(CEILING):
        while service.running:  # noqa: ASYNC110 -- a process of devstack tells of no end
            await asyncio.sleep(0.02)
    assert "Timeout (" in service.logged()
    assert "in freeze" in service.logged()
