"""Three replicas with slow, failing and broken plugins, 8,000 vCons, and commands for them."""

from __future__ import annotations

import asyncio
import json
import shlex
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.cli import carry_out
from app.command_line import read
from app.operator_cli.run import run
from devstack.chaos.system.servers import Servers, running
from devstack.chaos.waiting import until
from devstack.plugboard.server import DevelopmentPlugboard
from devstack.plugboard.settings import PlugboardSettings
from devstack.service import ServiceProcess
from flowlang.connections.tls import web_trust
from tests.integration.console.console_scene import Operator

COUNTS = {"calls": 3_600, "kept": 400, "crm": 3_000, "vault": 900, "slow": 100}
"""vCons for each chain: fine ones; stored ones; three causes; a broken storage; a waiting link."""
CAUSES = 3
API_TOKEN = "the-token-of-the-http-api"
PARTNER = "key-of-partner-acme-1"
PASSWORD = "a-password-of-the-console"
READ_PASSWORD = "a-password-for-reading"
SECONDS = 120.0

CONFIG: dict[str, Any] = {
    "links": {
        "tag": {"module": "links.tag", "options": {"tags": ["demo"]}},
        "lookup": {"module": "operator_lookup"},
        "wait": {"module": "operator_wait"},
    },
    "storages": {
        "archive": {"module": "storage.file"},
        "vault": {"module": "operator_vault"},
    },
    "chains": {
        "calls": {"links": ["tag"], "ingress_lists": ["calls"], "egress_lists": ["calls_out"]},
        "kept": {
            "links": ["tag"],
            "storages": ["archive"],
            "ingress_lists": ["kept"],
            "egress_lists": ["kept_out"],
        },
        "crm": {"links": ["lookup"], "ingress_lists": ["crm"], "max_attempts": 1},
        "vault": {
            "links": ["tag"],
            "storages": ["vault"],
            "ingress_lists": ["vault"],
            "max_attempts": 1,
        },
        "slow": {"links": ["wait"], "ingress_lists": ["slow"]},
    },
    "ingress_auth": {"calls": [{"key": PARTNER, "label": "ACME"}]},
}
LOOKUP = """
from pathlib import Path
from lib.vcon_redis import VconRedis

FOLDER = Path(__file__).parent
ERRORS = (LookupError("account {n} is unknown"), TimeoutError("no answer from crm-{n}"),
          ValueError("the answer of account {n} is no JSON"))

def run(vcon_uuid, link_name, opts=None):
    if (FOLDER / "crm-works").exists():
        return vcon_uuid
    n = int(VconRedis().get_vcon(vcon_uuid).subject)
    kind = ERRORS[n % len(ERRORS)]
    raise type(kind)(str(kind).format(n=n))
"""
WAIT = """
import asyncio
from pathlib import Path

FOLDER = Path(__file__).parent

async def run(vcon_uuid, link_name, opts=None):
    while not (FOLDER / "go-on").exists():
        await asyncio.sleep(0.05)
    return vcon_uuid
"""
VAULT = """
from pathlib import Path

FOLDER = Path(__file__).parent

def save(vcon_uuid, opts=None):
    if not (FOLDER / "vault-works").exists():
        raise ConnectionError("vault.example is away")

def delete(vcon_uuid, opts=None):
    return False
"""


