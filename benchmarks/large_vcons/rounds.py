"""One round of the service or of the floor: vCons come in over HTTP and end in an egress list."""

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import httpx
import orjson
import redis
import uvloop

from benchmarks.http.load import Template, drive
from benchmarks.http.names import TOKEN, TOKEN_HEADER
from benchmarks.large_vcons.beside import Beside
from benchmarks.large_vcons.names import AT_ONCE, BUCKET, EGRESS, INGRESS, S3_KEYS
from benchmarks.processes import whole_cpu_seconds
from benchmarks.vcons import made_up_vcons
from devstack.servers.ports import HOST, free_port
from devstack.servers.stack import EmbeddedStack
from devstack.service import ServiceProcess

ROOT = Path(__file__).parents[2]
DATABASE = "bench_large"
POLL_SECONDS = 0.005
START_SECONDS = 30.0
MOST_SECONDS = 120.0


def large_vcon(size: int) -> dict[str, Any]:
    """A vCon with an inline recording of so many bytes."""
    (vcon,) = made_up_vcons(1, sizes=(5_000, 5_000))
    vcon["dialog"][0] |= {"type": "recording", "mediatype": "audio/x-wav"}
    vcon["dialog"][0] |= {"encoding": "base64url", "body": "Zm9v" * (size // 4)}
    return vcon


@dataclass(frozen=True, slots=True)
class Round:
    """What one round took."""

    seconds: float
    cpu: float
    """CPU seconds of all processes but the load and the small requests."""


@dataclass(frozen=True, slots=True)
class Holds:
    """The longest holds, in milliseconds."""

    service_cpu: float
    service_late: float
    worker_cpu: float
    worker_late: float
    slowest: float
    """Of one command of Redis."""
    slowest_name: str
    beside: Beside


class Bench:
    """The servers, and the vCon that the requests send, each under another uuid."""

    def __init__(self, stack: EmbeddedStack, size: int, vcons: int, s3_url: str) -> None:
        """`vcons` in each round, of `size` bytes."""
        self._stack, self._vcons, self._s3_url = stack, vcons, s3_url
        self._vcon = large_vcon(size)
        self._client: Any = redis.Redis.from_url(stack.valkey.url, decode_responses=True)
        self._files, self._holds = stack.folder / "files", stack.folder / "holds"
        for folder in (self._files, self._holds):
            folder.mkdir()
        self._next = count(1)
        stack.postgres.create_database(DATABASE)

    def floor(self, storage: str, how: str) -> Round:
        """A round of the floor, which writes documents `whole` or by `path`."""
        self._empty()
        port = free_port()
        target = str(self._files) if storage == "file" else self._s3_url
        with ExitStack() as until:
            server = until.enter_context(self._program("uvicorn", *_served(port)))
            worker = until.enter_context(
                self._program("benchmarks.large_vcons.floor", storage, target, how)
            )
            _wait_for(port)
            return self._round(port, (server.pid, worker.pid))

    @contextmanager
    def _program(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        environment = {**os.environ, "REDIS_URL": self._stack.valkey.url}
        program = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, env=environment)
        try:
            yield program
        finally:
            program.terminate()
            program.wait()

    def service(self, storage: str) -> Round:
        """A round of the service with one worker."""
        self._empty()
        with self._service(storage) as service:
            self._round(service.api_port, (), 1)  # everything is imported and connected
            return self._round(service.api_port, (service.pid,))

    def holds(self, storage: str) -> Holds:
        """A round of the service with small requests and PINGs beside it."""
        self._empty()
        with self._service(storage) as service:
            self._round(service.api_port, (), 1)
            path = self._small_vcon()
            self._client.execute_command("CONFIG", "SET", "slowlog-log-slower-than", 1000)
            self._client.execute_command("SLOWLOG", "RESET")
            with self._beside(service.api_port, path) as ended:
                time.sleep(1.0)
                (self._holds / "begin").touch()
                time.sleep(0.2)
                self._round(service.api_port, ())
                time.sleep(0.2)
                beside = Beside(**json.loads(ended()))
            service_held, worker_held = map(self._held, ("service", "worker"))
            name, slowest = self._slowest()
            return Holds(*service_held, *worker_held, slowest, name, beside)

    def _small_vcon(self) -> str:
        (vcon,) = made_up_vcons(1, seed=8, sizes=(1_000, 1_000))
        self._client.json().set(f"vcon:{vcon['uuid']}", "$", vcon)
        return f"/vcon/{vcon['uuid']}"

    @contextmanager
    def _beside(self, port: int, path: str) -> Iterator[Any]:
        words = [sys.executable, "-m", "benchmarks.large_vcons.beside", str(port), path]
        environment = {**os.environ, "REDIS_URL": self._stack.valkey.url}
        with subprocess.Popen(
            words, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as program:
            yield lambda: program.communicate()[0]

    def _held(self, name: str) -> tuple[float, float]:
        held = json.loads((self._holds / f"{name}.json").read_text())
        return held["cpu"] * 1e3, held["late"] * 1e3

    def _slowest(self) -> tuple[str, float]:
        entries = self._client.slowlog_get(1000)
        slowest = max(entries, key=lambda each: each["duration"], default=None)
        if slowest is None:
            return "none of 1 ms", 1.0
        return str(slowest["command"])[:40], slowest["duration"] / 1e3

    @contextmanager
    def _service(self, storage: str) -> Iterator[ServiceProcess]:
        config = self._stack.folder / "large.yml"
        config.write_text(json.dumps(self._config(storage)))
        service = ServiceProcess(
            self._stack.folder,
            self._environment(config),
            arguments=("api", "--workers", "1"),
        )
        try:
            service.wait_until_ready()
            yield service
        finally:
            service.stop()

    def _environment(self, config: Path) -> dict[str, str]:
        return {
            **self._stack.environment(DATABASE),
            "PYTHONPATH": f"{ROOT}:{Path(__file__).parent / 'held'}",
            "LOOP_HOLDS": str(self._holds),
            "LOG_FORMAT": "json",
            "ENVIRONMENT": "development",
            "API_HOST": HOST,
            "API_PORT": "0",
            "CONSERVER_API_TOKEN": TOKEN,
            "CONSERVER_CONFIG_FILE": str(config),
            "CONSERVER_VCON_CONCURRENCY": str(AT_ONCE),
        }

    def _config(self, storage: str) -> dict[str, Any]:
        s3 = {"aws_bucket": BUCKET, "endpoint_url": self._s3_url, "aws_region": "us-east-1"}
        return {
            "links": {"one": {"module": "links.tag", "options": {"tags": ["one"]}}},
            "storages": {
                "file": {"module": "storage.file", "options": {"path": str(self._files)}},
                "s3": {"module": "storage.s3", "options": {**s3, **S3_KEYS}},
            },
            "chains": {
                "bench": {
                    "links": ["one"],
                    "storages": [storage],
                    "ingress_lists": [INGRESS],
                    "egress_lists": [EGRESS],
                }
            },
        }

    def _round(self, port: int, pids: Sequence[int], vcons: int = 0) -> Round:
        numbers = [next(self._next) for _ in range(vcons or self._vcons)]
        self._client.delete(EGRESS)
        watched = (*pids, self._stack.valkey.pid)
        cpu = sum(map(whole_cpu_seconds, watched))
        began = time.perf_counter()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            work = drive(port, self._templates(), range(numbers[0], numbers[-1] + 1))
            load = runner.run(work)
        if len(load.accepted) != len(numbers):
            sys.exit(f"refused: {dict(load.statuses)}")
        while self._client.llen(EGRESS) < len(numbers):
            if time.perf_counter() - began > MOST_SECONDS:
                sys.exit("not all vCons were processed")
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - began
        return Round(seconds, sum(map(whole_cpu_seconds, watched)) - cpu)

    def _templates(self) -> list[Template]:
        body, headers = orjson.dumps(self._vcon), {TOKEN_HEADER: TOKEN}
        target = f"/vcon?ingress_lists={INGRESS}"
        return [Template.of(target, headers, body, self._vcon["uuid"])] * AT_ONCE

    def _empty(self) -> None:
        self._client.flushall()
        self._vcon["uuid"] = str(uuid.uuid4())
        for file in self._files.rglob("*.json"):
            file.unlink()
        httpx.post(f"{self._s3_url}/moto-api/reset")
        client: Any = boto3.session.Session().client(
            "s3", endpoint_url=self._s3_url, region_name="us-east-1", **S3_KEYS
        )
        client.create_bucket(Bucket=BUCKET)
        client.close()


def _served(port: int) -> tuple[str, ...]:
    how = ("--loop", "uvloop", "--http", "httptools", "--log-level", "warning")
    return "benchmarks.http.floor:application", "--port", str(port), *how


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://{HOST}:{port}/")
        except httpx.TransportError:
            time.sleep(POLL_SECONDS)
        else:
            return
    sys.exit(f"no server on port {port}")
