"""One case of the chain benchmark: the servers, the vCons, the service and the floor."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any

import redis

from benchmarks.chain.names import EGRESS, INGRESS, STARTED
from benchmarks.processes import children, cpu_seconds
from benchmarks.vcons import made_up_vcons
from core.db.custody import Custody, NewCustody
from core.db.database import Database
from core.settings import DatabaseSettings
from devstack.servers.postgres import Postgres
from devstack.servers.stack import EmbeddedStack
from devstack.service import ServiceProcess

ROOT = Path(__file__).parents[2]
DATABASE = "bench"
HOLD = "bench_hold"
CONCURRENCY = 32
POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Case:
    """One measured case."""

    name: str
    link: str
    storage: str
    lists: int = 1
    padding: int = 0
    concurrency: int = CONCURRENCY
    waits: float = 0.0
    """Seconds that the chain's one link waits: the floor is then what waiting alone allows."""
    limits: bool = True
    """Whether the chain, its links and its storage have their default time limits."""
    links: int = 2
    custody: str = "redis"
    accepted: bool = True
    """Whether custody has the vCons already; otherwise the worker takes them in at their claim."""
    egress: bool = True
    """Whether the chain has an egress list; without one its end is that no vCon is locked."""
    options: Mapping[str, Any] | None = None
    """The options of the chain's link; None: those of a link that adds a tag."""
    destination: Mapping[str, Any] | None = None
    """What limits the calls of the chain's link, as a configuration has it."""

    @property
    def allowed(self) -> float:
        """The vCons a second that waiting and limits allow."""
        limits = self.destination or {}
        at_once = min(self.concurrency, limits.get("max_in_flight", self.concurrency))
        return float(min(at_once / self.waits, limits.get("requests_per_minute", 1e9) / 60))


