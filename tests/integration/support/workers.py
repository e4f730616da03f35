"""Worker processes of a test, started one by one, which the test may kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Queues

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds; a ceiling, reached only when something is broken

type Start = Callable[..., subprocess.Popen[bytes]]
"""Starts `entrypoint.py worker` with these words; named ones are variables, `root` the folder."""


@contextmanager
def workers(
    folder: Path, config: str, modules: Mapping[str, str], variables: Mapping[str, str]
) -> Iterator[Start]:
    """Workers with this configuration and these modules, by name, in the folder.

    Those that still run at the end are killed. Their standard output is a pipe.
    """
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    (file := folder / "config.yml").write_text(config)
    started: list[subprocess.Popen[bytes]] = []
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(folder),
        "CONSERVER_CONFIG_FILE": str(file),
        "WEBSOCKET_URL": "ws://nowhere",
        "TOKEN": "none",
        **variables,
    }

    def start(*words: str, root: Path = ROOT, **more: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "entrypoint.py", "worker", *words],
            cwd=root,
            env=environment | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            with process:
                process.kill()


async def bury(redis_url: str, worker: str) -> None:
    """What the supervisor does after the death of a worker."""
    connection = RedisConnection(redis_url)
    await Queues(connection, run_expiry=600, vcon_expiry=600).bury(worker)
    await connection.close()
