"""`basis record` and `basis show`: grants and denials beside the vCons."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at
from app.operator_cli.words import count, deadline, moment, uuid_word, within
from schemas.operator.law.bases import (
    BasesPage,
    BasesQuery,
    Basis,
    BasisRecorded,
    RecordedBasisRow,
)


def _add_subject(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--vcon", type=uuid_word, metavar="UUID", help="for one vCon")
    group.add_argument("--tel", metavar="NUMBER", help="for a person in all vCons, by number")
    group.add_argument("--mail", metavar="ADDRESS", help="for a person in all vCons, by address")


def _subject(words: argparse.Namespace) -> dict[str, Any]:
    return {"vcon_uuid": words.vcon, "tel": words.tel, "mail": words.mail}


def _add_record(parser: argparse.ArgumentParser) -> None:
    _add_subject(parser)
    decision = parser.add_mutually_exclusive_group(required=True)
    decision.add_argument("--grant", action="store_true", help="the purpose is allowed")
    decision.add_argument(
        "--deny", action="store_true", help="it is denied; ends an earlier grant of the same"
    )
    parser.add_argument(
        "--purpose", metavar="TEXT", help="as `requires` has it; --deny without it: every purpose"
    )
    parser.add_argument(
        "--basis", choices=get_args(Basis.__value__), default="consent", help="consent by default"
    )
    parser.add_argument(
        "--given", type=moment, metavar="TIME", help="when it was given: 2026-11-30, or 1d ago; now"
    )
    parser.add_argument(
        "--until", type=deadline, metavar="TIME", help="when a grant ends: 2027-11-30, or in 90d"
    )
    parser.add_argument("--ref", metavar="TEXT", help="where its proof is kept, such as a ticket")


def _record_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    told = {
        "granted": words.grant,
        "purpose": words.purpose,
        "basis": words.basis,
        "granted_at": words.given,
        "expires_at": words.until,
        "ref": words.ref,
    }
    return {**_subject(words), **told}


def _question(words: argparse.Namespace) -> str:
    deed = "grant" if words.grant else "deny"
    about = words.vcon or words.tel or words.mail
    return f"{deed} {words.purpose or 'every purpose'} for {about}?"


_COLUMNS = ("id", "decision", "purpose", "basis", "given (UTC)", "until", "recorded", "by", "ref")


def _cells(row: RecordedBasisRow) -> tuple[str | int | None, ...]:
    decision = "granted" if row.granted else "denied"
    until = at(row.expires_at) if row.expires_at else ""
    times = at(row.granted_at), until, at(row.recorded_at)
    return (row.id, decision, row.purpose or "every", row.basis, *times, row.actor, row.ref)


def _render_row(row: BasisRecorded) -> Sequence[Shown]:
    more = " or more" if row.more else ""
    table = Table(f"recorded for {row.subject}", _COLUMNS, [_cells(row)])
    return [table, f"vCons that it is about now: {row.vcons}{more}", *row.notes]


def _add_show(parser: argparse.ArgumentParser) -> None:
    _add_subject(parser)
    parser.add_argument(
        "--limit",
        type=within(count, BasesQuery, "limit"),
        default=50,
        metavar="N",
        help="at most N (50)",
    )
    before = within(count, BasesQuery, "before")
    parser.add_argument("--before", type=before, metavar="ID", help="as the page before shows it")


def _show_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {**_subject(words), "limit": words.limit, "before": words.before}


def _render_page(page: BasesPage) -> Sequence[Shown]:
    more = [f"more with --before {page.before}"] if page.before else []
    return [Table("recorded bases, newest first", _COLUMNS, [_cells(e) for e in page.bases]), *more]


COMMANDS = (
    CliCommand(
        words=("basis", "record"),
        operation="record_basis",
        summary="record a grant or a denial; it counts at the next step",
        example="basis record --vcon 0190163d-8694-739b-aea5-966c26f8ad91 --grant --purpose crm"
        ' --reason "consent on paper"',
        render=_render_row,
        add_arguments=_add_record,
        arguments=_record_arguments,
        question=_question,
        changes=True,
    ),
    CliCommand(
        words=("basis", "show"),
        operation="recorded_bases",
        summary="show the grants and denials recorded for a vCon or a person",
        example="basis show --tel '(201) 555-0123'",
        render=_render_page,
        add_arguments=_add_show,
        arguments=_show_arguments,
    ),
)