@dataclass
class Told:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output of `--json`."""
        return json.loads(self.out)


def vcon(subject: int | str, **changes: Any) -> dict[str, Any]:
    """A vCon with a caller of its own."""
    number = subject if isinstance(subject, int) else 0
    return {
        "vcon": "0.4.0",
        "uuid": str(uuid.uuid4()),
        "created_at": "2026-11-21T12:00:00+00:00",
        "subject": str(subject),
        "parties": [{"tel": f"+4935155{number:06d}", "name": f"Caller {number}"}],
        "dialog": [],
        "analysis": [],
        "attachments": [],
    } | changes


@dataclass
class House:
    """The servers, the replicas, and what was fed."""

    servers: Servers
    folder: Path
    redis: Any
    environment: Mapping[str, str]
    replicas: list[ServiceProcess] = field(default_factory=list)
    fed: dict[str, list[str]] = field(default_factory=dict)
    transcript: list[str] = field(default_factory=list)
    replayed: bool = False
    """Whether the failures of one cause were replayed."""

    async def ask(self, line: str) -> Told:
        """Run `python entrypoint.py LINE` in this process, on the replicas' variables."""
        words = read(shlex.split(line))
        assert words.operator is not None
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = await run(words.operator, words)
        told = Told(code, out.getvalue(), err.getvalue())
        if "--json" not in line:
            self.transcript.append(f"$ python entrypoint.py {line}\n{told.out}{told.err}")
        return told

    async def data(self, line: str) -> Any:
        """The JSON of a command that ends with 0 or 1."""
        told = await self.ask(f"{line} --json")
        assert told.code in (0, 1), told.err
        return told.json

    async def change(self, line: str) -> Any:
        """The JSON of a command that changes something."""
        return await self.data(f"{line} --yes --reason 'a test'")

    async def feed(self, chain: str, documents: list[dict[str, Any]]) -> None:
        """Put vCons into the list of a chain, as adapters do."""
        for first in range(0, len(documents), 500):
            part = documents[first : first + 500]
            async with self.redis.pipeline(transaction=False) as together:
                for each in part:
                    together.execute_command(
                        "JSON.SET", f"vcon:{each['uuid']}", ".", json.dumps(each)
                    )
                together.rpush(chain, *(each["uuid"] for each in part))
                await together.execute()
        self.fed.setdefault(chain, []).extend(each["uuid"] for each in documents)

    async def length(self, name: str) -> int:
        """The length of a list."""
        return int(await self.redis.llen(name))

    async def reached(self, name: str, length: int) -> None:
        """Return when a list has this length."""

        async def so_long() -> bool:
            return await self.length(name) == length

        await until(so_long, f"{name} to have {length} entries", SECONDS)

    async def all_ended(self) -> None:
        """Return when no list has a vCon that waits and no worker holds one."""

        async def nothing() -> bool:
            found = await self.data("running")
            waiting = sum([await self.length(chain) for chain in COUNTS])
            return not waiting and not found["in_flight_total"]

        await until(nothing, "all runs to end", SECONDS)

    async def forget(self, vcon_uuid: str) -> None:
        """Let Redis forget a stored vCon, as at the end of its time to live."""
        await self.redis.expire(f"vcon:{vcon_uuid}", 0)
        for key in (f"pc:about:{vcon_uuid}", f"pc:holds:{vcon_uuid}"):
            await self.redis.delete(key)

    def archived(self, vcon_uuid: str) -> bool:
        """Whether the storage has a file of a vCon."""
        return any(self.folder.joinpath("archive").rglob(f"{vcon_uuid}.json*"))

    async def fingerprint(self) -> str:
        """What `actions --fingerprint` prints."""
        out = StringIO()
        with redirect_stdout(out):
            assert await carry_out(read(["actions", "--fingerprint"])) == 0
        return out.getvalue().strip()

    def changed_configuration(self, path: Path) -> Path:
        """The configuration with another tag and without a chain."""
        config = json.loads((self.folder / "config.yml").read_text())
        config["links"]["tag"]["options"]["tags"] = ["other"]
        del config["chains"]["calls"]
        config["ingress_auth"] = {}
        path.write_text(json.dumps(config))
        return path

    def mend(self, what: str) -> None:
        """Let a link or storage work from now on: crm-works, vault-works, go-on."""
        (self.folder / what).touch()

    @property
    def api(self) -> str:
        """The address of the first replica's HTTP server."""
        return self.replicas[0].api_url

    @asynccontextmanager
    async def console(self) -> AsyncIterator[Operator]:
        """A visitor of the console who has signed in as operator."""
        async with Operator(base_url=self.api, timeout=60, verify=web_trust()) as visitor:
            answer = await visitor.sign_in(PASSWORD)
            assert answer.status_code == 303, answer.text
            yield visitor

    def http(self) -> httpx.AsyncClient:
        """A client of the HTTP API with the token."""
        headers = {"x-conserver-api-token": API_TOKEN}
        return httpx.AsyncClient(
            base_url=f"{self.api}/api", headers=headers, timeout=30, verify=web_trust()
        )


