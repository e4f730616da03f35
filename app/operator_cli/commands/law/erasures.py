"""`erasure ...`: erasures under the law."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.commands.people import add_person, person
from app.operator_cli.numbers import at
from app.operator_cli.words import count, uuid_word, within
from schemas.law.erasures import (
    LONGEST_HOLD,
    DestinationAnswer,
    Erasure,
    ErasurePage,
    ErasureResult,
    ErasuresQuery,
    PartyErasure,
)


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=uuid_word, metavar="ID", help="of the erasure")


def _id(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"id": words.id}


def _add_order(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hold",
        metavar="TEXT",
        help=f"note it, and erase nothing yet; a reference, no name (at most {LONGEST_HOLD})",
    )
    parser.add_argument("--dry-run", action="store_true", help="count and show, erase nothing")


def _order(words: argparse.Namespace) -> dict[str, Any]:
    return {"hold": words.hold, "dry_run": words.dry_run}


def _add_vcon(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("vcon_uuid", type=uuid_word, metavar="UUID", help="of the vCon")
    _add_order(parser)


def _vcon(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"vcon_uuid": words.vcon_uuid, **_order(words)}


def _add_party(parser: argparse.ArgumentParser) -> None:
    add_person(parser)
    _add_order(parser)
    parser.add_argument(
        "--suppress", action="store_true", help="record a denial of every purpose, too"
    )
    parser.add_argument(
        "--limit",
        type=within(count, PartyErasure, "limit"),
        default=1000,
        metavar="N",
        help="at most N (1000)",
    )


def _party(words: argparse.Namespace) -> Mapping[str, Any]:
    return {**person(words), **_order(words), "suppress": words.suppress, "limit": words.limit}


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--open", action="store_true", help="only those that have not ended")
    parser.add_argument(
        "--limit",
        type=within(count, ErasuresQuery, "limit"),
        default=50,
        metavar="N",
        help="at most N (50)",
    )
    parser.add_argument("--cursor", metavar="TEXT", help="as the page before shows it")


def _list(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"open_only": words.open, "limit": words.limit, "cursor": words.cursor}


def _add_answer(parser: argparse.ArgumentParser) -> None:
    _add_id(parser)
    parser.add_argument("--kind", required=True, help="of the destination, such as storage")
    parser.add_argument("--name", required=True, dest="place", help="of the destination")
    answers = get_args(DestinationAnswer.model_fields["answer"].annotation)
    parser.add_argument("--answer", choices=answers, default=answers[0], help="what it has said")
    parser.add_argument("--uuid", type=uuid_word, metavar="UUID", help="only for this vCon")


def _answer(words: argparse.Namespace) -> Mapping[str, Any]:
    told = {"kind": words.kind, "name": words.place, "answer": words.answer}
    return {"id": words.id, **told, "vcon_uuid": words.uuid}


def _render_requested(result: ErasureResult) -> Sequence[Shown]:
    more = ["there are more than --limit: repeat"] if result.more else []
    if result.erasure is not None:
        return [*_render(result.erasure), *result.notes, *more]
    rows = [
        (each.uuid, each.made_from, ", ".join(f"{p.place}: {p.outcome}" for p in each.places))
        for each in result.vcons
    ]
    table = Table("", ("vCon", "made from", "places"), rows)
    return [table, f"{result.found} vCons would be erased", *result.notes, *more]


def _render(erasure: Erasure) -> Sequence[Shown]:
    rows = [
        (
            each.vcon_uuid,
            each.kind,
            each.name,
            each.state,
            each.attempts,
            at(each.due_at),
            each.error,
        )
        for each in erasure.targets
    ]
    columns = ("vCon", "kind", "destination", "state", "attempts", "next (UTC)", "error")
    said = f"erasure {erasure.id}: {erasure.state}, {len(erasure.vcons)} vCons"
    lines = [f"held: {erasure.hold}"] if erasure.hold else []
    if erasure.ended_at:
        lines.append(f"ended {at(erasure.ended_at)}, {len(erasure.exceptions)} exceptions")
    if erasure.progress.unknown:
        lines.append(f"nothing was known of: {', '.join(erasure.progress.unknown)}")
    if erasure.progress.earlier:
        lines.append(f"{len(erasure.progress.earlier)} statements before this one: see --json")
    if erasure.statement:
        lines.append(f"statement:\n{erasure.statement}")
    return [said, *lines, Table("", columns, rows)]


def _render_page(page: ErasurePage) -> Sequence[Shown]:
    rows = [
        (
            each.id,
            each.subject,
            each.state,
            len(each.vcons),
            at(each.requested_at),
            at(each.ended_at),
        )
        for each in page.erasures
    ]
    columns = ("erasure", "of", "state", "vCons", "requested (UTC)", "ended (UTC)")
    more = [f"more with --cursor {page.cursor}"] if page.cursor else []
    return [Table("", columns, rows), *more]


def _question(words: argparse.Namespace) -> str:
    if words.dry_run:
        return ""
    named = getattr(words, "vcon_uuid", None) or "this person"
    return f"erase every vCon of {named} for good, wherever it was delivered?"


COMMANDS = (
    CliCommand(
        words=("erasure", "list"),
        operation="erasures",
        summary="show the erasures under the law, newest first",
        example="erasure list --open",
        render=_render_page,
        add_arguments=_add_list,
        arguments=_list,
        can_watch=True,
    ),
    CliCommand(
        words=("erasure", "show"),
        operation="erasure",
        summary="show an erasure with its destinations and its statement",
        example="erasure show 0193a5f0-0000-7000-8000-000000000001",
        render=_render,
        add_arguments=_add_id,
        arguments=_id,
        can_watch=True,
    ),
    CliCommand(
        words=("erasure", "vcon"),
        operation="erase_vcon",
        summary="erase a vCon, and what links made of it, wherever it was delivered",
        example="erasure vcon 0193a5f0-0000-7000-8000-000000000001 --dry-run",
        render=_render_requested,
        add_arguments=_add_vcon,
        arguments=_vcon,
        question=_question,
        changes=True,
    ),
    CliCommand(
        words=("erasure", "party"),
        operation="erase_party",
        summary="erase the vCons of a person wherever they were delivered",
        example="erasure party --tel '(201) 555-0123' --dry-run",
        render=_render_requested,
        add_arguments=_add_party,
        arguments=_party,
        question=_question,
        changes=True,
    ),
    CliCommand(
        words=("erasure", "release"),
        operation="erasure_release",
        summary="end the hold of an erasure",
        example="erasure release 0193a5f0-0000-7000-8000-000000000001 --yes --reason 'case closed'",
        render=_render,
        add_arguments=_add_id,
        arguments=_id,
        changes=True,
    ),
    CliCommand(
        words=("erasure", "answer"),
        operation="erasure_answer",
        summary="note that a destination has erased a vCon, or cannot",
        example="erasure answer 0193a5f0-0000-7000-8000-000000000001 --kind storage --name crm"
        " --yes --reason 'their letter'",
        render=_render,
        add_arguments=_add_answer,
        arguments=_answer,
        changes=True,
    ),
)
