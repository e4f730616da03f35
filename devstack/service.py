"""The real service as a process of its own, for the demo, for people and for tests."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx

from devstack.errors import StackError
from devstack.servers.ports import HOST, free_port
from devstack.servers.process import KeptProcess

ENTRYPOINT = Path(__file__).parents[1] / "entrypoint.py"
READY_SECONDS = 30.0
POLL_SECONDS = 0.02


class ServiceProcess:
    """`python entrypoint.py` with its health port open; ends when this process ends."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        name: str = "service",
        entrypoint: Path = ENTRYPOINT,
    ) -> None:
        """Start it; it logs to `<folder>/<name>.log`. `environment` holds its settings.

        `entrypoint` may be that of another checkout, whose version then runs.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.health_port = int(environment.get("HEALTH_PORT") or free_port())
        self._process = KeptProcess(
            name,
            [sys.executable, entrypoint],
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
            },
        )

    @property
    def health_url(self) -> str:
        """Where `/ready` and `/metrics` are."""
        return f"http://{HOST}:{self.health_port}"

    @property
    def pid(self) -> int:
        """The service's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.running

    @property
    def log(self) -> Path:
        """Where it logs to."""
        return self._process.log

    def logged(self) -> str:
        """What it has logged so far."""
        return self._process.logged()

    def checks(self) -> dict[str, Any] | None:
        """What `/ready` says, or None while nobody answers there."""
        try:
            answer = httpx.get(f"{self.health_url}/ready", trust_env=False)
        except httpx.TransportError:
            return None
        checks: dict[str, Any] = answer.json()
        return checks

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return once it is joined and reaches everything it needs.

        Raises:
            StackError: it ended, or is not ready in time; the message says what is missing.
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
        """End it as a crash would."""
        self._process.kill()

    def stop(self) -> int | None:
        """End it with SIGTERM; its exit code."""
        self._process.stop()
        return self._process.exit_code
