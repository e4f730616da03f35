"""How many replicas, and which Redis, a load needs: a lower bound by sums, then simulation."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.simulation.model import Costs, Deployment, Load, Simulated, simulate

REDIS_SHARE = 0.6
"""The utilisation of Redis that is planned for: its queue grows without limit towards 1."""
HEADROOM = 2.0
"""Redis memory beside the documents: a rewrite of the append-only file, fragmentation."""
MOST_REPLICAS = 512
SIMULATED_VCONS = 20_000
LEAST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """What has to hold; times in seconds."""

    p95: float = math.inf
    """Above the time for which links wait, which no replica shortens."""
    queue_age: float = 60.0


@dataclass(frozen=True, slots=True)
class Documents:
    """How much memory vCons take in Redis."""

    bytes: float = 10_000
    """The JSON of one vCon."""
    factor: float = 1.6
    """Bytes of Redis for a byte of JSON; `python -m benchmarks.costs` measures both."""
    beside: float = 1000.0
    """Bytes of Redis for a vCon that do not grow with it."""
    kept: float = 3600.0
    """Seconds for which Redis keeps a vCon that has ended: VCON_REDIS_EXPIRY."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a load needs."""

    deployment: Deployment
    simulated: Simulated
    shards: int
    """Services, each with a Redis of its own; each gets an equal part of the load."""
    redis_bytes: float
    """The `maxmemory` of each of these Redis."""
    fits: bool
    """Whether the target is met."""


def shards_for(load: Load, costs: Costs) -> int:
    """The number of Redis whose one core suffices."""
    per_second = load.per_hour / 3600
    return max(1, math.ceil(per_second * (costs.redis_intake + costs.redis_run) / REDIS_SHARE))


def least_replicas(load: Load, one: Deployment, costs: Costs) -> int:
    """The replicas below which queues grow without limit; `one` is the shape of a replica."""
    per_second = load.per_hour / 3600
    interpreter = per_second * (costs.worker + load.link_cpu)
    slots = per_second * (load.link_seconds + load.link_cpu + costs.worker)
    return max(
        1,
        math.ceil(per_second * costs.service),
        math.ceil(interpreter / one.workers),
        math.ceil((interpreter + per_second * costs.service) / one.cores),
        math.ceil(slots / (one.workers * one.concurrency)),
    )


def redis_bytes(load: Load, documents: Documents, seconds: float) -> float:
    """Memory for all vCons that are in Redis at once; each stays for `seconds` and its expiry."""
    held = load.per_hour / 3600 * (seconds + documents.kept) + load.burst
    return held * (documents.bytes * documents.factor + documents.beside) * HEADROOM


def observed_seconds(load: Load, vcons: int = SIMULATED_VCONS) -> float:
    """A time in which so many vCons come, and two bursts; a single burst is seen to its end."""
    if not load.per_hour and not math.isfinite(load.burst_every):
        return math.inf
    arrivals = vcons / load.per_hour * 3600 if load.per_hour else 0.0
    bursts = 2 * load.burst_every if math.isfinite(load.burst_every) else 0.0
    return max(LEAST_SECONDS, 20 * load.link_seconds, arrivals, bursts)


def meets(simulated: Simulated, load: Load, target: Target) -> bool:
    """Whether it does; a vCon that has not ended within the observed time fails no target."""
    late = simulated.p95 - load.link_seconds > target.p95
    return not late and simulated.queue_age <= target.queue_age


def size(
    load: Load,
    one: Deployment,
    costs: Costs,
    target: Target,
    documents: Documents,
    *,
    seed: int = 1,
    vcons: int = SIMULATED_VCONS,
) -> Answer:
    """The fewest replicas of each shard that meet the target; `one` is the shape of a replica.

    `vcons`: how many of them each simulation observes at least.
    """
    shards = shards_for(load, costs)
    part = replace(load, per_hour=load.per_hour / shards, burst=math.ceil(load.burst / shards))
    seconds = observed_seconds(part, vcons)
    known: dict[int, Simulated] = {}

    def enough(replicas: int) -> bool:
        if replicas not in known:
            shape = replace(one, replicas=replicas)
            known[replicas] = simulate(part, shape, costs, seconds=seconds, seed=seed)
        return meets(known[replicas], part, target)

    replicas = fewest(least_replicas(part, one, costs), enough)
    simulated = known[replicas]
    stay = simulated.p95 if math.isfinite(simulated.p95) else 0.0
    return Answer(
        replace(one, replicas=replicas),
        simulated,
        shards,
        redis_bytes(part, documents, stay),
        meets(simulated, part, target),
    )


def fewest(least: int, enough: Callable[[int], bool], most: int = MOST_REPLICAS) -> int:
    """The smallest number from `least` that is enough, or `most`; more must not be worse."""
    low, high = least, least
    while not enough(high) and high < most:
        low, high = high + 1, min(2 * high, most)
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    enough(high)
    return high
