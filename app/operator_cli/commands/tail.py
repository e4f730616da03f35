"""`tail`: runs as they end."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Followed, Shown
from app.operator_cli.numbers import at, span
from app.operator_cli.words import SINCE, count, moment, within
from core.observability.logs import one_line
from schemas.operator.tail import MOST_RUNS, EndedRun, Tail, TailQuery

FIRST = 20
KEPT = 100_000
"""Runs that were shown last, by which repeated ones are left out; 10 s at 10,000 a second."""


class _Following:
    """Leaves out what was shown, and goes on at the cursor."""

    def __init__(self, words: argparse.Namespace) -> None:
        self._words = words
        self._arguments = dict(_arguments(words))
        self._shown: dict[tuple[str, object], None] = {}

    def __call__(self, found: Tail) -> Followed:
        new = [each for each in found.runs if (each.run, each.at) not in self._shown]
        for each in found.runs:  # those shown last are at the end
            self._shown.pop((each.run, each.at), None)
            self._shown[each.run, each.at] = None
        while len(self._shown) > KEPT:
            del self._shown[next(iter(self._shown))]
        if "after" not in self._arguments and len(found.runs) == self._arguments["limit"]:
            self._arguments["since"] = found.runs[0].at  # the reads that overlap show none before
        self._arguments |= {"after": found.cursor, "limit": MOST_RUNS}
        go_on = None if self._words.once and not found.more else self._arguments
        shown = found.model_copy(update={"runs": new})
        return Followed(new, _render(shown), go_on, at_once=found.more)


def _add_tail(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chain", metavar="CHAIN", help="only this chain")
    parser.add_argument("--failed", action="store_true", help="only runs that failed")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--since", type=moment, metavar="TIME", help=SINCE)
    begin.add_argument(
        "--limit",
        type=within(count, TailQuery, "limit"),
        metavar="N",
        help=f"begin with the last N runs ({FIRST})",
    )
    parser.add_argument("--once", action="store_true", help="end after the runs that are there")


def _arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    limit = words.limit or (FIRST if words.since is None else MOST_RUNS)
    named = {"chain": words.chain, "failed": words.failed, "since": words.since}
    return named | {"limit": limit}


def _render(found: Tail) -> Sequence[Shown]:
    return [_line(each) for each in found.runs]


def _line(run: EndedRun) -> str:
    begin = f"{at(run.at)}  {one_line(run.chain):<12}  {run.vcon}  {run.status:<9}"
    line = f"{begin}  {span(run.seconds):>7}  attempt {run.attempts}"
    return f"{line}  {one_line(run.error)}" if run.error else line


COMMANDS = (
    CliCommand(
        words=("tail",),
        operation="tail",
        summary="show runs as they end, the last ones first, until interrupted",
        example="tail --limit 10 --once",
        render=_render,
        add_arguments=_add_tail,
        arguments=_arguments,
        follow=_Following,
    ),
)
