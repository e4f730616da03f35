"""Measures what custody in Postgres costs: the same service with it and without, in one run.

    python -m benchmarks.custody [--rounds 5] [--disk]

The floor is a bare client that inserts all vCons that wait with one `INSERT ... unnest`, and then
stores each one with one script. Rounds are interleaved; printed are medians. With `--disk` Redis
and Postgres wait for the disk before they answer. The chain has one link and writes files. Its
vCons are in custody before it begins; where they are taken into it at their claim, as are those
that other programs queue, the worker's cost includes that of accepting them.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence

from benchmarks.custody.measuring import (
    CHAIN,
    FLOOR,
    INGEST,
    KINDS,
    WITHOUT,
    Aim,
    measure_chain,
    measure_ingest,
)
from benchmarks.rpc.clients import KEPT, OURS
from benchmarks.rpc.rounds import Rounds, median


def show_ingest(aims: Sequence[Aim], measured: Rounds) -> None:
    """Print one line for each case."""
    print(
        f"{'case':24}{'aim':>6}{'kept/without':>14}{'kept/floor':>12}"
        f"{'rates: kept':>14}{'without':>9}{'floor':>8}{'CPU us: kept':>15}{'without':>9}"
        f"{'p50 ms: kept':>14}{'without':>9}"
    )
    for aim in aims:
        kept, without, floor = (
            median(measured[aim.case.name, kind]) for kind in (KEPT, OURS, FLOOR)
        )
        print(
            f"{aim.case.name:24}{aim.least:6}{kept.rate / without.rate:14.2f}"
            f"{kept.rate / floor.rate:12.2f}{kept.rate:14.0f}{without.rate:9.0f}{floor.rate:8.0f}"
            f"{kept.cpu:15.0f}{without.cpu:9.0f}{kept.p50:14.2f}{without.p50:9.2f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--disk", action="store_true", help="the servers wait for the disk")
    parser.add_argument("--only", choices=["ingest", "chain"], help="one of the two parts")
    options = parser.parse_args()
    if options.only != "ingest":
        rates = measure_chain(options.rounds, 2_000, disk=options.disk)
        without, *others = (statistics.median(rates[each]) for each in KINDS)
        for kind, rate in zip(list(KINDS)[1:], others, strict=True):
            aim = f"aim {CHAIN}, " if kind == "kept" else ""
            ratio = f"{rate / without:.2f} ({rate:.0f} of {without:.0f} a second)"
            print(f"{WITHOUT.name}, {kind}: {aim}{ratio}")
    if options.only == "chain":
        return
    measured = measure_ingest(options.rounds, disk=options.disk)
    sys.stderr.flush()
    show_ingest(INGEST, measured)


if __name__ == "__main__":
    main()
