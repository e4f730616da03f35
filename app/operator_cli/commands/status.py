"""`status`: whether everything moves, and if not, the likely cause and the command to run."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at, rate, size, span
from schemas.operator.status import ChainFlow, ErasureCounts, Flow, LawStatus, Status

CHAINS = (
    *("chain", "in/min", "out/min", "waiting", "oldest", "retry", "in flight", "p50", "p95"),
    *("failed 1h", "empty in", "trend"),
)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chain", metavar="CHAIN", nargs="?", help="only this chain")


def _arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"chain": words.chain}


def _render(status: Status) -> Sequence[Shown]:
    shown: list[Shown] = [_strip(status)]
    if status.causes:
        rows = [(each.level, each.text, each.command) for each in status.causes]
        shown.append(Table("", ("level", "likely cause", "what to do"), rows))
    chains = [_chain(each) for each in status.chains]
    if len(chains) > 1:
        chains.append(_row("all", status.total, None, ""))
    shown.append(Table("", CHAINS, chains))
    if status.dead_letter_lists:
        letters = [(each.name, each.count) for each in status.dead_letter_lists]
        shown.append(Table("", ("dead letters", "count"), letters))
    if law := [row for row in _law(status.law) if row[1]]:
        shown.append(Table("", ("law", "count", "see"), law))
    return shown


def _law(law: LawStatus) -> Sequence[tuple[str, int, str]]:
    counts = law.erasures or ErasureCounts()
    return (
        ("vCons withheld", law.withheld, "withheld"),
        ("erasures that have not ended", counts.open, "erasure list --open"),
        ("  of these, requested more than 30 days ago", counts.overdue, "erasure list --open"),
        ("erasures held", counts.held, "erasure list --open"),
    )


def _strip(status: Status) -> str:
    redis, most = status.redis, status.redis.most_bytes
    memory = f"{size(redis.used_bytes)} of {size(most)}" if most else size(redis.used_bytes)
    parts = [
        f"{status.level}  {at(status.at)} UTC",
        f"{len(status.replicas)} replicas, {status.workers} workers,"
        f" {status.total.in_flight:,} of {status.slots:,} slots in use",
        f"Redis {redis.version or '?'} {memory}" if redis.reachable else "Redis cannot be used",
        f"{status.dead_letters:,} dead letters",
    ]
    return " | ".join(parts)


def _chain(chain: ChainFlow) -> Sequence[str | int | float | None]:
    oldest = span(chain.oldest_seconds)
    if oldest is not None and chain.oldest_at_least:
        oldest = f"> {oldest}"
    return _row(chain.name, chain, oldest, chain.trend)


def _row(
    name: str, flow: Flow, oldest: str | None, trend: str
) -> Sequence[str | int | float | None]:
    empty = span(flow.empty_in_seconds) if flow.waiting + flow.delayed else ""
    return (
        name,
        rate(flow.in_per_minute),
        rate(flow.out_per_minute),
        flow.waiting,
        oldest,
        flow.delayed,
        flow.in_flight,
        span(flow.p50_seconds),
        span(flow.p95_seconds),
        flow.failed,
        "never" if empty is None and trend not in ("paused", "disabled") else empty,
        trend,
    )


def _well(status: Status) -> bool:
    return status.level != "red"


COMMANDS = (
    CliCommand(
        words=("status",),
        operation="status",
        summary="show whether each chain moves, and if not, the likely cause and what to do",
        example="status",
        render=_render,
        add_arguments=_add,
        arguments=_arguments,
        well=_well,
        can_watch=True,
    ),
)
