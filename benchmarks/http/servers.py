"""Starts the servers of the HTTP benchmark, each a process on the same core."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http.names import PARTNERS, TOKEN
from devstack.servers.ports import HOST, free_port
from devstack.servers.stack import EmbeddedStack

ROOT = Path(__file__).parents[2]
DATABASE = "bench_http"
FLOOR = "benchmarks.http.floor:application"
LOAD_CORE, SERVER_CORE = 0, 1
START_SECONDS = 30.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs."""

    name: str
    port: int
    pid: int
    log: Path


@contextmanager
def started(name: str, stack: EmbeddedStack) -> Iterator[Server]:
    """A server that accepts connections: the service, `floor`, or MODULE:ATTRIBUTE."""
    port = free_port()
    which = FLOOR if name == "floor" else name
    command = [sys.executable, "-m", "benchmarks.http.server", str(SERVER_CORE), str(port), which]
    log = stack.folder / f"{name.partition(':')[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(stack), stdout=output, stderr=output
        )
    try:
        _wait(process, port, log)
        yield Server(name, port, process.pid, log)
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port)).close()
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            return
    sys.exit(f"no server on port {port}: {log.read_text()[-2000:]}")


def _environment(stack: EmbeddedStack) -> dict[str, str]:
    """The settings of the service; keys have the highest limit of requests, which is counted."""
    config = stack.folder / "http.yml"
    if not config.exists():
        config.write_text(json.dumps(_config()))
        stack.postgres.create_database(DATABASE)
    return {
        **os.environ,
        **stack.environment(DATABASE),
        "WEBSOCKET_URL": "ws://127.0.0.1:9/websocket",
        "TOKEN": "none",
        "ENV_FILE": "",
        "ENVIRONMENT": "development",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
        "API_HOST": HOST,
        "CONSERVER_API_TOKEN": TOKEN,
        "CONSERVER_CONFIG_FILE": str(config),
        "INGRESS_KEY_REQUESTS_PER_MINUTE": "100000",
    }


def _config() -> dict[str, object]:
    return {
        "chains": {"bench": {"links": [], "ingress_lists": list(PARTNERS)}},
        "ingress_auth": {name: [key] for name, key in PARTNERS.items()},
    }
