"""Measures what one vCon costs: CPU time by process, commands of Redis, bytes left behind.

    python -m benchmarks.costs [--rounds 3] [--count 1500]

vCons of 5 kB are posted over 16 connections to one process with the HTTP API and one worker, whose
chain tags them; a round ends when all are in the egress list. docs/scaling.md has the table. Bytes
are those that are left when every run has ended, until they expire or are pruned.
"""

import argparse
import http.client
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from typing import Any
from urllib.parse import urlsplit

import orjson
import psycopg
import redis

from benchmarks.running import DATABASE, TOKEN, Running, running
from benchmarks.servers import servers
from benchmarks.vcons import made_up_vcons
from devstack.servers.stack import EmbeddedStack

CONNECTIONS = 16
SIZES = (4_500, 5_500)
CHAINS = {"none": [], "file": ["file"], "postgres": ["postgres"]}
SCRIPTS = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_fcall")


@dataclass(frozen=True, slots=True)
class Case:
    """A setting of custody, and the storage of the chain."""

    custody: str
    storage: str

    @property
    def name(self) -> str:
        """As the table shows it."""
        return f"CUSTODY={self.custody}, storage {self.storage}"


CASES = [Case(custody, storage) for custody in ("redis", "postgres") for storage in CHAINS]


@dataclass(frozen=True, slots=True)
class Cost:
    """For one vCon: microseconds of CPU time, commands, bytes."""

    service: float
    worker: float
    redis: float
    postgres: float
    commands: float
    """Commands of Redis, those inside scripts included."""
    scripts: float
    """Calls of scripts."""
    redis_bytes: float
    postgres_bytes: float
    wal_bytes: float


def config(case: Case, stack: EmbeddedStack) -> dict[str, Any]:
    """One link, perhaps a storage, an egress list."""
    postgres = stack.postgres
    options = {
        "file": {"path": str(stack.folder / "costs")},
        "postgres": {
            "host": postgres.host,
            "port": postgres.port,
            "user": postgres.user,
            "password": postgres.password,
            "database": DATABASE,
        },
    }
    storages = {n: {"module": f"storage.{n}", "options": each} for n, each in options.items()}
    chain = {
        "links": ["tag"],
        "storages": CHAINS[case.storage],
        "ingress_lists": ["in"],
        "egress_lists": ["out"],
    }
    tag = {"module": "links.tag", "options": {"tags": ["cost"]}}
    return {"links": {"tag": tag}, "storages": storages, "chains": {"main": chain}}


class Bench:
    """The vCons of one run, against one stack."""

    def __init__(self, stack: EmbeddedStack, count: int) -> None:
        self._stack = stack
        self._count = count
        self._seed = 1
        self._client: Any = redis.Redis.from_url(stack.valkey.url, decode_responses=True)
        (stack.folder / "costs").mkdir(exist_ok=True)

    def measure(self, case: Case) -> Cost:
        """One round, on empty servers: recovery would bring back what a flushed Redis had."""
        self._client.flushall()
        self._stack.postgres.drop_database(DATABASE)
        self._stack.postgres.create_database(DATABASE)
        settings = {"CUSTODY": case.custody, "CONSERVER_VCON_CONCURRENCY": "32"}
        with running(self._stack, config(case, self._stack), settings) as service:
            self._post(service, self._count // 10)
            return self._cost(service)

    def _cost(self, service: Running) -> Cost:
        redis_before, sizes_before, cpu = self._redis(), self._sizes(), service.cpu()
        self._post(service, self._count)
        time.sleep(1.0)  # histories are written twice a second
        spent = service.cpu().since(cpu).each(self._count)
        after = zip((*self._redis(), *self._sizes()), (*redis_before, *sizes_before), strict=True)
        return Cost(**spent, **dict(zip(NAMES, self._each(after), strict=True)))

    def _each(self, pairs: Any) -> Iterator[float]:
        return ((now - before) / self._count for now, before in pairs)

    def _redis(self) -> tuple[float, float, float]:
        """Commands, calls of scripts, bytes in use."""
        stats = self._client.info("commandstats")
        calls = {name: each["calls"] for name, each in stats.items()}
        scripts = sum(calls.get(name, 0) for name in SCRIPTS)
        return sum(calls.values()), scripts, self._client.info("memory")["used_memory"]

    def _sizes(self) -> tuple[float, float]:
        """Bytes of all tables with their indices, and of the write-ahead log until now."""
        with psycopg.connect(self._stack.postgres.url(DATABASE), autocommit=True) as connection:
            found = connection.execute(SIZES_NOW).fetchone()
        assert found is not None
        return float(found[0]), float(found[1])

    def _post(self, service: Running, count: int) -> None:
        """Post so many new vCons, and wait until all are in the egress list."""
        self._seed += 1
        bodies = [orjson.dumps(each) for each in made_up_vcons(count, self._seed, SIZES)]
        address = urlsplit(service.process.api_url).netloc
        parts = list(batched(bodies, -(-len(bodies) // CONNECTIONS)))
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            list(threads.map(lambda part: post(address, part), parts))
        while self._client.llen("out") < count:
            time.sleep(0.01)
        self._client.delete("out")


NAMES = ("commands", "scripts", "redis_bytes", "postgres_bytes", "wal_bytes")
SIZES_NOW = """
SELECT sum(pg_total_relation_size(oid)), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')
FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace
"""


def post(address: str, bodies: Sequence[bytes]) -> None:
    """Post vCons over one connection, one after the other."""
    connection = http.client.HTTPConnection(address, timeout=60)
    headers = {"x-conserver-api-token": TOKEN, "content-type": "application/json"}
    for body in bodies:
        connection.request("POST", "/vcon?ingress_lists=in", body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise RuntimeError(f"answered with {answer.status}")
    connection.close()


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(*(statistics.median(getattr(each, n) for each in costs) for n in Cost.__slots__))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--only", default="", help="part of a case's name")
    options = parser.parse_args()
    cases = [case for case in CASES if options.only in case.name]
    found: dict[str, list[Cost]] = {case.name: [] for case in cases}
    with servers() as stack:
        bench = Bench(stack, options.count)
        for number in range(options.rounds):
            for case in cases:
                found[case.name].append(bench.measure(case))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    heads = (
        "service",
        "worker",
        "redis",
        "postgres",
        "commands",
        "scripts",
        "redis B",
        "pg B",
        "WAL",
    )
    print(f"{'for one vCon':36}" + "".join(f"{head:>10}" for head in heads))
    for name, costs in found.items():
        values = (getattr(median(costs), field) for field in Cost.__slots__)
        print(f"{name:36}" + "".join(f"{value:10,.0f}" for value in values))
    print(f"CPU in us; load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
