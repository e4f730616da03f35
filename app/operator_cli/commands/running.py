"""`running` and `why`: what runs, what waits and for what, and what happened to one vCon."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at, span
from app.operator_cli.words import count, uuid_word, within
from schemas.operator.running import Running, RunningQuery
from schemas.operator.timeline import Event, Place, Timeline


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chain", metavar="CHAIN", help="only this chain")
    parser.add_argument(
        "--limit",
        type=within(count, RunningQuery, "limit"),
        default=50,
        metavar="N",
        help="at most N rows of each table (50)",
    )


def _running_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"chain": words.chain, "limit": words.limit}


def _render_running(found: Running) -> Sequence[Shown]:
    shown: list[Shown] = [_in_flight(found)]
    if found.retries:
        rows = [
            (span(each.due_in), each.chain, each.attempt, each.vcon, each.error)
            for each in found.retries
        ]
        title = _title("waiting for a retry", len(rows), found.retries_total)
        shown.append(Table(title, ("due in", "chain", "attempts", "vCon", "error"), rows))
    if found.locked:
        held = [
            (each.vcon, each.held_by, each.waiting, ", ".join(each.lists)) for each in found.locked
        ]
        shown.append(Table("waiting for a vCon", ("vCon", "held by", "waiting", "lists"), held))
    if found.storages:
        stored = [(each.storage, each.count) for each in found.storages]
        shown.append(Table("waiting for a storage", ("storage", "vCons"), stored))
    return shown


def _in_flight(found: Running) -> Table:
    rows = [
        (
            span(each.seconds),
            each.chain,
            each.step,
            span(each.step_seconds),
            each.attempt,
            each.vcon,
            each.worker,
        )
        for each in found.in_flight
    ]
    columns = ("runs for", "chain", "step", "in step", "attempt", "vCon", "worker")
    return Table(_title("in flight", len(rows), found.in_flight_total), columns, rows)


def _title(what: str, shown: int, total: int) -> str:
    return what if shown >= total else f"{what}: {shown:,} of {total:,}"


def _add_why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("uuid", type=uuid_word, metavar="UUID", help="of the vCon")


def _why_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"vcon_uuid": words.uuid}


def _render_why(found: Timeline) -> Sequence[Shown]:
    shown: list[Shown] = [f"{found.vcon}: {found.state}. {found.summary}."]
    if found.command:
        shown.append(f"python entrypoint.py {found.command}")
    if found.owner:
        shown.append(f"brought in by partner {found.owner}")
    if found.stored:
        shown.append(f"stored in {', '.join(found.stored)}")
    for others, what in ((found.replaced_by, "replaced by"), (found.replaces, "replaces")):
        if others:
            shown.append(f"{what} {', '.join(others)}")
    shown += [f"note: {each}" for each in found.notes]
    places = [_place(each) for each in found.places]
    shown.append(Table("now", ("where", "name", "chain", "step", "for", "error"), places))
    columns = ("at (UTC)", "what", "name", "outcome", "time", "chain", "worker", "error")
    shown.append(Table("events", columns, [_event(each) for each in found.events]))
    return shown


def _place(each: Place) -> Sequence[str | float | None]:
    return each.kind, each.name, each.chain, each.step, span(each.seconds), each.error


def _event(each: Event) -> Sequence[str | float | None]:
    by = each.worker or each.by
    time = span(each.seconds)
    return at(each.at), each.what, each.name, each.outcome, time, each.chain, by, each.error


COMMANDS = (
    CliCommand(
        words=("running",),
        operation="running",
        summary="show what runs now, the oldest first, and what waits, with the reason",
        example="running --chain main",
        render=_render_running,
        add_arguments=_add_running,
        arguments=_running_arguments,
        can_watch=True,
    ),
    CliCommand(
        words=("why",),
        operation="timeline",
        summary="show where one vCon is and what happened to it",
        example="why 0190d2a4-6a3c-8e3f-9e0b-d5b3c1a2f4e6",
        render=_render_why,
        add_arguments=_add_why,
        arguments=_why_arguments,
    ),
)
