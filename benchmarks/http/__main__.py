"""Measures the vCons per second of the HTTP API, and of a bare server in the same run.

    python -m benchmarks.http [--rounds 5] [--only NAME] [--app MODULE:ATTRIBUTE]

The server is on one core; the load (16 keep-alive connections), Valkey and Postgres are on the
other, for both servers alike. The floor (`benchmarks.http.floor`) parses the vCon, and writes it
and its uuid in one pipeline. Rounds are interleaved. Printed are medians, the ratio of the rates,
and the floor's CPU time a request over ours, which tells more on busy machines. After each round,
every vCon that was answered with 2xx is looked for in Redis. `--app` measures another ASGI
application in the place of the service.
"""

import argparse
import asyncio
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from itertools import batched, count, cycle, islice
from typing import Any

import orjson
import redis
import uvloop

from benchmarks.http.load import Load, Template, drive
from benchmarks.http.names import OURS, PARTNERS, TOKEN, TOKEN_HEADER
from benchmarks.http.servers import LOAD_CORE, Server, started
from benchmarks.processes import whole_cpu_seconds
from benchmarks.servers import servers
from benchmarks.vcons import made_up_vcons
from devstack.servers.stack import EmbeddedStack

CONNECTIONS = 16
WARM_UP = 0.1
"""Requests before those that are measured, as a share of them."""
KB = 1000


@dataclass(frozen=True, slots=True)
class Case:
    """One measured case; `aim` is the ratio to the floor that we want to reach."""

    name: str
    path: str
    size: int
    requests: int
    aim: float
    recording: bool = False
    """Whether the vCon is one recording in base64url rather than many texts."""

    def templates(self, vcon: dict[str, Any]) -> Iterator[Template]:
        """One for each connection, with its list and its key."""
        body = orjson.dumps(vcon)
        for name, key in islice(cycle(PARTNERS.items()), CONNECTIONS):
            external = self.path.endswith("external-ingress")
            parameter = "ingress_list" if external else "ingress_lists"
            headers = {TOKEN_HEADER: key if external else TOKEN}
            yield Template.of(f"{self.path}?{parameter}={name}", headers, body, vcon["uuid"])


CASES = (
    Case("POST /vcon, 5 kB", "/vcon", 5 * KB, 4000, 0.8),
    Case("external-ingress, 5 kB", "/vcon/external-ingress", 5 * KB, 4000, 0.7),
    Case("POST /vcon, 1 MB", "/vcon", 1000 * KB, 200, 0.6),
    Case("POST /vcon, 1 MB recording", "/vcon", 1000 * KB, 200, 0.6, recording=True),
)


