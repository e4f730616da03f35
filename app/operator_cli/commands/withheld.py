"""`withheld` and `release`: vCons whose law does not allow their next step."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at
from app.operator_cli.words import count, uuid_word, within
from schemas.operator.law.withheld import (
    ReleaseParameters,
    ReleaseResult,
    WithheldPage,
    WithheldQuery,
    WithheldVcon,
)

PAGE = 500
"""vCons of a list that are looked at between two lines of progress."""
COLUMNS = ("vCon", "list", "chain", "step", "purpose", "error", "decided by", "since (UTC)")


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--list", dest="list_name", metavar="LIST", help="only of this ingress list"
    )
    _add_limit(parser, WithheldQuery, 50)
    parser.add_argument("--cursor", metavar="TEXT", help="as the page before shows it")


def _add_limit(parser: argparse.ArgumentParser, model: type[Any], default: int) -> None:
    parser.add_argument(
        "--limit",
        type=within(count, model, "limit"),
        default=default,
        metavar="N",
        help=f"at most N ({default})",
    )


def _list_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"list_name": words.list_name, "limit": words.limit, "cursor": words.cursor}


def _render(page: WithheldPage) -> Sequence[Shown]:
    if not page.total:
        return ["no vCon is withheld"]
    counts = ", ".join(f"{each.count} of {each.list_name}" for each in page.counts)
    more = [f"more with --cursor {page.cursor}"] if page.cursor else []
    title = f"{page.total} withheld: {counts}"
    return [Table(title, COLUMNS, [_row(each) for each in page.vcons]), *more]


def _row(each: WithheldVcon) -> tuple[str | None, ...]:
    step = f"{each.kind or ''} {each.step or ''}".strip()
    why = each.law or each.error
    named = (each.vcon_uuid, each.list_name, each.chain, step)
    return (*named, each.purpose, why, each.place, at(each.at))


def _add_release(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--uuid", type=uuid_word, action="append", metavar="UUID", help="of a vCon; may be repeated"
    )
    parser.add_argument(
        "--list", dest="list_name", metavar="LIST", help="of this ingress list; alone: all of it"
    )
    parser.add_argument(
        "--limit",
        type=within(count, ReleaseParameters, "limit"),
        metavar="N",
        help="only the oldest N of the list",
    )
    parser.add_argument("--cursor", metavar="TEXT", help="go on, as the result before shows it")


def _release_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    named = {"vcon_uuids": words.uuid or [], "list_name": words.list_name}
    every = not words.uuid and words.limit is None
    return {**named, "limit": words.limit or PAGE, "cursor": words.cursor, "every": every}


def _question(words: argparse.Namespace) -> str:
    some = "all" if words.limit is None else f"the oldest {words.limit}"
    about = ", ".join(words.uuid or []) or f"{some} of {words.list_name}"
    return f"evaluate {about} again, and let what the law allows go on?"


def _released(result: ReleaseResult) -> Sequence[Shown]:
    shown: list[Shown] = []
    if result.released:
        rows = [(each.vcon_uuid, each.list_name, each.run_id) for each in result.released]
        title = _title("released", result.released_count, len(rows))
        shown.append(Table(title, ("vCon", "list", "run"), rows))
    if result.withheld:
        still = [(each.vcon_uuid, each.list_name, each.error) for each in result.withheld]
        title = _title("still withheld", result.withheld_count, len(still))
        shown.append(Table(title, ("vCon", "list", "error"), still))
    if result.cursor:
        shown.append(f"more with --cursor {result.cursor}")
    return shown or ["no vCon is withheld there"]


def _title(what: str, total: int, shown: int) -> str:
    return f"{total} {what}" if total == shown else f"{total} {what}, the first {shown}"


COMMANDS = (
    CliCommand(
        words=("withheld",),
        operation="withheld",
        summary="show vCons that the law withholds: the step, its purpose, and the reason",
        example="withheld --list main_in",
        render=_render,
        add_arguments=_add_list,
        arguments=_list_arguments,
        can_watch=True,
    ),
    CliCommand(
        words=("release",),
        operation="release",
        summary="let withheld vCons go on at their step, if the law allows it now",
        example="release --list main_in --yes --reason 'the customer has agreed'",
        render=_released,
        add_arguments=_add_release,
        arguments=_release_arguments,
        question=_question,
        well=lambda result: not result.withheld_count,
        changes=True,
    ),
)
