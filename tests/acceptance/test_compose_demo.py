"""`docker compose --profile demo`: its commands and variables, run as processes of this machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx
import pytest
import yaml
from dotenv import dotenv_values

from devstack.servers.folders import temporary_folder
from devstack.servers.ports import HOST, free_port
from devstack.servers.process import ENVIRONMENT, KeptProcess
from devstack.servers.stack import EmbeddedStack
from devstack.service import ServiceProcess

pytestmark = pytest.mark.executed  # what an installation executes

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]
VALUES = dotenv_values(ROOT / "samples/demo.env")
DATABASE = "patchcord"


def filled_in(text: str) -> str:
    """As compose does with the file of `--env-file`; fails for what must be there and is not."""

    def value(found: re.Match[str]) -> str:
        name, kind = found[1], found[2]
        assert kind != ":?" or VALUES.get(name), name
        return VALUES.get(name) or ""

    return re.sub(r"\$\{(\w+)(:[?-])?[^}]*\}", value, text).replace("$$", "$")


class Composed:
    """The containers of the profile as processes: names of hosts are ports of this machine."""

    def __init__(self, stack: EmbeddedStack, folder: Path, running: ExitStack) -> None:
        """Starts no process; those that are started end with `running`."""
        self._stack, self._folder, self._running = stack, folder, running
        self.board = free_port()
        self._places = {
            "redis:6379": f"{HOST}:{stack.valkey.port}",
            "plugboard:4000": f"{HOST}:{self.board}",
            "/data": str(folder / "data"),
        }

    def environment(self, name: str) -> dict[str, str]:
        """The variables of a container, for the servers of this machine."""
        service = SERVICES[name]
        mounted = {each.split(":")[1]: each.split(":")[0] for each in service["volumes"]}
        found = {name: filled_in(str(text)) for name, text in service["environment"].items()}
        for place, instead in self._places.items():
            found = {name: text.replace(place, instead) for name, text in found.items()}
        files = {path: str(ROOT / file) for path, file in mounted.items() if file.startswith("./")}
        found = {name: files.get(text, text) for name, text in found.items()}
        postgres = self._stack.postgres.environment(DATABASE)
        return found | {name: postgres[name] for name in found.keys() & postgres.keys()}

    def plugboard(self) -> KeptProcess:
        """The development Plugboard, listening."""
        everywhere, here = "0.0.0.0", f"{HOST}\n--port\n{self.board}"
        _, *command = "\n".join(command_of("plugboard")).replace(everywhere, here).split("\n")
        process = KeptProcess(
            "plugboard",
            [sys.executable, *command],
            folder=self._folder,
            stop_signal=SIGTERM,
            environment={**ENVIRONMENT, "PYTHONPATH": str(ROOT), **self.environment("plugboard")},
        )
        self._running.callback(process.stop)
        process.wait_for_log("WEBSOCKET_URL=")
        return process

    def service(self, name: str) -> ServiceProcess:
        """A container of the image, ready."""
        _, program, *arguments = command_of(name)
        process = ServiceProcess(
            self._folder / name,
            self.environment(name),
            entrypoint=ROOT / program,
            arguments=arguments,
        )
        self._running.callback(process.stop)
        process.wait_until_ready()
        return process


def command_of(name: str) -> list[str]:
    """The command of a container, or that of the image."""
    return list(SERVICES[name].get("command", ["python", "entrypoint.py"]))


@pytest.fixture
def composed() -> Iterator[Composed]:
    """Redis with the password of the file, and Postgres."""
    password = VALUES["REDIS_PASSWORD"] or ""
    with (
        temporary_folder() as folder,
        EmbeddedStack(fsync=False, valkey_password=password) as stack,
        ExitStack() as running,
    ):
        stack.postgres.create_database(DATABASE)
        yield Composed(stack, folder, running)


def test_the_demo_answers_at_the_plugboard_and_has_a_page(composed: Composed) -> None:
    """With the tokens of `samples/demo.env`: a request through the Plugboard, and the console."""
    board = composed.plugboard()
    service, console = composed.service("conserver"), composed.service("console")
    with httpx.Client(trust_env=False) as http:
        answer = http.post(
            f"http://{HOST}:{composed.board}",
            headers={"Authorization": f"Bearer {VALUES['ACCOUNT_TOKEN']}"},
            json={"service_id": 1, "action": "ListChains", "fields": {}},
        )
        assert answer.is_success, answer.text
        assert [each["name"] for each in answer.json()["fields"]["chains"]] == ["demo"]
        page = http.get(f"{console.api_url}/console", follow_redirects=True)
        assert (page.status_code, page.url.path) == (200, "/console/sign-in")
        token = {"x-conserver-api-token": VALUES["CONSERVER_API_TOKEN"] or ""}
        assert http.get(f"{console.api_url}/config", headers=token).is_success
    assert (console.stop(), service.stop()) == (0, 0)
    board.stop()
    assert board.exit_code == 0


def test_the_profile_adds_to_what_runs_without_it() -> None:
    """What has no profile always starts, and needs none of the other's variables."""
    added = {name for name, service in SERVICES.items() if service.get("profiles") == ["demo"]}
    assert added == {"plugboard", "console"}
    assert all(not SERVICES[name].get("profiles") for name in SERVICES.keys() - added)
    published = [port for name in added for port in SERVICES[name]["ports"]]
    assert sorted(published) == ["127.0.0.1:4000:4000", "127.0.0.1:8000:8000"]
    assert "./devstack:/app/devstack:ro" in SERVICES["plugboard"]["volumes"]