def vcon_of(case: Case) -> dict[str, Any]:
    """The vCon of a case; its requests differ in the end of the uuid only."""
    (vcon,) = made_up_vcons(1, sizes=(5 * KB, 5 * KB))
    if case.recording:
        vcon["dialog"][0] |= {"type": "recording", "mediatype": "audio/x-wav"}
        vcon["dialog"][0] |= {"encoding": "base64url", "body": "Zm9v" * (case.size // 4)}
    else:
        vcon["dialog"] *= case.size // (5 * KB)
    return vcon


@dataclass(frozen=True, slots=True)
class Measured:
    """One round: requests per second, milliseconds, microseconds of CPU per request."""

    rate: float
    p50: float
    p99: float
    cpu: float
    redis_cpu: float


type Rounds = defaultdict[tuple[str, str], list[Measured]]
"""By case and server."""


class Bench:
    """The servers of one run, and the numbers of the requests, none of which is used twice."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._stack = stack
        self._client: Any = redis.Redis.from_url(stack.valkey.url)
        self._next = count(1)

    def measure(self, case: Case, server: Server) -> Measured:
        """One round after a short warm-up."""
        vcon = vcon_of(case)
        templates = list(case.templates(vcon))
        self._drive(server, templates, vcon, int(case.requests * WARM_UP))
        pids = server.pid, self._stack.valkey.pid
        before = [whole_cpu_seconds(pid) for pid in pids]
        load = self._drive(server, templates, vcon, case.requests)
        used = [whole_cpu_seconds(pid) - then for pid, then in zip(pids, before, strict=True)]
        times = statistics.quantiles(load.latencies, n=100)
        rate = case.requests / load.seconds
        cpu, redis_cpu = (each / case.requests * 1e6 for each in used)
        return Measured(rate, times[49] * 1e3, times[98] * 1e3, cpu, redis_cpu)

    def _drive(
        self, server: Server, templates: Sequence[Template], vcon: dict[str, Any], requests: int
    ) -> Load:
        first = next(self._next)
        self._next = count(first + requests)
        work = drive(server.port, templates, range(first, first + requests))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                load = runner.run(work)
            except OSError as error:
                sys.exit(f"{server.name}: {error}\n{server.log.read_text()[-2000:]}")
        self._check(load, vcon, f"{server.name}, {dict(load.statuses)}")
        self._forget(vcon)
        return load

    def _check(self, load: Load, vcon: dict[str, Any], about: str) -> None:
        """Exit if a vCon that was accepted is not in Redis or not in a list, or one was refused."""
        keys = [f"vcon:{vcon['uuid'][:-12]}{number:012x}" for number in load.accepted]
        stored = sum(self._client.exists(*some) for some in batched(keys, 1000))
        queued = sum(self._client.llen(name) for name in PARTNERS)
        if not stored == queued == len(keys) == len(load.latencies):
            sys.exit(f"{about}: {len(keys)} accepted, {stored} stored, {queued} queued")

    def _forget(self, vcon: dict[str, Any]) -> None:
        """Delete the vCons, so that the servers measure with the same Redis."""
        found = list(self._client.scan_iter(f"*{vcon['uuid'][:-12]}*", 1000))
        terms = [f"{kind}:{party[kind]}" for party in vcon["parties"] for kind in ("tel", "name")]
        for some in batched([*found, *PARTNERS, *terms, "vcons"], 500):
            self._client.delete(*some)


def measure(cases: Sequence[Case], rounds: int, app: str) -> Rounds:
    """The results of both servers for each case and round."""
    measured: Rounds = defaultdict(list)
    with servers() as stack, ExitStack() as until:
        both = [until.enter_context(started(each, stack)) for each in (app, "floor")]
        bench = Bench(stack)
        for number in range(rounds):
            for case in cases:
                for server in both[:: 1 if number % 2 else -1]:
                    measured[case.name, server.name].append(bench.measure(case, server))
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return measured


def _median(rounds: Sequence[Measured]) -> Measured:
    return Measured(*map(statistics.median, zip(*map(astuple, rounds), strict=True)))


def show(cases: Sequence[Case], measured: Rounds, app: str) -> None:
    """Print two lines for each case; the ratios are ours to the floor's."""
    print(f"load of the machine {os.getloadavg()[0]:.1f}; {CONNECTIONS} connections")
    print(
        f"{'case':28}{'server':11}{'vCons/s':>9}{'p50 ms':>8}{'p99 ms':>8}"
        f"{'CPU us':>8}{'Redis us':>9}{'rate':>7}{'CPU':>6}{'aim':>6}"
    )
    for case in cases:
        ours, floor = (_median(measured[case.name, each]) for each in (app, "floor"))
        ratios = f"{ours.rate / floor.rate:7.2f}{floor.cpu / ours.cpu:6.2f}{case.aim:6.2f}"
        for name, it, end in ((app, ours, ratios), ("floor", floor, "")):
            figures = f"{it.rate:9.0f}{it.p50:8.2f}{it.p99:8.2f}{it.cpu:8.0f}{it.redis_cpu:9.0f}"
            print(f"{case.name:28}{name[-10:]:11}{figures}{end}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--app", default=OURS, help="an ASGI application, MODULE:ATTRIBUTE")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    cases = [case for case in CASES if options.only in case.name]
    show(cases, measure(cases, options.rounds, options.app), options.app)


if __name__ == "__main__":
    main()
