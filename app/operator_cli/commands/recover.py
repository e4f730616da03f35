"""`recover`: make Redis like custody in Postgres."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from schemas.operator.recovery import RecoverResult


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="count what would be done")


def _arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"dry_run": words.dry_run}


def _question(_words: argparse.Namespace) -> str:
    return "take out of Redis what has ended, and queue again what custody holds?"


def _render(result: RecoverResult) -> Sequence[Shown]:
    done = "would be done" if result.dry_run else "done"
    rows = sorted(result.counts.items())
    shown: list[Shown] = [f"{result.verdict}; generation {result.generation}"]
    if not rows:
        return [*shown, f"nothing {done}: Redis has what custody holds"]
    return [*shown, Table("", (done, "count"), rows)]


COMMANDS = (
    CliCommand(
        words=("recover",),
        operation="recover",
        summary="make Redis like custody in Postgres",
        example="recover --dry-run",
        render=_render,
        add_arguments=_add,
        arguments=_arguments,
        question=_question,
        changes=True,
    ),
)
