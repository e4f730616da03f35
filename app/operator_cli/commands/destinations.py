"""`destinations` and `close-breaker`: the servers that steps call."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at, span
from schemas.operator.steps import BreakerClosed, Destinations, DestinationState

COLUMNS = ("destination", "state", "next try", "in flight", "a minute", "waiting", "next in")
MORE = ("mean", "failures", "since (UTC)", "last error", "steps")


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("destination", metavar="NAME", help="as `destinations` shows it")


def _arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"destination": words.destination}


def _question(words: argparse.Namespace) -> str:
    return f"let one run try {words.destination} now. Do it?"


def _render(found: Destinations) -> Sequence[Shown]:
    if not found.destinations:
        return ["no link and no storage has a destination: see docs/configuration.md"]
    return [Table("destinations", (*COLUMNS, *MORE), [_row(each) for each in found.destinations])]


def _row(each: DestinationState) -> tuple[str | int | None, ...]:
    most = f"/{each.max_in_flight}" if each.max_in_flight else ""
    return (
        each.name,
        each.state,
        span(each.open_for) if each.open_for else None,
        f"{each.in_flight}{most}",
        each.requests_per_minute,
        each.waiting,
        None if each.next_in is None else span(each.next_in),
        None if each.mean is None else span(each.mean),
        each.failures,
        at(each.since),
        each.error,
        ", ".join(each.steps),
    )


def _closed(result: BreakerClosed) -> Sequence[Shown]:
    if result.open_for is None:
        return [f"the breaker of {result.destination} was closed; nothing was changed"]
    left = f"it would have been open for {span(result.open_for)}"
    runs = f"{result.waiting} {'run waits' if result.waiting == 1 else 'runs wait'}"
    return [f"the next run tries {result.destination}; {left}, {runs}"]


def _well(found: Destinations) -> bool:
    return all(each.state in ("closed", "no breaker") for each in found.destinations)


COMMANDS = (
    CliCommand(
        words=("destinations",),
        operation="destinations",
        summary="show the servers that steps call: limits, breakers, and what waits",
        example="destinations",
        render=_render,
        well=_well,
        can_watch=True,
    ),
    CliCommand(
        words=("close-breaker",),
        operation="close_breaker",
        summary="let one run try a destination whose breaker is open at once",
        example="close-breaker api.openai.com --yes --reason 'the quota is raised'",
        render=_closed,
        add_arguments=_add,
        arguments=_arguments,
        question=_question,
        changes=True,
    ),
)
