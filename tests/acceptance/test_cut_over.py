"""A cut-over from vcon-server as its page has it: its commands, real processes, one Redis."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from redis import Redis

from devstack.service import ENTRYPOINT, ServiceProcess
from flowlang.connections.tls import web_trust
from tests.canaries import canary
from tests.integration.support.pipeline_fixtures import a_vcon
from tests.integration.support.vcon_server import VconServer
from tests.unit.support.source_files import ROOT

pytestmark = pytest.mark.executed  # what an installation executes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

PAGE = (ROOT / "docs" / "moving-from-vcon-server.md").read_text(encoding="utf-8")
CHECK = ".venv/bin/python entrypoint.py check --vcon-server"
SERVE = ".venv/bin/python entrypoint.py api --workers 1"
TOKEN = canary("token-of-the-cut-over-9b1f")
KEY = canary("key-of-a-partner-5d20")
CONFIG = f"""
ingress_auth:
  customer_data: "{KEY}"
links:
  tag: {{module: links.tag, options: {{tags: [moved]}}}}
storages:
  files: {{module: storage.file, options: {{path: "${{DATA_FOLDER}}"}}}}
chains:
  main_chain:
    links: [tag]
    storages: [files]
    ingress_lists: [customer_data]
    egress_lists: [done]
    enabled: 1
"""
CEILING = 60.0


class Installation:
    """The folder of an installation of vcon-server: `.env`, `config.yml`, and its Redis."""

    def __init__(self, folder: Path, settings: dict[str, str], client: Redis) -> None:
        self.folder, self.client = folder, client
        self.vcon_server = VconServer(client)
        self.files = folder / "files"
        (folder / "config.yml").write_text(CONFIG)
        lines = settings | {
            "CONSERVER_CONFIG_FILE": str(folder / "config.yml"),
            "CONSERVER_API_TOKEN": TOKEN,
            "DATA_FOLDER": str(self.files),
            "SWEEP_INTERVAL": "0.2",
            "STORAGE_REPLAY_INTERVAL": "0.2",
        }
        (folder / ".env").write_text("".join(f"{name}={text}\n" for name, text in lines.items()))
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Installation:
        """Nothing runs yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop all processes."""
        await self._exit.aclose()

    def check(self) -> tuple[int, dict[str, Any]]:
        """The exit code and the report of the page's first command."""
        _, _, *arguments = CHECK.split()
        ran = subprocess.run(
            [sys.executable, ENTRYPOINT, *arguments, "--json"],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=CEILING,
        )
        assert ran.stderr == ""
        return ran.returncode, json.loads(ran.stdout)

    async def serve(self, name: str, command: str = SERVE) -> ServiceProcess:
        """Run the page's command for the API, until it is ready."""
        _, _, *arguments = command.split()
        environment = {"ENV_FILE": str(self.folder / ".env")}
        service = ServiceProcess(self.folder, environment, name=name, arguments=arguments)
        self._exit.push_async_callback(asyncio.to_thread, service.stop)
        await asyncio.to_thread(service.wait_until_ready)
        return service

    async def through(self, uuids: Sequence[str]) -> None:
        """Return when all of these have been through the chain, read out of its egress list."""
        missing = set(uuids)
        while missing:
            taken: Any = await asyncio.to_thread(self.client.blpop, ["done"], CEILING)
            assert taken is not None, missing
            missing.discard(taken[1])

    def stored(self) -> set[str]:
        """The vCons that the storage has."""
        return {path.name.partition(".")[0] for path in self.files.rglob("*.json*")}


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """What an outsider sees of Redis."""
    with Redis.from_url(redis_url, decode_responses=True, socket_timeout=2 * CEILING) as outsider:
        yield outsider


@pytest.fixture
async def installation(
    tmp_path: Path, redis_url: str, database_environment: dict[str, str], client: Redis
) -> AsyncIterator[Installation]:
    """One that has not moved yet."""
    settings = database_environment | {"REDIS_URL": redis_url}
    async with Installation(tmp_path, settings, client) as opened:
        yield opened


def http(service: ServiceProcess) -> httpx.AsyncClient:
    """A client with the token."""
    return httpx.AsyncClient(
        base_url=service.api_url,
        headers={"x-conserver-api-token": TOKEN},
        trust_env=False,
        timeout=CEILING,
        verify=web_trust(),
    )


def subjects(report: dict[str, Any], area: str) -> dict[str, str]:
    """What is told of an area, by subject; of several the last."""
    return {each["subject"]: each["differs"] for each in report["findings"] if each["area"] == area}


