"""`ledger show`, `ledger status`, `ledger verify`: where vCons went, and whether that is intact."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at
from app.operator_cli.words import count, uuid_word, within
from schemas.operator.law.ledger import (
    LAST_ROW,
    CustodyQuery,
    CustodyResult,
    Delivery,
    LedgerCheck,
    LedgerStatus,
)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("vcon_uuid", type=uuid_word, metavar="UUID", help="of the vCon")
    limit = within(count, CustodyQuery, "limit")
    parser.add_argument("--limit", type=limit, default=100, metavar="N", help="at most N (100)")
    for name in ("delivery", "event"):
        parser.add_argument(
            f"--after-{name}",
            type=within(count, CustodyQuery, f"after_{name}"),
            default=0,
            metavar="ROW",
            help="as the page before shows",
        )


def _show_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    names = "vcon_uuid", "limit", "after_delivery", "after_event"
    return {name: getattr(words, name) for name in names}


def _delivery(row: Delivery) -> tuple[str | int | None, ...]:
    outcome = row.outcome or "under way"
    shown = f"{outcome}: {row.error}" if row.error else outcome
    where = row.id, row.kind, row.name, row.chain, row.attempt, at(row.begun_at), shown
    return (*where, row.purpose, row.basis)


def _render_custody(found: CustodyResult) -> Sequence[Shown]:
    versions = [
        (row.id, row.origin, row.form, row.bytes, row.chain, at(row.recorded_at), row.prior)
        for row in found.versions
    ]
    events = [(row.seq, at(row.at), row.event, row.about) for row in found.events]
    shown: list[Shown] = [
        Table(
            f"versions of {found.vcon_uuid}",
            ("id", "origin", "form", "bytes", "chain", "at (UTC)", "made of"),
            versions,
        ),
        Table(
            "deliveries",
            ("id", "kind", "to", "chain", "attempt", "at (UTC)", "outcome", "purpose", "basis"),
            [_delivery(row) for row in found.deliveries],
        ),
        Table("events", ("event", "at (UTC)", "what", "about"), events),
    ]
    return [*shown, *_remarks(found)]


def _remarks(found: CustodyResult) -> list[str]:
    remarks = [f"amended to {each}" for each in found.amended_to]
    if found.erased_at:
        remarks.append(f"erased at {at(found.erased_at)}")
    if found.forgotten_at:
        remarks.append(f"the salt is forgotten since {at(found.forgotten_at)}")
    if found.next_delivery:
        remarks.append(f"more deliveries with --after-delivery {found.next_delivery}")
    if found.next_event:
        remarks.append(f"more events with --after-event {found.next_event}")
    return remarks


def _render_status(found: LedgerStatus) -> Sequence[Shown]:
    rows = [(row.seq, at(row.at), row.key or "not signed", row.hash) for row in found.checkpoints]
    head = f"{found.events} events; the last has the hash {found.head}"
    since = f" since {at(found.oldest_under_way)}" if found.oldest_under_way else ""
    return [
        head if found.events else "no events",
        f"{found.under_way} deliveries under way{since}",
        Table("checkpoints, newest first", ("event", "at (UTC)", "key", "hash"), rows),
    ]


_CHECKPOINT = re.compile(r"([0-9]{1,19}):([0-9a-f]{64})", re.ASCII)


def _checkpoint(text: str) -> Mapping[str, Any]:
    """Number and hash of an event.

    Raises:
        argparse.ArgumentTypeError: it is no checkpoint.
    """
    match = _CHECKPOINT.fullmatch(text.strip().lower())
    if match is None or not 0 < int(match[1]) <= LAST_ROW:
        msg = (
            f"{text!a:.100} is no checkpoint: expected the number of an event and its hash, 64"
            " digits of hex, as N:HASH; `ledger status` shows them"
        )
        raise argparse.ArgumentTypeError(msg)
    return {"seq": int(match[1]), "hash": match[2]}


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        type=_checkpoint,
        metavar="N:HASH",
        help="one that was kept outside of Postgres, as `ledger status` and the log show it",
    )


def _verify_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return words.checkpoint or {}


def _render_check(found: LedgerCheck) -> Sequence[Shown]:
    counts = (
        f"{found.events} events, {found.versions} versions, {found.deliveries} deliveries"
        f" ({found.under_way} under way), {found.checkpoints} checkpoints ({found.signed} signed)"
    )
    if found.intact:
        return [f"the ledger is intact: {counts}"]
    return [f"the ledger is not intact: {counts}", *found.findings]


COMMANDS = (
    CliCommand(
        words=("ledger", "show"),
        operation="custody",
        summary="show where a vCon went: versions, deliveries, events",
        example="ledger show 0190163d-8694-739b-aea5-966c26f8ad91",
        render=_render_custody,
        add_arguments=_add_show,
        arguments=_show_arguments,
    ),
    CliCommand(
        words=("ledger", "status"),
        operation="ledger",
        summary="show how far the ledger is, and its last checkpoints",
        example="ledger status",
        render=_render_status,
    ),
    CliCommand(
        words=("ledger", "verify"),
        operation="ledger_verify",
        summary="check whether the ledger was changed; the first row is named",
        example="ledger verify",
        render=_render_check,
        add_arguments=_add_verify,
        arguments=_verify_arguments,
        well=lambda found: found.intact,
    ),
)
