"""`partners`: what each partner sends, today beside yesterday."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at, counts, size
from app.operator_cli.words import count, within
from schemas.operator.partners import Partner, Partners, PartnersQuery

COLUMNS = (
    *("partner", "list", "keys", "accepted 1h", "refused 1h", "accepted today", "refused today"),
    *("bytes today", "accepted yesterday", "refused yesterday", "bytes yesterday"),
    "last used (UTC)",
)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", dest="ingress_list", metavar="LIST", help="only this list")
    parser.add_argument(
        "--limit",
        type=within(count, PartnersQuery, "limit"),
        default=200,
        metavar="N",
        help="at most N (200)",
    )


def _arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"ingress_list": words.ingress_list, "limit": words.limit}


def _render(partners: Partners) -> Sequence[Shown]:
    rows = [_row(each) for each in partners.partners]
    shown: list[Shown] = [Table(f"partners on {partners.today} (a day of UTC)", COLUMNS, rows)]
    if partners.more:
        shown.append(f"{partners.more:,} more partners: --limit {len(rows) + partners.more}")
    return shown


def _row(partner: Partner) -> Sequence[str | int | float | None]:
    hour, today, yesterday = partner.hour, partner.today, partner.yesterday
    return (
        partner.label,
        partner.ingress_list,
        partner.keys,
        hour.accepted,
        counts(hour.refused),
        today.accepted,
        counts(today.refused),
        size(today.bytes),
        yesterday.accepted,
        counts(yesterday.refused),
        size(yesterday.bytes),
        at(partner.last_used_at) or "never",
    )


COMMANDS = (
    CliCommand(
        words=("partners",),
        operation="partners",
        summary="show what each partner sends: accepted, refused, bytes, today beside yesterday",
        example="partners",
        render=_render,
        add_arguments=_add,
        arguments=_arguments,
    ),
)
