"""Measures the vCons per second of one worker and one chain, and of a bare loop in the same run.

    python -m benchmarks.chain [--rounds 5] [--count 2000] [--only NAME]

The chain is tag, tag, egress list, with no storage, files, or Postgres; run records are on. The
floor (`benchmarks.chain.floor`) is one loop over redis-py with nothing else in it. Rounds are
interleaved; medians and the ratio to the floor of the same storage are printed.
"""

import argparse

from benchmarks.chain.bench import CASES
from benchmarks.chain.measuring import measure


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--appendfsync", choices=["everysec", "always"], default="everysec")
    options = parser.parse_args()
    cases = [case for case in CASES if options.only in case.name]
    measured = measure(cases, options.rounds, options.count, options.appendfsync)
    print(f"{'case':34}{'vCons/s':>9}{'floor':>9}{'ratio':>7}{'CPU us':>9}{'floor':>8}")
    for case, each in zip(cases, measured, strict=True):
        rates = f"{each.rate:9.0f}{each.floor:9.0f}{each.ratio:7.2f}"
        print(f"{case.name:34}{rates}{each.cpu:9.0f}{each.floor_cpu:8.0f}")


if __name__ == "__main__":
    main()
