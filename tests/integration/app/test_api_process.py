"""`python entrypoint.py api`: the HTTP API in a process of its own, on real servers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGHUP, SIGTERM
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from devstack.chaos.system.processes import send
from devstack.servers.ports import HOST
from devstack.service import ENTRYPOINT, ServiceProcess
from flowlang.connections.tls import web_trust
from tests.canaries import canary
from tests.integration.support.pipeline_fixtures import a_vcon
from tests.integration.support.plugboard_scene import plugboard
from tests.integration.support.processes import wait_until_ended

pytestmark = pytest.mark.executed  # the start and end of a service with workers

CEILING = 60.0  # seconds; reached only when something is broken
TOKEN = canary("api-process-token-71c5")
KEY = canary("api-process-key-of-a-partner-71c5")
HEADERS = {"x-conserver-api-token": TOKEN}
CONFIG = """
links: {tag: {module: links.tag, options: {tags: [by-http]}}}
ingress_auth: {in: KEY}
chains:
  main: {links: [tag], ingress_lists: [in], egress_lists: [out]}
""".replace("KEY", KEY)
CLIENTS = 4

Start = Callable[..., ServiceProcess]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A chain that tags vCons."""
    (path := tmp_path / "config.yml").write_text(CONFIG)
    return path


@pytest.fixture
async def start(
    config: Path, redis_url: str, database_environment: dict[str, str], tmp_path: Path
) -> AsyncIterator[Start]:
    """Starts processes on one Redis and one database; stopped after the test."""
    settings = {
        **database_environment,
        "REDIS_URL": redis_url,
        "CONSERVER_CONFIG_FILE": str(config),
        "CONSERVER_API_TOKEN": TOKEN,
        "SHUTDOWN_GRACE": "20",
    }
    async with AsyncExitStack() as stack:

        def start(name: str, *arguments: str, **more: str) -> ServiceProcess:
            service = ServiceProcess(tmp_path, settings | more, name=name, arguments=arguments)
            stack.push_async_callback(asyncio.to_thread, service.stop)
            return service

        yield start


@pytest.fixture
async def queues(redis_url: str) -> AsyncIterator[Redis]:
    """What chains read and write."""
    async with Redis.from_url(
        redis_url, decode_responses=True, socket_timeout=2 * CEILING
    ) as client:
        yield client


async def ready(*services: ServiceProcess) -> None:
    """Return when all of them are."""
    await asyncio.gather(*(asyncio.to_thread(each.wait_until_ready) for each in services))


def conditions(api: ServiceProcess) -> set[str]:
    """The names of what `/ready` depends on; the warnings are of the tests' own Redis."""
    return {name for name in api.checks() or {} if name != "warnings"}


def client(api: ServiceProcess) -> httpx.AsyncClient:
    """A client with the token."""
    return httpx.AsyncClient(
        base_url=api.api_url, headers=HEADERS, trust_env=False, timeout=CEILING, verify=web_trust()
    )


async def post(http: httpx.AsyncClient, list_name: str = "in") -> str:
    """Post one vCon to a list; its uuid, once it is answered 201."""
    answer = await http.post("/vcon", params={"ingress_lists": list_name}, json=a_vcon())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uuid"])


async def through(queues: Redis, uuids: Iterable[str]) -> None:
    """Return when all of these have been through the chain."""
    missing = set(uuids)
    async with asyncio.timeout(CEILING):
        while missing:
            _, vcon_uuid = await queues.blpop(["out"], timeout=CEILING)
            missing.discard(vcon_uuid)


async def test_one_command_is_an_installation_without_a_plugboard(
    start: Start, queues: Redis
) -> None:
    """Migrated and ready, with a worker, it takes a vCon, and its chain runs; then it exits 0."""
    api = start("api", "api", "--workers", "1")
    await ready(api)
    assert conditions(api) == {"redis", "workers", "postgres", "serving"}
    async with client(api) as http:
        vcon_uuid = await post(http)
        await through(queues, [vcon_uuid])
        stored = (await http.get(f"/vcon/{vcon_uuid}")).json()
        assert "by-http" in json.dumps(stored)
        refused = await http.get(f"/vcon/{vcon_uuid}", headers={"x-conserver-api-token": "other"})
        assert refused.status_code == 403
        pushed = {"params": {"ingress_list": "in"}, "headers": {"x-conserver-api-token": KEY}}
        answer = await http.post("/vcon/external-ingress", json={"no": "vCon"}, **pushed)
        assert answer.status_code == 422
    assert await asyncio.to_thread(api.stop) == 0
    await counted(queues)


