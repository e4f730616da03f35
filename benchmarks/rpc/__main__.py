"""Measures the requests per second of the service, and of bare clients in the same run.

    python -m benchmarks.rpc [--rounds 5] [--only NAME]

The development Plugboard and the load are on one core, the clients on the other. The floors
(`benchmarks.rpc.floor`) only parse and answer. Rounds are interleaved: in each of them every client
has its turn at every case. Printed are medians, and how our client does in comparison with each
floor: its rate, and the floor's CPU time an answer over its own, which tells more on busy machines.
"""

import argparse
import asyncio
import os
from collections.abc import Sequence

import uvloop

from benchmarks.rpc.clients import OURS
from benchmarks.rpc.rounds import BOARD_CORE, CASES, Case, Rounds, measure, median


def show(cases: Sequence[Case], measured: Rounds) -> None:
    """Print a line for each client of each case; the ratio is ours to the floor's."""
    print(
        f"{'case':22}{'client':12}{'answers/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>8}  ours is"
    )
    for case in cases:
        ours = median(measured[case.name, OURS])
        for kind in (OURS, *case.floors):
            it = median(measured[case.name, kind])
            ratios = "" if kind == OURS else f"{ours.rate / it.rate:8.2f}{it.cpu / ours.cpu:7.2f}"
            figures = f"{it.rate:10.0f}{it.p50:9.2f}{it.p99:9.2f}{it.cpu:8.1f}"
            print(f"{case.name:22}{kind:12}{figures}{ratios}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="part of a case's name")
    options = parser.parse_args()
    os.sched_setaffinity(0, {BOARD_CORE})
    cases = [case for case in CASES if options.only in case.name]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        show(cases, runner.run(measure(cases, options.rounds)))


if __name__ == "__main__":
    main()
