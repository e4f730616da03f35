"""`make chaos`: runs the long form of every scenario, and checks the checker by broken builds."""

import argparse
import asyncio
import json
import sys

from rich.console import Console

from devstack.chaos.catalogue import SCENARIOS, Scenario, run
from devstack.chaos.system import servers
from devstack.chaos.verdict.broken import BREAKS, Break, found_in
from devstack.chaos.verdict.report import Report, table
from devstack.chaos.waiting import ChaosError
from devstack.errors import StackError

PAPER = 120
"""Columns, where there is no terminal to ask."""

console = Console(highlight=False, width=None if sys.stdout.isatty() else PAPER)


def parsed(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m devstack.chaos", description=__doc__)
    parser.add_argument("--only", metavar="WORDS", default="", help="events that have these words")
    parser.add_argument("--times", type=int, help="how often it happens, in every scenario")
    parser.add_argument("--short", action="store_true", help="as often as in the tests")
    parser.add_argument(
        "--custody",
        choices=("redis", "postgres"),
        default="redis",
        help="CUSTODY of the scenarios that do without",
    )
    parser.add_argument("--json", action="store_true", help="one report a line, no broken builds")
    return parser.parse_args(words)


def times(scenario: Scenario, options: argparse.Namespace) -> int:
    """Parse the number of repetitions of a scenario's event."""
    return options.times or (scenario.short if options.short else scenario.long)


async def play(options: argparse.Namespace) -> list[Report]:
    """Run the selected scenarios in order and print a line after each."""
    reports = []
    with servers.running(options.custody) as both:
        for scenario in SCENARIOS:
            if options.only in scenario.event and times(scenario, options):
                reports.append(await run(scenario, both, times(scenario, options)))
                tell(reports[-1], as_json=options.json)
    return reports


def tell(report: Report, *, as_json: bool) -> None:
    """Print a line with a scenario's result, and a line for each problem."""
    if as_json:
        print(json.dumps({"event": report.event, **report.figures()}), flush=True)
        return
    outcome = "as promised" if report.good else "NOT as promised"
    console.print(f"{report.event}, {report.times} times, {report.seconds:.0f} s: {outcome}")
    for complaint in report.complaints():
        console.print(f"  {complaint}", markup=False, style="red")


async def show(options: argparse.Namespace) -> bool:
    """Print the table; True if all scenarios passed and the broken builds were detected."""
    reports = await play(options)
    good = all(report.good for report in reports)
    if options.json:
        return good
    console.print(table(reports))
    detected = [await detect(each) for each in BREAKS if options.only in each.event]
    return good and all(detected)


async def detect(broken: Break) -> bool:
    """Play a scenario with a broken build; False if it detects nothing."""
    count = await found_in(broken)
    outcome = "as it should" if count else f"but some should be {broken.count}"
    console.print(f"a build that {broken.name}: {broken.count} {count}, {outcome}")
    return count > 0


def main() -> int:
    """Returns the exit code: 0 if only the broken builds lost vCons, 1 otherwise."""
    options = parsed(sys.argv[1:])
    try:
        return 0 if asyncio.run(show(options)) else 1
    except (StackError, ChaosError) as error:
        print(f"make chaos: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make chaos: interrupted; everything is stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