def _write(folder: Path) -> Path:
    for name, text in {"lookup": LOOKUP, "wait": WAIT, "vault": VAULT}.items():
        (folder / f"operator_{name}.py").write_text(text)
    archive = CONFIG["storages"]["archive"] | {"options": {"path": str(folder / "archive")}}
    config = CONFIG | {"storages": CONFIG["storages"] | {"archive": archive}}
    (path := folder / "config.yml").write_text(json.dumps(config))
    return path


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """Three replicas at work: all vCons are fed, and what can end has ended."""
    config = _write(folder)
    async with AsyncExitStack() as stack:
        servers = stack.enter_context(running())
        redis: Any = Redis.from_url(servers.valkey.url, decode_responses=True)
        stack.push_async_callback(redis.aclose)
        board = await stack.enter_async_context(
            DevelopmentPlugboard(PlugboardSettings(losses=False))
        )
        token = board.create_token(board.create_service("operator"))
        environment = {
            **servers.environment(await servers.new_database()),
            "ENVIRONMENT": "development",
            "ENV_FILE": "",
            "WEBSOCKET_URL": board.websocket_url,
            "TOKEN": token.value,
            "ADMIN_ACTIONS": "true",
            "CONSERVER_CONFIG_FILE": str(config),
            "CONSERVER_API_TOKEN": API_TOKEN,
            "CONSOLE_PASSWORD": PASSWORD,
            "CONSOLE_READ_PASSWORD": READ_PASSWORD,
            "CONSERVER_VCON_CONCURRENCY": "40",
            "STORAGE_REPLAY_INTERVAL": "3600",
            "VCON_REDIS_EXPIRY": "3600",
            "PYTHONPATH": str(folder),
            "PHONE_REGION": "DE",
        }
        opened = House(servers, folder, redis, environment)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.syspath_prepend(folder)
        patch.setattr("app.operator_cli.run.configure_logging", lambda *_: None)  # the suite's
        await _start(opened, stack)
        await _fill(opened)
        yield opened


async def _start(opened: House, stack: AsyncExitStack) -> None:
    for number in range(3):
        replica = ServiceProcess(
            opened.folder / "logs",
            {**opened.environment, "API_PORT": "0", "METRICS_FOLDER": ""},
            name=f"replica-{number + 1}",
        )
        stack.callback(replica.kill)
        opened.replicas.append(replica)
    await asyncio.gather(
        *(asyncio.to_thread(replica.wait_until_ready, 60) for replica in opened.replicas)
    )


async def _fill(opened: House) -> None:
    ending = {chain: count for chain, count in COUNTS.items() if chain != "slow"}
    for chain, count in ending.items():
        await opened.feed(chain, [vcon(number) for number in range(count)])
    await opened.reached("calls_out", COUNTS["calls"])
    await opened.reached("kept_out", COUNTS["kept"])
    await opened.reached("DLQ:crm", COUNTS["crm"])
    await opened.reached("DLQ:storage:vault", COUNTS["vault"])
    # last, since they keep their slots until the link is told to go on
    await opened.feed("slow", [vcon(number) for number in range(COUNTS["slow"])])
    await opened.reached("slow", 0)
    await until(partial(_is_counted, opened), "all that is asked about to be there", SECONDS)


async def _is_counted(opened: House) -> bool:
    """Whether causes and steps, which are written after a vCon has left its list, are all there."""
    failed = (await opened.data("failures --list crm"))["causes"]
    running = await opened.data("running")
    steps = [each["step"] for each in running["in_flight"]]
    return (
        [each["count"] for each in failed] == [COUNTS["crm"] // CAUSES] * CAUSES
        and running["in_flight_total"] == COUNTS["slow"]
        and set(steps) == {"wait"}
    )
