"""Measures the vCons per second of one worker and one chain, and of a bare loop in the same run.

    python -m benchmarks.chain [--rounds 5] [--count 2000] [--only NAME]

The chain is tag, tag, egress list, with no storage, files, or Postgres; run records are on. The
floor (`benchmarks.chain.floor`) is one loop over redis-py with nothing else in it. Rounds are
interleaved; medians and the ratio to the floor of the same storage are printed.
"""

import argparse
import statistics
import sys
from collections import defaultdict

from benchmarks.chain.bench import CASES, Bench, Measured
from benchmarks.servers import servers


def _median(rounds: list[Measured], count: int) -> tuple[float, float]:
    rate = statistics.median(count / each.seconds for each in rounds)
    cpu = statistics.median(each.cpu / count * 1e6 for each in rounds)
    return rate, cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--appendfsync", choices=["everysec", "always"], default="everysec")
    options = parser.parse_args()
    cases = [case for case in CASES if options.only in case.name]
    floors: defaultdict[str, list[Measured]] = defaultdict(list)
    ours: defaultdict[str, list[Measured]] = defaultdict(list)
    with servers(options.appendfsync) as stack:
        bench = Bench(stack, options.count)
        for number in range(options.rounds):
            for storage in dict.fromkeys(case.storage for case in cases):
                floors[storage].append(bench.floor(storage))
            for case in cases:
                ours[case.name].append(bench.chain(case))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    print(f"{'case':34}{'vCons/s':>9}{'floor':>9}{'ratio':>7}{'CPU us':>9}{'floor':>8}")
    for case in cases:
        rate, cpu = _median(ours[case.name], options.count)
        base, base_cpu = _median(floors[case.storage], options.count)
        if case.waits:
            base, base_cpu = case.concurrency / case.waits, 0.0
        print(f"{case.name:34}{rate:9.0f}{base:9.0f}{rate / base:7.2f}{cpu:9.0f}{base_cpu:8.0f}")


if __name__ == "__main__":
    main()
