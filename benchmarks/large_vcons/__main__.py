"""Measures large vCons the whole way: POST, a tag, a file or an S3 object; 8 at once.

    python -m benchmarks.large_vcons [--rounds 3] [--vcons 24] [--bytes 5000000]

The floor takes them in with Starlette and JSON.SET (`benchmarks.http.floor`), and eight threads
read, add a tag and write with JSON.GET, JSON.SET and a file or `put_object`
(`benchmarks.large_vcons.floor`). Rounds are interleaved. A last round has small requests beside the
large vCons, PINGs Redis every millisecond and watches both event loops. S3 is moto in a process of
its own.
"""

import argparse
import os
import sys

from benchmarks.large_vcons.measuring import Measured, measure
from benchmarks.large_vcons.names import AT_ONCE


def show(measured: Measured, size: int, vcons: int) -> None:
    """Print a line for each storage, and the holds."""
    print(f"load of the machine: {os.getloadavg()[0]:.1f}; {AT_ONCE} at once")
    print(f"{'':8}{'vCons/s':>9}{'MB/s':>7}{'floor':>7}{'ratio':>7}{'CPU ms':>8}{'floor':>7}")
    for name, (ours, floor) in measured.rates(vcons).items():
        cpu, floor_cpu = measured.cpus(vcons)[name]
        print(
            f"{name:8}{ours:9.1f}{ours * size / 1e6:7.0f}{floor:7.1f}{ours / floor:7.2f}"
            f"{cpu * 1e3:8.0f}{floor_cpu * 1e3:7.0f}"
        )
    for name, held in measured.holds.items():
        print(f"beside {name}, ms: GET of a small vCon p50 {held.beside.p50:.1f}", end="")
        print(f", p99 {held.beside.p99:.1f}; PING at most {held.beside.silence:.1f}", end="")
        print(f"; slowest command {held.slowest:.1f} ({held.slowest_name})")
        print(f"  event loops, longest turn in CPU ms: service {held.service_cpu:.1f}", end="")
        print(f", worker {held.worker_cpu:.1f}; late by: service {held.service_late:.1f}", end="")
        print(f", worker {held.worker_late:.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vcons", type=int, default=24)
    parser.add_argument("--bytes", type=int, default=5_000_000)
    parser.add_argument("--only", choices=["file", "s3"])
    parser.add_argument("--floor", choices=["whole", "path"], default="path")
    given = parser.parse_args()
    storages = [given.only] if given.only else ["file", "s3"]

    def said(text: str) -> None:
        print(text, file=sys.stderr)

    measured = measure(storages, given.rounds, given.vcons, given.bytes, given.floor, said)
    show(measured, given.bytes, given.vcons)


if __name__ == "__main__":
    main()