async def counted(queues: Redis) -> None:
    """Fail unless both processes have counted into the last hour what that test has done."""
    minutes = [await queues.hgetall(key) for key in await queues.keys("pc:minutes:*")]
    fields = {name: value for minute in minutes for name, value in minute.items()}
    assert 'run done us ["main"]' in fields
    assert 'link ok us ["main","tag"]' in fields
    assert fields['waiting - n ["in"]'] == "0"
    assert [name.split(" ")[:2] for name in fields if name.startswith("partner")] == [
        ["partner", "invalid"]
    ]


class Load:
    """Clients that post until a connection fails; what was answered 201, and what was not."""

    def __init__(self, *apis: ServiceProcess) -> None:
        self.taken: list[str] = []
        self.lost: list[httpx.TransportError] = []
        self._some = asyncio.Event()
        self._tasks = [asyncio.create_task(self._post(api)) for api in apis for _ in range(CLIENTS)]

    async def _post(self, api: ServiceProcess) -> None:
        async with client(api) as http:
            try:
                while True:
                    self.taken.append(await post(http))
                    self._some.set()
            except httpx.TransportError as error:
                self.lost.append(error)

    async def begun(self) -> None:
        """Return once one more request was answered."""
        self._some.clear()
        await self._some.wait()

    async def ended(self) -> None:
        """Return when every client has lost its connection."""
        await asyncio.gather(*self._tasks)


async def test_replicas_share_the_work_and_a_killed_one_loses_nothing(
    start: Start, queues: Redis
) -> None:
    """Beside a service with the API: all that any of three has answered 201 is processed.

    One is killed and one is stopped while requests come in; the latter answers all that it takes.
    """
    async with plugboard() as scene:
        settings = {"WEBSOCKET_URL": scene.board.websocket_url, "TOKEN": scene.token.value}
        service = start("service", API_PORT="0", **settings)
        killed, stopped = start("killed", "api"), start("stopped", "api")
        await ready(service, killed, stopped)
        assert conditions(killed) == {"redis", "postgres", "serving"}
        loads = [Load(killed), Load(stopped)]
        await asyncio.gather(*(load.begun() for load in loads))
        await asyncio.to_thread(killed.kill)
        assert await asyncio.to_thread(stopped.stop) == 0
        await asyncio.gather(*(load.ended() for load in loads))
        assert {type(error) for error in loads[1].lost} == {httpx.ConnectError}
        async with client(service) as http:
            last = await post(http)
        await through(queues, [*loads[0].taken, *loads[1].taken, last])


