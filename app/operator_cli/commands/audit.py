"""`audit`: who changed what, and why."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at
from app.operator_cli.words import SINCE, count, moment, within
from schemas.operator.audit import AuditPage, AuditQuery


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=moment, metavar="TIME", help=SINCE)
    parser.add_argument(
        "--limit",
        type=within(count, AuditQuery, "limit"),
        default=50,
        metavar="N",
        help="at most N (50)",
    )
    parser.add_argument(
        "--before", type=count, metavar="ID", help="only events older than this one"
    )


def _arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"since": words.since, "limit": words.limit, "before": words.before}


def _render(page: AuditPage) -> Sequence[Shown]:
    rows = [
        (
            each.id,
            at(each.at),
            each.actor,
            each.action,
            each.target,
            orjson.dumps(each.detail).decode(),
        )
        for each in page.events
    ]
    return [Table("audit", ("id", "at (UTC)", "by", "what", "target", "detail"), rows)]


COMMANDS = (
    CliCommand(
        words=("audit",),
        operation="audit",
        summary="show who changed what, and why",
        example="audit --since 1d",
        render=_render,
        add_arguments=_add,
        arguments=_arguments,
    ),
)
