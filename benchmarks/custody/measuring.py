"""The rounds of the custody benchmark: requests, and a chain, with and without custody."""

import asyncio
import os
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

import uvloop

from benchmarks.chain.bench import Bench
from benchmarks.chain.bench import Case as ChainCase
from benchmarks.figures import Figure
from benchmarks.rpc.clients import KEPT, OURS
from benchmarks.rpc.rounds import BOARD_CORE, INGESTED, Case, Rounds, measure, median
from benchmarks.servers import servers

FLOOR = "ingest_kept"


@dataclass(frozen=True, slots=True)
class Aim:
    """A case, and the least rate with custody, of that without."""

    least: float
    case: Case


def _ingest(least: float, requests: int, in_flight: int) -> Aim:
    name = f"ingest, {in_flight} in flight"
    return Aim(least, Case(name, "IngestVcon", INGESTED, requests, in_flight, (KEPT, FLOOR)))


INGEST = (_ingest(0.7, 2_000, 64), _ingest(0.5, 1_000, 1))


CHAIN = 0.85
WITHOUT = ChainCase(
    "one link, files, 64 at once", "links.tag", "file", concurrency=64, links=1, egress=False
)
KINDS = {
    "without": WITHOUT,
    "kept": replace(WITHOUT, custody="postgres"),
    "kept at the claim": replace(WITHOUT, custody="postgres", accepted=False),
}


def measure_chain(rounds: int, count: int, *, disk: bool) -> dict[str, list[float]]:
    """The vCons per second of each round, by what holds them."""
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with servers("always" if disk else "everysec", disk=disk) as stack:
        bench = Bench(stack, count)
        for number in range(rounds):
            for kind, case in KINDS.items():
                rates[kind].append(count / bench.chain(case).seconds)
            print(f"chain, round {number + 1} of {rounds}", file=sys.stderr)
    return rates


def measure_ingest(rounds: int, *, disk: bool) -> Rounds:
    """The rounds of both clients and the floor; the Plugboard and this process share a core."""
    cores, cases = os.sched_getaffinity(0), [aim.case for aim in INGEST]
    os.sched_setaffinity(0, {BOARD_CORE})
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(measure(cases, rounds, disk=disk))
    finally:
        os.sched_setaffinity(0, cores)


def figures(rounds: int) -> Iterable[Figure]:
    """The cases that have an aim."""
    rates = measure_chain(rounds, 1_000, disk=False)
    kept, without = (statistics.median(rates[each]) for each in ("kept", "without"))
    yield Figure("chain, of without custody", kept / without, CHAIN)
    measured = measure_ingest(rounds, disk=False)
    for aim in INGEST:
        ours, bare = (median(measured[aim.case.name, kind]) for kind in (KEPT, OURS))
        note = f"CPU {ours.cpu:.0f} us, without {bare.cpu:.0f}"
        yield Figure(
            f"{aim.case.name}, of without custody", ours.rate / bare.rate, aim.least, note=note
        )
