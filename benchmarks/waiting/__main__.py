"""Measures links that wait for a server, beside what the waiting alone allows.

    python -m benchmarks.waiting [--rounds 3] [--count 4000] [--at-once 400 2000] [--only NAME ...]

The server is a stand-in in a process of its own, which answers each request after a second. The
ideal is what the waiting allows: a second for each time that all vCons in flight are replaced. The
floor is a bare client on the same server, with as many requests at once. Memory is what the worker
grew by, for each vCon in flight. `most` is how many requests waited at the same time.
"""

import argparse
import os

from benchmarks.waiting.measure import LINKS, SYNC, measure, medians

NAMES = ("floor", *LINKS, SYNC)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--at-once", type=int, nargs="+", default=[400, 2000])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    given = parser.parse_args()
    cases = [
        (name, at_once)
        for at_once in given.at_once
        for name in given.only
        if name != SYNC or at_once <= 400  # each has a thread
    ]
    columns = ("case", "at once", "of ideal", "CPU us", "kB", "most", "connections")
    line = "{:12}{:>9}{:>10}{:>8}{:>7}{:>7}{:>13}"
    found = medians(measure(given.rounds, given.count, cases))
    print(line.format(*columns))
    for (name, at_once), each in found.items():
        numbers = (f"{each.ratio:.2f}", f"{each.cpu:.0f}", f"{each.memory:.0f}")
        print(line.format(name, at_once, *numbers, each.most, each.connections))
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
