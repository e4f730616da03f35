"""The real service with one worker beside its simulation, for the same loads.

Each link is run with a backlog, which gives the throughput, and with vCons that arrive at random at
half and at four fifths of what one worker can do, which gives the time of a vCon from its list to
its egress list. The costs of the engine are measured in a run of their own, with a link that does
nothing; nothing is fitted to the runs that are compared.
"""

import json
import math
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import redis

from benchmarks.running import DATABASE, Cpu, Running, running
from benchmarks.servers import servers
from benchmarks.simulation.model import Costs, Deployment, Load, quantile, simulate
from benchmarks.vcons import made_up_vcons
from devstack.servers.stack import EmbeddedStack

LINK = "benchmarks.simulation.measured_links"
WITHIN = 0.15
SIZES = (4_000, 6_000)
SECONDS = 10.0
"""Of arrivals in one run."""
GIVE_UP_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Kind:
    """A link, and the concurrency of the worker that runs it."""

    name: str
    concurrency: int
    wait: float = 0.0
    hold: float = 0.0

    @property
    def load(self) -> Load:
        """The load of its links; nothing arrives."""
        return Load(link_seconds=self.wait, link_cpu=self.hold)

    def most(self, costs: Costs) -> float:
        """VCons a second that one worker can do."""
        each = self.wait + self.hold + costs.worker
        return min(self.concurrency / each, 1 / (self.hold + costs.worker))


KINDS = (Kind("waits 0.5 s", 32, wait=0.5), Kind("holds 100 ms", 8, hold=0.1))
SHARES = (0.5, 0.8)


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of a run beside that of its simulation."""

    kind: str
    load: str
    figure: str
    real: float
    simulated: float

    @property
    def error(self) -> float:
        """By how much the simulation is off, as a share of what is real."""
        return self.simulated / self.real - 1


class Driver:
    """Queues vCons at their times, and notes when each comes out."""

    def __init__(self, stack: EmbeddedStack, name: str) -> None:
        """`name`: of the ingress list; the egress list is the same with `_out`."""
        url = stack.valkey.url
        self._in, self._out = name, f"{name}_out"
        self._client: Any = redis.Redis.from_url(url, decode_responses=True)
        self._reader: Any = redis.Redis.from_url(url, decode_responses=True)

    def run(self, times: list[float]) -> tuple[list[float], float]:
        """The seconds of each vCon, and from the first into the list to the last out of it."""
        vcons = made_up_vcons(len(times), random.randrange(2**32), SIZES)
        with self._client.pipeline(transaction=False) as pipe:
            for vcon in vcons:
                pipe.execute_command("JSON.SET", f"vcon:{vcon['uuid']}", "$", json.dumps(vcon))
            pipe.execute()
        queued, ended = dict[str, float](), dict[str, float]()
        reading = threading.Thread(target=self._read, args=[len(times), ended])
        reading.start()
        began = time.perf_counter()
        for vcon, due in zip(vcons, times, strict=True):
            if (left := began + due - time.perf_counter()) > 0:
                time.sleep(left)
            queued[vcon["uuid"]] = time.perf_counter()
            self._client.rpush(self._in, vcon["uuid"])
        reading.join()
        return [ended[each] - queued[each] for each in queued], max(ended.values()) - began

    def _read(self, count: int, ended: dict[str, float]) -> None:
        while len(ended) < count:
            _, vcon_uuid = self._reader.blpop([self._out], GIVE_UP_SECONDS)
            ended[vcon_uuid] = time.perf_counter()


def arrivals(per_second: float) -> list[float]:
    """Times at random, from 0 on."""
    rng, now, times = random.Random(5), 0.0, list[float]()
    while (now := now + rng.expovariate(per_second)) < SECONDS:
        times.append(now)
    return times


def config_of(name: str, kind: Kind) -> dict[str, Any]:
    """One chain with the link."""
    options = {"wait": kind.wait, "hold": kind.hold}
    links = {"link": {"module": LINK, "options": options}}
    chain = {"links": ["link"], "ingress_lists": [name], "egress_lists": [f"{name}_out"]}
    return {"links": links, "chains": {name: chain}}


def serving(stack: EmbeddedStack, kind: Kind) -> Any:
    """The service with one worker for a kind."""
    settings = {"CONSERVER_VCON_CONCURRENCY": str(kind.concurrency), "CUSTODY": "redis"}
    return running(stack, config_of("in", kind), settings)


def costs_of(stack: EmbeddedStack, count: int = 2000) -> Costs:
    """What the engine itself costs, with a link that does nothing."""
    with serving(stack, Kind("nothing", 32)) as service:
        driver = Driver(stack, "in")
        driver.run([0.0] * 50)
        before = service.cpu()
        driver.run([0.0] * count)
        spent: Cpu = service.cpu().since(before)
    each = {name: cost / 1e6 for name, cost in spent.each(count).items()}
    return Costs(0.0, each["worker"], each["redis"] / 4, each["redis"] * 3 / 4, each["postgres"])


def compare(service: Running, kind: Kind, costs: Costs) -> Iterator[Compared]:
    """A backlog, and two loads below what the worker can do."""
    driver, deployment = Driver(service.stack, "in"), Deployment(concurrency=kind.concurrency)
    driver.run([0.0] * kind.concurrency)
    most = kind.most(costs)
    count = int(most * SECONDS)
    _, seconds = driver.run([0.0] * count)
    told = simulate(replace(kind.load, burst=count), deployment, costs, seconds=math.inf)
    yield Compared(kind.name, "backlog", "vCons/s", count / seconds, told.per_second)
    for share in SHARES:
        times, seconds = driver.run(due := arrivals(share * most))
        load = replace(kind.load, times=tuple(due))
        told = simulate(load, deployment, costs, seconds=math.inf)
        name = f"{share:.0%} of it"
        yield Compared(kind.name, name, "vCons/s", len(due) / seconds, told.per_second)
        yield Compared(kind.name, name, "mean s", statistics.fmean(times), told.mean)
        yield Compared(kind.name, name, "p50 s", quantile(sorted(times), 0.5), told.p50)
        yield Compared(kind.name, name, "p95 s", quantile(sorted(times), 0.95), told.p95)


def comparisons() -> Iterator[Compared]:
    """All figures; takes about two minutes."""
    with servers() as stack:
        stack.postgres.create_database(DATABASE)
        costs = costs_of(stack)
        sys.stderr.write(f"engine: {costs.worker * 1e6:.0f} us of CPU for a vCon\n")
        for kind in KINDS:
            with serving(stack, kind) as service:
                yield from compare(service, kind, costs)


def validate() -> int:
    """Compare, and print; the exit code is 1 when a throughput or a mean time is off."""
    print(f"{'link':18}{'load':12}{'':10}{'real':>10}{'simulated':>11}{'off by':>8}")
    worst = 0.0
    for each in comparisons():
        print(
            f"{each.kind:18}{each.load:12}{each.figure:10}{each.real:10.3g}"
            f"{each.simulated:11.3g}{each.error:8.1%}"
        )
        if each.figure in ("vCons/s", "mean s"):
            worst = max(worst, abs(each.error))
    load = os.getloadavg()[0]
    print(f"at most {worst:.1%} off in throughput and mean time; load of the machine: {load:.1f}")
    return 0 if worst <= WITHIN else 1