async def test_what_is_being_answered_is_finished_before_the_end(
    start: Start, queues: Redis
) -> None:
    """After SIGTERM `/ready` is 503 first; the request in hand is answered, new ones are not."""
    api = start("api", "api")
    await ready(api)
    body = json.dumps(a_vcon()).encode()
    reader, writer = await asyncio.open_connection(HOST, api.api_port)
    head = (
        f"POST /vcon?ingress_lists=in HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"x-conserver-api-token: {TOKEN}\r\nExpect: 100-continue\r\n\r\n"
    )
    writer.write(head.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 100 ")  # the body is being read
    send(api.pid, SIGTERM)
    async with asyncio.timeout(CEILING):
        while (await asyncio.to_thread(api.checks) or {}).get("serving", True):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # a health port offers no event to wait for
    writer.write(body)
    await reader.readline()
    assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")
    await asyncio.to_thread(wait_until_ended, api.pid)
    assert await queues.llen("in") == 1
    assert api.stop() == 0
    writer.close()


async def test_a_second_signal_does_not_wait_for_what_is_being_answered(start: Start) -> None:
    """The grace is longer than this test may take; the client of that request is cut off."""
    patience = {"API_HEAD_SECONDS": "900", "API_BODY_SECONDS": "900", "SHUTDOWN_GRACE": "900"}
    api = start("api", "api", **patience)
    await ready(api)
    reader, writer = await asyncio.open_connection(HOST, api.api_port)
    head = f"POST /vcon HTTP/1.1\r\nHost: x\r\nx-conserver-api-token: {TOKEN}\r\n"
    writer.write(f"{head}Content-Length: 10\r\nExpect: 100-continue\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 100 ")
    for _ in range(2):
        send(api.pid, SIGTERM)
        async with asyncio.timeout(CEILING):
            while "stopping" not in api.logged():  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # a log file offers no event
    await asyncio.to_thread(wait_until_ended, api.pid)
    assert api.stop() == 0
    writer.close()


async def test_a_changed_configuration_is_taken_over(
    start: Start, config: Path, queues: Redis
) -> None:
    """At SIGHUP at once, by the API and its worker."""
    api = start("api", "api", "--workers", "1")
    await ready(api)
    async with client(api) as http:
        answer = await http.post("/vcon", params={"ingress_lists": "new"}, json=a_vcon())
        assert answer.status_code == 404
        more = "  more: {ingress_lists: [new], egress_lists: [out]}\n"
        await asyncio.to_thread(config.write_text, CONFIG + more)
        send(api.pid, SIGHUP)
        async with asyncio.timeout(CEILING):
            while answer.status_code != 201:
                answer = await http.post("/vcon", params={"ingress_lists": "new"}, json=a_vcon())
        await through(queues, [answer.json()["uuid"]])


COMPLETE = {
    "ENV_FILE": "",
    "POSTGRES_HOST": HOST,
    "POSTGRES_PORT": "1",
    "POSTGRES_USER": "u",
    "POSTGRES_PASSWORD": "p",
    "POSTGRES_DB_DEVELOPMENT": "d",
    "POSTGRES_DB_TEST": "t",
    "POSTGRES_DB_PRODUCTION": "p",
    "REDIS_URL": f"redis://{HOST}:1/0",
    "API_HOST": HOST,
}
PLUGBOARD = {"WEBSOCKET_URL": f"ws://{HOST}:1/websocket", "TOKEN": "t"}
NO_TOKEN = (
    "CONSERVER_API_TOKEN: must be set, or CONSERVER_API_TOKEN_FILE; API_OPEN=true serves the HTTP "
    "API without a token"
)
NO_FILE = "CONSERVER_API_TOKEN_FILE: /nowhere cannot be read: No such file or directory"
MISSING_FILE = {"CONSERVER_API_TOKEN_FILE": "/nowhere"}
SERVE = {**PLUGBOARD, "API_PORT": "0"}


@pytest.mark.parametrize(
    ("command", "settings", "line"),
    [
        (["api", "--workers", "1"], MISSING_FILE | {"API_OPEN": "true"}, NO_FILE),
        (["api"], {"CONSERVER_API_TOKEN": ""}, NO_TOKEN),
        (["serve"], SERVE, NO_TOKEN),
        (
            ["serve"],
            SERVE | {"REDIS_URL": "", "CONSERVER_CONFIG_FILE": "", "API_OPEN": "true"},
            "API_PORT: needs a pipeline: set CONSERVER_CONFIG_FILE and REDIS_URL",
        ),
    ],
)
def test_what_is_wrong_is_told_and_nothing_starts(
    config: Path, command: list[str], settings: dict[str, str], line: str
) -> None:
    """One clear line, and exit code 2."""
    ran = run(command, {**COMPLETE, "CONSERVER_CONFIG_FILE": str(config), **settings})
    assert (ran.returncode, ran.stderr.splitlines()[-2:]) == (2, ["Cannot start:", f"  {line}"])


def run(command: list[str], settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the entrypoint to its end."""
    return subprocess.run(
        [sys.executable, ENTRYPOINT, *command],
        env=settings,
        capture_output=True,
        text=True,
        timeout=CEILING,
        check=False,
    )


async def test_a_taken_port_is_told(config: Path, port_in_use: int) -> None:
    """It is in use by another program."""
    settings: dict[str, Any] = {
        **COMPLETE,
        "CONSERVER_CONFIG_FILE": str(config),
        "CONSERVER_API_TOKEN": TOKEN,
        "API_PORT": str(port_in_use),
    }
    ran = await asyncio.to_thread(run, ["api"], settings)
    assert ran.returncode == 2
    assert f"API_PORT: cannot listen on {port_in_use}: " in ran.stderr


@pytest.fixture
async def port_in_use() -> AsyncIterator[int]:
    """A port on which another program listens."""
    server = await asyncio.start_server(lambda *_: None, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_an_open_api_says_so(start: Start) -> None:
    """With API_OPEN and without a token every request is admitted, and the log warns of it."""
    api = start("api", "api", API_OPEN="true", CONSERVER_API_TOKEN="")
    await ready(api)
    async with client(api) as http:
        assert (await http.post("/vcon", json=a_vcon(), headers={})).status_code == 201
    assert "HTTP API asks for no token" in api.logged()
