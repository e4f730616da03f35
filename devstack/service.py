"""Runs the real service or API as a child process, for the demo, `make up` and tests."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from signal import SIGTERM
from typing import Any, NamedTuple

from devstack.errors import StackError
from devstack.servers.ports import HOST, free_port
from devstack.servers.process import KeptProcess

ENTRYPOINT = Path(__file__).parents[1] / "entrypoint.py"
READY_SECONDS = 30.0
ANSWER_SECONDS = 5.0
POLL_SECONDS = 0.02


class Fetched(NamedTuple):
    """An answer."""

    status: int
    content: bytes


def fetched(port: int, path: str) -> Fetched:
    """GET a path of a port of this machine, over plain HTTP.

    `httpx.get` makes a TLS context for each call: 30 ms of CPU time, as much as a service that
    starts uses between two looks at whether it is ready.

    Raises:
        OSError, http.client.HTTPException: no answer within `ANSWER_SECONDS`.
    """
    connection = HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return Fetched(answer.status, answer.read())
    finally:
        connection.close()


class ServiceProcess:
    """`python entrypoint.py` with its health port open; ends when this process ends.

    `api_port` is 0 in a service that does not serve the HTTP API.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        name: str = "service",
        entrypoint: Path = ENTRYPOINT,
        arguments: Sequence[str] = (),
    ) -> None:
        """Start the service; it logs to `<folder>/<name>.log`. `environment` has its settings.

        `entrypoint` may be that of another checkout, to run its version; `arguments` may be those
        of `api`. An API_PORT of 0 is replaced by a free port.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.health_port = int(environment.get("HEALTH_PORT") or free_port())
        self.api_port = _api_port(environment, arguments)
        api = {"API_HOST": HOST, "API_PORT": str(self.api_port)} if self.api_port else {}
        self._process = KeptProcess(
            name,
            [sys.executable, entrypoint, *arguments],
            folder=folder,
            stop_signal=SIGTERM,
            environment={
                "PATH": os.defpath,
                "ENV_FILE": "",  # what a developer has in .env is not part of it
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                "LOG_FORMAT": "text",
                "HEALTH_HOST": HOST,
                "HEALTH_PORT": str(self.health_port),
                **environment,
                **api,
            },
        )

    @property
    def health_url(self) -> str:
        """The base URL of `/ready` and `/metrics`."""
        return f"http://{HOST}:{self.health_port}"

    @property
    def api_url(self) -> str:
        """The base URL of the HTTP API."""
        return f"http://{HOST}:{self.api_port}"

    @property
    def pid(self) -> int:
        """The service's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process.running

    @property
    def log(self) -> Path:
        """The path of its log."""
        return self._process.log

    def logged(self) -> str:
        """The content of its log."""
        return self._process.logged()

    def checks(self) -> dict[str, Any] | None:
        """The answer of `/ready`, or None while the port is closed."""
        try:
            checks: dict[str, Any] = json.loads(fetched(self.health_port, "/ready").content)
        except (OSError, HTTPException):
            return None
        return checks

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return when `/ready` reports that the service is ready.

        Raises:
            StackError: if it ends or is not ready in time; the message has the failed checks.
        """
        deadline = time.monotonic() + seconds
        while True:
            checks = self.checks()
            if checks and all(checks.values()):
                return
            if not self.running:
                raise StackError(f"the service ended: {self._process.last_words()}")
            if time.monotonic() > deadline:
                missing = ", ".join(name for name, fine in (checks or {}).items() if not fine)
                raise StackError(
                    f"the service is not ready ({missing or 'no answer'}): "
                    f"{self._process.last_words()}"
                )
            time.sleep(POLL_SECONDS)  # a health port offers no event to wait for

    def kill(self) -> None:
        """Send SIGKILL to the service."""
        self._process.kill()

    def stop(self) -> int | None:
        """Stop it with SIGTERM; returns its exit code."""
        self._process.stop()
        return self._process.exit_code


def _api_port(environment: Mapping[str, str], arguments: Sequence[str]) -> int:
    given = environment.get("API_PORT", "0" if "api" in arguments else "")
    return int(given) or free_port() if given else 0
