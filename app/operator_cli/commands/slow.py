"""`slow`: where the time of the last hour went."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import span
from app.operator_cli.words import count, duration, within
from schemas.operator.steps import SlowQuery, SlowSteps

COLUMNS = ("chain", "kind", "step", "share", "time", "calls", "failed", "mean", "p50", "p95")


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        type=within(duration, SlowQuery, "minutes", unit=60),
        default=3600,
        metavar="TIME",
        help="from this long ago on, at most 1h (1h)",
    )
    parser.add_argument("--chain", metavar="CHAIN", help="only this chain")
    parser.add_argument(
        "--limit",
        type=within(count, SlowQuery, "limit"),
        default=50,
        metavar="N",
        help="at most N steps (50)",
    )


def _arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    minutes = max(1, -(-words.since // 60))
    return {"minutes": minutes, "chain": words.chain, "limit": words.limit}


def _render(slow: SlowSteps) -> Sequence[Shown]:
    rows = [
        (
            each.chain,
            each.kind,
            each.name,
            f"{each.share:.1%}",
            span(each.seconds),
            each.calls,
            each.failed,
            span(each.mean_seconds),
            span(each.p50_seconds),
            span(each.p95_seconds),
        )
        for each in slow.steps
    ]
    title = f"{slow.calls:,} calls took {span(slow.seconds)} in the last {slow.minutes} minutes"
    shown: list[Shown] = [Table(title, COLUMNS, rows)]
    if slow.more:
        shown.append(f"{slow.more:,} more steps: --limit {len(rows) + slow.more}")
    return shown


COMMANDS = (
    CliCommand(
        words=("slow",),
        operation="slow",
        summary="show where the time of the last hour went: links and storages by share",
        example="slow --since 1h",
        render=_render,
        add_arguments=_add,
        arguments=_arguments,
        can_watch=True,
    ),
)