CASES = (
    *(Case(f"tag, {each}", "links.tag", each) for each in ("none", "file", "postgres")),
    *(
        Case(f"sync link, {each}", "benchmarks.chain.plugins_like_vcon_server", each)
        for each in ("none", "file", "postgres")
    ),
    *(
        Case(f"{kind}, {each}, no time limits", link, each, limits=False)
        for kind, link in (
            ("tag", "links.tag"),
            ("sync link", "benchmarks.chain.plugins_like_vcon_server"),
        )
        for each in ("none", "file")
    ),
    Case("tag, none, ten lists", "links.tag", "none", lists=10),
    Case("tag, none, 50 kB configuration", "links.tag", "none", padding=50_000),
    Case(
        "waits 50 ms, 64 at once",
        "benchmarks.chain.waiting_link",
        "none",
        concurrency=64,
        waits=0.05,
    ),
    *(
        Case(
            f"waits 50 ms, {name}",
            "benchmarks.chain.waiting_link",
            "none",
            concurrency=64,
            waits=0.05,
            destination=limits,
        )
        for name, limits in (
            ("a breaker", {"breaker": "on"}),
            ("4 in flight", {"max_in_flight": 4}),
            ("4,800 a minute", {"requests_per_minute": 4800}),
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One round."""

    seconds: float
    cpu: float


class Bench:
    """The servers and vCons of one run."""

    def __init__(
        self,
        stack: EmbeddedStack,
        count: int,
        vcons: list[dict[str, Any]] | None = None,
        *,
        root: Path = ROOT,
        database: str = DATABASE,
    ) -> None:
        """`root`: the checkout whose service runs; another one needs a database of its own."""
        self._stack = stack
        self._root = root
        self._database = database
        self._count = count
        self._client: Any = redis.Redis.from_url(stack.valkey.url, decode_responses=True)
        self._vcons = vcons or made_up_vcons(count)
        self._files = stack.folder / "bench"
        self._files.mkdir(exist_ok=True)
        stack.postgres.create_database(database)

    def floor(self, storage: str) -> Measured:
        """One round of the bare loop."""
        self._load(1)
        target = {"postgres": self._stack.postgres.url(self._database)}.get(
            storage, str(self._files)
        )
        command = [sys.executable, "-m", "benchmarks.chain.floor", str(self._count), storage]
        process = subprocess.Popen(
            [*command, target],
            stdout=subprocess.PIPE,
            env={**os.environ, "REDIS_URL": self._stack.valkey.url},
            cwd=ROOT,
        )
        self._client.blpop([STARTED], 30)
        self._client.rename(f"{HOLD}0", INGRESS)
        output, _ = process.communicate()
        return Measured(**json.loads(output))

    def _load(self, lists: int) -> None:
        self._client.flushall()
        with self._client.pipeline(transaction=False) as pipe:
            for index, vcon in enumerate(self._vcons):
                pipe.execute_command("JSON.SET", f"vcon:{vcon['uuid']}", "$", json.dumps(vcon))
                pipe.rpush(f"{HOLD}{index % lists}", vcon["uuid"])
            pipe.execute()

    def chain(self, case: Case, watch: Callable[[int], None] = lambda _: None) -> Measured:
        """One round of the real service with one worker, whose process id `watch` gets."""
        self._load(case.lists)
        with self._service(case) as worker:
            if case.custody == "postgres" and case.accepted:
                self._take_in()
            watch(worker)
            cpu = cpu_seconds(worker)
            began = time.perf_counter()
            self._release(case.lists)
            while not self._is_done(case):
                time.sleep(POLL_SECONDS)
            return Measured(time.perf_counter() - began, cpu_seconds(worker) - cpu)

    def _take_in(self) -> None:
        """Take the vCons into custody for the first list, as the service does at their intake."""
        database = Database()
        values = self._stack.postgres.environment(self._database)
        named: dict[str, Any] = {name.lower(): value for name, value in values.items()}
        database.initialize(DatabaseSettings(environment="development", **named))
        custody = Custody(database)
        for some in batched(self._vcons, 100):
            rows = [NewCustody(each["uuid"], [INGRESS], json.dumps(each).encode()) for each in some]
            with self._client.pipeline(transaction=False) as pipe:
                for row, ref in zip(rows, custody.accept(rows), strict=True):
                    pipe.hset(f"pc:about:{row.vcon_uuid}", f"custody:{INGRESS}", ref)
                pipe.execute()
        database.close()

    def _is_done(self, case: Case) -> bool:
        if case.egress:
            return bool(self._client.llen(EGRESS) >= self._count)
        return not self._client.exists(INGRESS, "pc:locks")

    def _release(self, lists: int) -> None:
        with self._client.pipeline(transaction=True) as pipe:
            for index in range(lists):
                pipe.rename(f"{HOLD}{index}", _ingress(index))
            pipe.execute()

    @contextmanager
    def _service(self, case: Case) -> Iterator[int]:
        config = self._stack.folder / "bench.yml"
        postgres = self._stack.postgres
        config.write_text(json.dumps(_config(case, self._files, postgres, self._database)))
        service = ServiceProcess(
            self._stack.folder,
            self._environment(case, config),
            entrypoint=self._root / "entrypoint.py",
        )
        try:
            yield self._wait_for_worker(service)
        finally:
            service.stop()

    def _environment(self, case: Case, config: Path) -> dict[str, str]:
        return {
            **self._stack.environment(self._database),
            "PYTHONPATH": str(self._root),
            "WEBSOCKET_URL": "ws://127.0.0.1:9/websocket",
            "TOKEN": "none",
            "LOG_FORMAT": "json",
            "ENVIRONMENT": "development",
            "CONSERVER_CONFIG_FILE": str(config),
            "CONSERVER_VCON_CONCURRENCY": str(case.concurrency),
            "CUSTODY": case.custody,
        }

    def _wait_for_worker(self, service: ServiceProcess) -> int:
        """Process one vCon, so that everything is imported and connected."""
        warm = {**self._vcons[0], "uuid": "00000000-0000-4000-8000-000000000000"}
        self._client.json().set(f"vcon:{warm['uuid']}", "$", warm)
        self._client.rpush(_ingress(0), warm["uuid"])
        while self._client.exists(_ingress(0), "pc:locks") or not self._client.exists("pc:tokens"):
            if not service.running:
                sys.exit(f"the service ended: {service.logged()[-2000:]}")
            time.sleep(POLL_SECONDS)
        self._client.delete(EGRESS)
        return children(service.pid)[0]


def _ingress(index: int) -> str:
    return INGRESS if index == 0 else f"{INGRESS}{index}"


def _config(case: Case, files: Path, postgres: Postgres, database: str) -> dict[str, Any]:
    storages: dict[str, Any] = {
        "file": {"module": "storage.file", "options": {"path": str(files)}},
        "postgres": {
            "module": "storage.postgres",
            "options": {
                "host": postgres.host,
                "port": postgres.port,
                "user": postgres.user,
                "password": postgres.password,
                "database": database,
            },
        },
    }
    timeout: dict[str, Any] = {} if case.limits else {"timeout": "none"}
    two, beside = {"tags": ["two"]}, {**(case.destination or {}), **timeout}
    unused = {f"unused{n}": {"module": "links.tag"} for n in range(case.padding // 40)}
    return {
        "links": {
            "one": {"module": case.link, "options": case.options or {"tags": ["one"]}, **beside},
            **({} if case.waits else {"two": {"module": case.link, "options": two, **timeout}}),
            **unused,
        },
        "storages": {name: {**each, **timeout} for name, each in storages.items()},
        "chains": {
            "bench": {
                "links": ["one", "two"][: 1 if case.waits else case.links],
                "storages": [] if case.storage == "none" else [case.storage],
                "ingress_lists": [_ingress(index) for index in range(case.lists)],
                "egress_lists": [EGRESS] if case.egress else [],
                **timeout,
            }
        },
    }
