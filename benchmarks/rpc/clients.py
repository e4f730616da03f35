"""The measured clients, each a separate process on the same core."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import children
from benchmarks.rpc.names import INGRESS
from core.plugboard.handshake import handshake_url
from devstack.plugboard import DevelopmentPlugboard
from devstack.plugboard.board.directory import Service
from devstack.servers.stack import EmbeddedStack

ROOT = Path(__file__).parents[2]
OURS = "patchcord"
KEPT = "patchcord with custody"
SETTINGS = {OURS: {}, KEPT: {"CUSTODY": "postgres"}}
"""The clients that are our service, with the settings in which they differ."""
OFFERED = "Echo,Pause,IngestVcon"
CORE = 1
"""The clients' core; everything else is on core 0."""


@contextlib.contextmanager
def client(board: DevelopmentPlugboard, service: Service, stack: EmbeddedStack) -> Iterator[int]:
    """The pid of a running client: of our service or of a floor, as the Plugboard's service says.

    It joins after a while.
    """
    run = _ours if service.name in SETTINGS else _floor
    with run(board, service, stack) as pid:
        yield pid


@contextlib.contextmanager
def _floor(board: DevelopmentPlugboard, service: Service, stack: EmbeddedStack) -> Iterator[int]:
    url = handshake_url(board.websocket_url, board.create_token(service).value, {}, "2.0.0")
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.rpc.floor", service.name, url, str(CORE)],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": stack.valkey.url, "POSTGRES_URL": stack.postgres.url()},
    )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _ours(board: DevelopmentPlugboard, service: Service, stack: EmbeddedStack) -> Iterator[int]:
    """The service; its worker is suspended, since it would claim the ingested vCons."""
    stack.postgres.create_database(service.name)
    config = stack.folder / f"{service.name}.yml"
    config.write_text(json.dumps({"chains": {"bench": {"links": [], "ingress_lists": [INGRESS]}}}))
    with (stack.folder / f"{service.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.rpc.service", str(CORE)],
            cwd=ROOT,
            stderr=log,
            stdout=log,
            env={
                **os.environ,
                **stack.environment(service.name),
                "WEBSOCKET_URL": board.websocket_url,
                "TOKEN": board.create_token(service).value,
                "ENVIRONMENT": "development",
                "LOG_FORMAT": "json",
                "LOG_LEVEL": "INFO",
                "ACTIONS": OFFERED,
                "LEASE_SECONDS": "3600",
                "CONSERVER_CONFIG_FILE": str(config),
                **SETTINGS[service.name],
            },
        )
    try:
        yield process.pid
    finally:
        for worker in children(process.pid):
            os.kill(worker, signal.SIGCONT)
        process.terminate()
        process.wait()


def stop_workers(pid: int) -> None:
    """Suspend the service's workers, which share the client's core."""
    for worker in children(pid):
        os.kill(worker, signal.SIGSTOP)
