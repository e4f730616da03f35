"""Patchcord as servers and queues: what a vCon uses between its arrival and its last storage.

A vCon arrives at a service process, which checks it and stores it in Redis. It waits in an ingress
list until a worker has a free slot. The worker's interpreter claims it and reads it from Redis; the
link waits for something outside (and holds only the slot meanwhile) or uses the interpreter, which
then ends the run. Between two of its turns a run waits for those of other runs. What an interpreter
does needs a core of its replica, too. Redis executes one command at a time, for all replicas.

Left out: failures and retries, the network, the disk, and that workers claim up to 16 vCons with
one command. So the figures are those of a service that is well.
"""

import math
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

from benchmarks.simulation.events import Clock, Process, Server, start

type Seconds = float

TURNS, TRIPS = 4, 3
"""How often a run needs the interpreter, and Redis: to claim, to read, and to settle."""
USED_UP = 0.9
"""The utilisation from which a resource counts as the one that sets the limit."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What one vCon costs, in seconds of CPU time; `python -m benchmarks.costs` measures them."""

    service: Seconds = 290e-6
    """In the process that takes it in; 0 if another program puts it into Redis and the list."""
    worker: Seconds = 360e-6
    """In the interpreter of its worker, without what its links do."""
    redis_intake: Seconds = 130e-6
    redis_run: Seconds = 170e-6
    postgres: Seconds = 200e-6
    """In Postgres, for custody and storages together."""


@dataclass(frozen=True, slots=True)
class Load:
    """The vCons that arrive, and what their links do."""

    per_hour: float = 0.0
    """vCons that arrive at random times (Poisson)."""
    burst: int = 0
    """vCons that arrive together, in addition, first at the start."""
    burst_every: Seconds = math.inf
    times: tuple[Seconds, ...] = ()
    """vCons that arrive at these times, in addition."""
    link_seconds: Seconds = 0.0
    """The mean time for which links wait: for a model, a receiver, a server."""
    spread: float = 0.0
    """The standard deviation of that time as a share of its mean; 0: it is always the same."""
    link_cpu: Seconds = 0.0
    """CPU time of the links of one vCon, in the worker's interpreter."""

    def waits(self, rng: random.Random) -> Callable[[], Seconds]:
        """Draws waiting times: lognormal, with this mean and spread."""
        if not self.spread or not self.link_seconds:
            return lambda: self.link_seconds
        variance = math.log(1 + self.spread**2)
        mean = math.log(self.link_seconds) - variance / 2
        return lambda: rng.lognormvariate(mean, math.sqrt(variance))


@dataclass(frozen=True, slots=True)
class Deployment:
    """The processes that run the chains."""

    replicas: int = 1
    workers: int = 1
    """Worker processes of one replica."""
    concurrency: int = 32
    """vCons at once in one worker."""
    cores: int = 1
    """Cores of one replica."""
    postgres_cores: int = 2


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulation found; times in seconds."""

    arrived: int
    per_second: float
    """vCons that ended in a second of the observed time."""
    p50: Seconds
    """From a vCon's arrival to its end; nan when none ended."""
    p95: Seconds
    mean: Seconds
    queue_age: Seconds
    """The longest wait in an ingress list, of vCons that still wait, too."""
    left: int
    """vCons that had not ended."""
    utilisation: dict[str, float] = field(default_factory=dict)
    """The share of time, 0 to 1, in which each resource was in use."""

    @property
    def bottleneck(self) -> str:
        """The resource that sets the limit when the load grows.

        Slots are held while their vCon waits for another resource, so they count only when no
        other resource is used up.
        """
        others = {name: share for name, share in self.utilisation.items() if name != "slots"}
        busiest = max(others, key=lambda name: others[name])
        slots = self.utilisation["slots"]
        return "slots" if others[busiest] < USED_UP and slots > others[busiest] else busiest


class _Replica:
    """A service process, workers, and the cores that they share."""

    def __init__(self, clock: Clock, deployment: Deployment) -> None:
        self.cores = Server(clock, deployment.cores)
        self.service = Server(clock)
        self.workers = [_Worker(self, clock, deployment) for _ in range(deployment.workers)]


class _Worker:
    def __init__(self, replica: _Replica, clock: Clock, deployment: Deployment) -> None:
        self.replica = replica
        self.interpreter = Server(clock)
        self.slots = Server(clock, deployment.concurrency)


