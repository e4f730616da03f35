"""Measures chains without keys of the law against a checkout of another version.

    git worktree add --detach ../before 8d7c6d75
    python -m benchmarks.law.before ../before [--rounds 9] [--count 2000] [--only NAME]

Both services run with the same interpreter on the same servers, in rounds that alternate and whose
order changes. The other version is the floor: the ratios are medians over pairs of rounds, of the
vCons per second (higher is better) and of the worker's CPU time per vCon (lower is better).
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.chain.bench import CASES, DATABASE, Bench, Case
from benchmarks.servers import servers

MEASURED = ("tag, none", "sync link, none", "tag, file")
"""Chains of async links, of sync links, and with a storage."""


class Pair(NamedTuple):
    """One round of both versions, ours as parts of the other's."""

    rate: float
    cpu: float


def measure(cases: list[Case], other: Path, rounds: int, count: int) -> dict[str, list[Pair]]:
    """The pairs of each case, by its name."""
    found: dict[str, list[Pair]] = {case.name: [] for case in cases}
    with servers() as stack:
        benches = Bench(stack, count), Bench(stack, count, root=other, database=f"{DATABASE}_other")
        for number in range(rounds):
            for case in cases:
                order = benches if number % 2 else benches[::-1]
                measured = {bench: bench.chain(case) for bench in order}
                ours, theirs = (measured[bench] for bench in benches)
                pair = Pair(theirs.seconds / ours.seconds, ours.cpu / theirs.cpu)
                found[case.name].append(pair)
            print(f"before, round {number + 1} of {rounds}", file=sys.stderr)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, help="the checkout of the other version")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", default="", help="part of a case's name")
    told = parser.parse_args()
    wanted = [each for each in CASES if each.name in MEASURED and told.only in each.name]
    print(f"{'case':24}{'rate':>8}{'CPU':>8}   of the other version's, medians")
    for name, pairs in measure(wanted, told.other.resolve(), told.rounds, told.count).items():
        rate = statistics.median(pair.rate for pair in pairs)
        cpu = statistics.median(pair.cpu for pair in pairs)
        print(f"{name:24}{rate:8.3f}{cpu:8.3f}")


if __name__ == "__main__":
    main()
