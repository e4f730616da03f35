"""The simulator against what queueing theory says in closed form."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks import simulate as command
from benchmarks.simulation.events import Clock, Process, Server, start
from benchmarks.simulation.model import Costs, Deployment, Load, simulate
from benchmarks.simulation.sizing import Documents, Target, fewest, shards_for, size

ENGINE = Costs(200e-6, 300e-6, 75e-6, 150e-6, 0.0)
NOTHING = Costs(service=0, worker=0, redis_intake=0, redis_run=0, postgres=0)
JOBS = 20_000


def sojourns(rate: float, places: int, service: Callable[[random.Random], float]) -> list[float]:
    """The times of jobs that come at random to one server with so many places."""
    clock, rng, times = Clock(), random.Random(11), list[float]()
    server = Server(clock, places)

    def job() -> Process:
        came = clock.now
        yield from server.use(service(rng))
        times.append(clock.now - came)

    def arrivals() -> None:
        start(job())
        if len(times) + server.waiting < JOBS:
            clock.after(rng.expovariate(rate), arrivals)

    arrivals()
    clock.run()
    return times[JOBS // 10 :]


def mean(times: list[float]) -> float:
    """The mean."""
    return sum(times) / len(times)


@pytest.mark.parametrize("load", [0.3, 0.5, 0.7])
def test_one_exponential_server(load: float) -> None:
    """M/M/1: the mean time is 1 / (service rate - arrival rate)."""
    found = mean(sojourns(load, 1, lambda rng: rng.expovariate(1.0)))
    assert found == pytest.approx(1 / (1 - load), rel=0.08)


@pytest.mark.parametrize("load", [0.3, 0.5, 0.7])
def test_one_server_with_a_fixed_time(load: float) -> None:
    """M/D/1: half of the waiting of M/M/1 (Pollaczek and Khinchine)."""
    found = mean(sojourns(load, 1, lambda _: 1.0))
    assert found == pytest.approx(1 + load / (2 * (1 - load)), rel=0.06)


@pytest.mark.parametrize("places", [2, 8])
def test_several_servers_with_a_fixed_time(places: int) -> None:
    """M/D/c waits between half of M/M/c and all of it (Erlang's C)."""
    load = 0.8 * places
    waits = mean(sojourns(load, places, lambda _: 1.0)) - 1.0
    exponential = erlang_c(load, places) / (places - load)
    assert exponential / 2 * 0.9 <= waits <= exponential


def erlang_c(load: float, places: int) -> float:
    """The probability that a job has to wait."""
    full = load**places / math.factorial(places) * places / (places - load)
    return full / (sum(load**n / math.factorial(n) for n in range(places)) + full)


def test_as_many_are_inside_as_littles_law_says() -> None:
    """Slots in use are the arrival rate times the time of a vCon in them."""
    load = Load(per_hour=36_000, link_seconds=2.0, spread=1.0)
    found = simulate(load, Deployment(concurrency=64), NOTHING, seconds=600)
    assert found.utilisation["slots"] * 64 == pytest.approx(found.per_second * found.mean, rel=0.05)
    assert found.mean == pytest.approx(2.0, rel=0.05)


def test_a_waiting_link_is_limited_by_slots() -> None:
    """1,000 vCons that come together, 8 at once, half a second each."""
    load = Load(burst=1000, link_seconds=0.5)
    found = simulate(load, Deployment(concurrency=8), NOTHING, seconds=math.inf)
    assert (found.per_second, found.left) == (pytest.approx(16), 0)
    assert found.bottleneck == "slots"


@pytest.mark.parametrize(
    ("costs", "load", "limit", "per_second"),
    [
        (ENGINE, Load(per_hour=10**8), "redis", 1 / (75e-6 + 150e-6)),
        (replace(ENGINE, service=0.0), Load(burst=2_000, link_cpu=5e-3), "worker", 4 / 5.3e-3),
        (replace(ENGINE, service=5e-3), Load(burst=2_000), "service", 4 / 5e-3),
        (replace(ENGINE, postgres=20e-3), Load(burst=2_000), "postgres", 2 / 20e-3),
    ],
)
def test_what_is_used_up_sets_the_limit(
    costs: Costs, load: Load, limit: str, per_second: float
) -> None:
    """The throughput of a backlog is that of its slowest resource, and that one is named."""
    seconds = 0.5 if load.per_hour else math.inf
    found = simulate(load, Deployment(replicas=4, cores=2), costs, seconds=seconds)
    assert found.bottleneck == limit
    assert found.per_second <= per_second * 1.05
    if not load.per_hour:
        assert found.per_second == pytest.approx(per_second, rel=0.1)


def test_two_workers_share_one_core() -> None:
    """The interpreters of a replica do not run faster than its cores."""
    load = Load(burst=4_000, link_cpu=1e-3)
    one, two = (
        simulate(load, Deployment(workers=2, cores=cores), NOTHING, seconds=math.inf).per_second
        for cores in (1, 2)
    )
    assert (one, two) == (pytest.approx(1000, rel=0.02), pytest.approx(2000, rel=0.02))


def test_the_same_seed_gives_the_same_result() -> None:
    """A simulation is a function of its arguments."""
    load = Load(per_hour=100_000, link_seconds=0.2, spread=1.0)
    first, again, other = (
        simulate(load, Deployment(), ENGINE, seconds=60, seed=seed) for seed in (3, 3, 4)
    )
    assert first == again != other


@pytest.mark.parametrize("limit", range(1, 40))
def test_the_search_finds_the_smallest_that_is_enough(limit: int) -> None:
    """From any lower bound, up to the answer."""
    for least in (1, max(1, limit // 2), limit):
        assert fewest(least, lambda number: number >= limit) == limit
    assert fewest(1, lambda _: False, most=37) == 37


def test_an_answer_meets_its_target_and_one_replica_less_does_not() -> None:
    """20 vCons a second that wait 2 s need 40 slots, and some more for a short queue."""
    load, one = Load(per_hour=72_000, link_seconds=2.0, spread=0.5), Deployment(concurrency=8)
    answer = size(load, one, ENGINE, Target(queue_age=0.5), Documents(), vcons=2000)
    assert answer.fits
    assert answer.deployment.replicas >= 5
    fewer = Deployment(answer.deployment.replicas - 1, concurrency=8)
    assert simulate(load, fewer, ENGINE, seconds=100).queue_age > 0.5


def test_a_load_beyond_one_redis_is_divided() -> None:
    """Each shard has a Redis whose core suffices."""
    load = Load(per_hour=20_000_000)
    shards = shards_for(load, ENGINE)
    assert shards == math.ceil(20_000_000 / 3600 * 225e-6 / 0.6) == 3


def test_the_command_prints_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """And its exit code tells whether the target is met."""
    asked = [
        "--per-hour",
        "36000",
        "--link-seconds",
        "0.1",
        "--concurrency",
        "4",
        "--queue-age",
        "9",
    ]
    assert command.main(asked) == 0
    told = capsys.readouterr().out
    assert "replicas: 1" in told
    assert "the limit: slots" in told
    assert command.main([*asked, "--replicas", "1"]) == 0
    with pytest.raises(SystemExit):
        command.main([])


@pytest.mark.parametrize(
    "words",
    [
        "--per-hour -5",
        "--per-hour nan",
        "--per-hour inf",
        "--per-hour 9 --replicas 0",
        "--burst 1e9",
    ],
)
def test_a_number_out_of_range_is_refused(words: str) -> None:
    """Some of them would never end."""
    with pytest.raises(SystemExit) as raised:
        command.main(words.split())
    assert raised.value.code == 2
