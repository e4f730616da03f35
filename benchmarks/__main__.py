"""Runs the short form of each benchmark below and prints one table: each figure beside its aim.

    python -m benchmarks [--rounds 3] [--only NAME ...] [--list]

A benchmark that fails is said in its line, and the others go on; the exit code is 1 then. A missed
aim does not change the exit code, since it also depends on what else the machine does.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Figures

MODULES = (
    "chain",
    "storages",
    "custody",
    "connections",
    "large_vcons",
    "media",
    "idle",
    "waiting",
    "fairness",
    "law.basis",
)
"""The benchmarks with a function `figures`, in the order of the table."""

type Said = Callable[[str], None]


def measured(name: str, rounds: int, said: Said) -> Iterator[Figure]:
    """The figures of one benchmark; `said` gets a line for each as soon as it is known."""
    figures: Figures = import_module(f"benchmarks.{name}").figures
    began = time.perf_counter()
    for figure in figures(rounds):
        said(f"{time.perf_counter() - began:6.0f} s  {figure.name}: {figure.measured:.3g}")
        yield figure


def table(rows: list[tuple[str, Figure]]) -> Table:
    """One line for each figure."""
    made = Table("command", "figure", "aim", "measured", "", "note", box=None, pad_edge=False)
    for name, figure in rows:
        sign = "<=" if figure.at_most else ">="
        verdict = "met" if figure.is_met else "missed"
        aim, value = f"{sign} {figure.aim:g}{figure.unit}", f"{figure.measured:.3g}{figure.unit}"
        made.add_row(f"-m benchmarks.{name}", figure.name, aim, value, verdict, figure.note)
    return made


def run(names: list[str], rounds: int, said: Said) -> tuple[list[tuple[str, Figure]], list[str]]:
    """All figures, and the names of the benchmarks that failed."""
    rows, failed = [], []
    for name in names:
        said(f"benchmarks.{name}")
        try:
            rows += [(name, figure) for figure in measured(name, rounds, said)]
        except Exception as error:  # noqa: BLE001 -- the other benchmarks go on
            failed.append(name)
            said(f"benchmarks.{name} failed: {type(error).__name__}: {error}")
    return rows, failed


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=MODULES, default=list(MODULES))
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args()
    if options.list:
        print(*MODULES, sep="\n")
        return 0
    rows, failed = run(options.only, options.rounds, lambda text: print(text, file=sys.stderr))
    Console(width=None if sys.stdout.isatty() else 160).print(table(rows))
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