def test_the_commands_of_the_page_are_those_that_are_run_here() -> None:
    """Each line of its shell blocks."""
    blocks = re.findall(r"^ *```sh\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    lines = {line for block in blocks for each in block.splitlines() if (line := each.strip())}
    assert lines == {CHECK, SERVE}


async def test_workers_first_then_producers(installation: Installation) -> None:
    """The order of the page: nothing that vcon-server has taken in is lost, or done twice."""
    theirs, redis = installation.vcon_server, installation.client
    before = [theirs.ingest(a_vcon(), ["customer_data"]) for _ in range(2)]
    before.append(VconServer(redis, as_string=True).ingest(a_vcon(), ["customer_data"]))
    dead, unsaved = theirs.ingest(a_vcon()), theirs.ingest(a_vcon())
    theirs.bury("customer_data", dead)
    theirs.bury_storage("files", unsaved)
    code, report = await asyncio.to_thread(installation.check)
    assert code == 0, report
    assert "uuids that wait for a worker: 3" in subjects(report, "redis")["customer_data"]

    service = await installation.serve("first")
    await installation.through([*before, unsaved])  # the storage's dead letter by itself
    later = theirs.ingest(a_vcon(), ["customer_data"])  # its API still takes in
    async with http(service) as api:
        answer = await api.post("/vcon", params={"ingress_lists": "customer_data"}, json=a_vcon())
        assert answer.status_code == 201, answer.text
        mine = answer.json()["uuid"]
        partner = {"x-conserver-api-token": KEY}
        external = {"ingress_list": "customer_data"}
        pushed = a_vcon()
        answer = await api.post(
            "/vcon/external-ingress", params=external, json=pushed, headers=partner
        )
        assert (answer.status_code, answer.content) == (204, b"")
        answer = await api.post("/dlq/reprocess", params={"ingress_list": "customer_data"})
        assert answer.json() == 1
        everything = [*before, dead, unsaved, later, mine, pushed["uuid"]]
        await installation.through([dead, later, mine, pushed["uuid"]])
        assert installation.stored() == set(everything)
        assert (await api.get("/index_vcons")).json() == len(everything)
        listed = (await api.get("/vcon", params={"size": 50})).json()
        assert sorted(listed) == sorted(everything)
        found = (await api.get("/vcons/search", params={"tel": "+15550100"})).json()
        assert sorted(found) == sorted(everything)
        document = (await api.get(f"/vcon/{before[2]}")).json()
        assert "moved:moved" in json.dumps(document)
    assert redis.llen("customer_data") == 0
    code, report = await asyncio.to_thread(installation.check)
    assert (code, report["counts"]["stop"]) == (0, 0)


async def test_there_and_back(installation: Installation) -> None:
    """An API without workers beside vcon-server's worker, which then has everything again."""
    theirs, redis = installation.vcon_server, installation.client
    service = await installation.serve("beside", SERVE.replace("--workers 1", "--workers 0"))
    async with http(service) as api:
        vcons = [a_vcon() for _ in range(3)]
        for vcon in vcons:
            answer = await api.post("/vcon", params={"ingress_list": "customer_data"}, json=vcon)
            assert answer.status_code == 201
        uuids = [vcon["uuid"] for vcon in vcons]
        seen: list[str] = []
        assert theirs.work(["customer_data"], lambda each: seen.append(each["uuid"]), ["done"])
        assert seen == uuids[:1]
        answer = await api.get("/vcon/egress", params={"egress_list": "done", "limit": 5})
        assert answer.json() == uuids[:1]
        depth = await api.get("/stats/queue", params={"list_name": "customer_data"})
        assert depth.json() == {"list_name": "customer_data", "depth": 2}
    assert await asyncio.to_thread(service.stop) == 0
    _, report = await asyncio.to_thread(installation.check)
    assert "no runs in progress" in subjects(report, "redis")["pc:*"]
    program = PAGE.split("```python\n")[1].partition("```")[0]
    text = "\n".join(line.removeprefix("   ") for line in program.splitlines())
    url = (installation.folder / ".env").read_text().split("REDIS_URL=")[1].splitlines()[0]
    command = [sys.executable, "-c", text]
    await asyncio.to_thread(subprocess.run, command, env={"REDIS_URL": url}, check=True)
    for vcon_uuid in uuids:
        assert int(redis.ttl(f"vcon:{vcon_uuid}")) > 0
    for vcon_uuid in uuids[1:]:
        assert theirs.work(["customer_data"], lambda _: None) == vcon_uuid