class Simulation:
    """One deployment under one load."""

    def __init__(self, load: Load, deployment: Deployment, costs: Costs, seed: int) -> None:
        self._clock, self._rng = Clock(), random.Random(seed)
        self._load, self._costs = load, costs
        self._redis = Server(self._clock)
        self._postgres = Server(self._clock, deployment.postgres_cores)
        self._replicas = [_Replica(self._clock, deployment) for _ in range(deployment.replicas)]
        self._workers = list(chain.from_iterable(each.workers for each in self._replicas))
        self._free = Server(self._clock, len(self._workers) * deployment.concurrency)
        self._wait = load.waits(self._rng)
        self._queued: dict[int, Seconds] = {}
        self._arrived = 0
        self._ended: list[tuple[Seconds, Seconds]] = []
        self._ages: list[tuple[Seconds, Seconds]] = []

    def run(self, seconds: Seconds, warm_up: Seconds = 0.0) -> Simulated:
        """Simulate so many seconds; the results of the first ones do not count."""
        if self._load.per_hour:
            self._clock.after(self._gap(), self._arrivals)
        if self._load.burst:
            self._bursts()
        for due in self._load.times:
            self._clock.after(due, self._arrive)
        self._clock.run(seconds)
        return self._simulated(min(seconds, self._clock.now), warm_up)

    def _gap(self) -> Seconds:
        return self._rng.expovariate(self._load.per_hour / 3600)

    def _arrivals(self) -> None:
        self._clock.after(self._gap(), self._arrivals)
        self._arrive()

    def _bursts(self) -> None:
        if math.isfinite(self._load.burst_every):
            self._clock.after(self._load.burst_every, self._bursts)
        for _ in range(self._load.burst):
            self._arrive()

    def _arrive(self) -> None:
        self._arrived += 1
        start(self._vcon(self._arrived))

    def _vcon(self, number: int) -> Process:
        arrived, costs = self._clock.now, self._costs
        if costs.service:
            replica = self._rng.choice(self._replicas)
            yield from _compute(replica.service, replica.cores, costs.service, self._clock)
        yield from self._redis.use(costs.redis_intake)
        self._queued[number] = self._clock.now
        yield self._free.take()
        self._ages.append((self._clock.now, self._clock.now - self._queued.pop(number)))
        yield from self._on(self._least_loaded())
        self._free.give()
        self._ended.append((self._clock.now, self._clock.now - arrived))

    def _least_loaded(self) -> _Worker:
        return max(self._workers, key=lambda each: each.slots.free)

    def _on(self, worker: _Worker) -> Process:
        costs, cores = self._costs, worker.replica.cores
        turn, trip = costs.worker / TURNS, costs.redis_run / TRIPS
        yield worker.slots.take()
        for _ in range(TRIPS - 1):  # claim, read
            yield from _compute(worker.interpreter, cores, turn, self._clock)
            yield from self._redis.use(trip)
        yield from _compute(worker.interpreter, cores, turn + self._load.link_cpu, self._clock)
        yield self._clock.wait(self._wait())
        yield from _compute(worker.interpreter, cores, turn, self._clock)
        yield from self._postgres.use(costs.postgres)
        yield from self._redis.use(trip)  # settle
        worker.slots.give()

    def _simulated(self, seconds: Seconds, warm_up: Seconds) -> Simulated:
        times = sorted(time for when, time in self._ended if when >= warm_up)
        waiting = [seconds - since for since in self._queued.values()]
        ages = [age for when, age in self._ages if when >= warm_up] + waiting
        return Simulated(
            arrived=self._arrived,
            per_second=len(times) / (seconds - warm_up) if seconds > warm_up else 0.0,
            p50=quantile(times, 0.5),
            p95=quantile(times, 0.95),
            mean=statistics.fmean(times) if times else math.nan,
            queue_age=max(ages, default=0.0),
            left=self._arrived - len(self._ended),
            utilisation=self._utilisation(),
        )

    def _utilisation(self) -> dict[str, float]:
        def mean(servers: list[Server]) -> float:
            return statistics.fmean(each.utilisation for each in servers)

        return {
            "service": mean([each.service for each in self._replicas]),
            "worker": mean([each.interpreter for each in self._workers]),
            "cores": mean([each.cores for each in self._replicas]),
            "slots": mean([each.slots for each in self._workers]),
            "redis": self._redis.utilisation,
            "postgres": self._postgres.utilisation,
        }


def _compute(interpreter: Server, cores: Server, seconds: Seconds, clock: Clock) -> Process:
    """Use an interpreter, for which a core must be free, too."""
    yield interpreter.take()
    yield cores.take()
    yield clock.wait(seconds)
    cores.give()
    interpreter.give()


def quantile(ordered: list[Seconds], share: float) -> Seconds:
    """The value below which this share of the ordered values is; nan of none."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else math.nan


def simulate(
    load: Load,
    deployment: Deployment,
    costs: Costs = Costs(),
    *,
    seconds: Seconds,
    seed: int = 1,
) -> Simulated:
    """Simulate so many seconds; the first tenth does not count if vCons arrive all the time."""
    warm_up = seconds / 10 if load.per_hour else 0.0
    return Simulation(load, deployment, costs, seed).run(seconds, warm_up)
