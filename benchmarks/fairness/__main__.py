"""Measures how long vCons of a small list take beside 50,000 of another one.

    python -m benchmarks.fairness [--rounds 3] [--count 60] [--long 50000] [--only CASE ...]

One worker with the default settings runs two chains. The small list gets a vCon every 50 ms. Each
round measures the 95th percentile from its queueing to its egress alone, and then while the other
list has 50,000 vCons; printed are the medians of the rounds and of their ratios.
"""

import argparse
import os

from benchmarks.fairness.measuring import LINKS, LONG, measure, shown


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--long", type=int, default=LONG)
    parser.add_argument("--only", nargs="+", choices=list(LINKS), default=list(LINKS))
    given = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    print(f"{'p95 of the small list, ms':40}{'alone':>8}{'beside':>8}{'ratio':>7}")
    for case in given.only:
        found = shown(case, measure(case, given.rounds, given.count, given.long))
        print("{case:40}{alone:8.1f}{beside:8.1f}{ratio:7.2f}".format(**found))


if __name__ == "__main__":
    main()
