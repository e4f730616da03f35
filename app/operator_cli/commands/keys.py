"""`keys list | create | rotate | revoke`: the keys of partners."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at
from app.operator_cli.words import count, within
from schemas.ingress_key import IngressKey
from schemas.operator.partner_keys import Key, Keys, KeyToCreate, KeyToRotate, KeyWithSecret

_TIMES = ("created (UTC)", "expires (UTC)", "revoked (UTC)", "last used (UTC)")
_COLUMNS = ("id", "list", "label", "source", *_TIMES, "uses")


def _row(key: IngressKey) -> Sequence[str | int | None]:
    times = (key.created_at, key.expires_at, key.revoked_at, key.last_used_at)
    shown = [at(each) for each in times]
    return (str(key.id), key.ingress_list, key.label, key.source, *shown, key.use_count)


def _render_all(result: Keys) -> Sequence[Shown]:
    return [Table("keys", _COLUMNS, [_row(key) for key in result.keys])]


def _render_one(result: Key) -> Sequence[Shown]:
    return [Table("key", _COLUMNS, [_row(result.key)])]


def _render_secret(result: KeyWithSecret) -> Sequence[Shown]:
    told = f"secret, shown only now: {result.secret}"
    return [Table("key", _COLUMNS, [_row(result.key)]), told]


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", metavar="LIST", help="only keys of this ingress list")


def _list_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"ingress_list": words.list}


def _add_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--list", required=True, metavar="LIST", help="the ingress list that it may fill"
    )
    parser.add_argument("--label", required=True, metavar="TEXT", help="the partner's name")
    parser.add_argument(
        "--days",
        type=within(float, KeyToCreate, "expires_in_days"),
        metavar="N",
        help="expires after N days",
    )
    parser.add_argument(
        "--rate",
        type=within(count, KeyToCreate, "requests_per_minute"),
        metavar="N",
        help="at most N requests a minute",
    )
    parser.add_argument(
        "--bytes",
        type=within(count, KeyToCreate, "max_vcon_bytes"),
        metavar="N",
        help="at most N bytes in a vCon",
    )


def _create_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {
        "ingress_list": words.list,
        "label": words.label,
        "expires_in_days": words.days,
        "requests_per_minute": words.rate,
        "max_vcon_bytes": words.bytes,
    }


def _add_rotate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key_id", metavar="ID", help="as `keys list` shows it")
    parser.add_argument(
        "--grace",
        type=within(float, KeyToRotate, "grace_hours"),
        default=24,
        metavar="HOURS",
        help="hours for which the old key stays valid (24)",
    )


def _rotate_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"key_id": words.key_id, "grace_hours": words.grace}


def _add_revoke(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key_id", metavar="ID", help="as `keys list` shows it")


def _revoke_arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"key_id": words.key_id}


COMMANDS = (
    CliCommand(
        words=("keys", "list"),
        operation="keys_list",
        summary="show the keys of partners",
        example="keys list",
        render=_render_all,
        add_arguments=_add_list,
        arguments=_list_arguments,
    ),
    CliCommand(
        words=("keys", "create"),
        operation="keys_create",
        summary="create a partner's key; its secret is shown once",
        example="keys create --list in --label 'Acme Inc.' --yes --reason 'new partner'",
        render=_render_secret,
        add_arguments=_add_create,
        arguments=_create_arguments,
        changes=True,
    ),
    CliCommand(
        words=("keys", "rotate"),
        operation="keys_rotate",
        summary="replace a partner's key; the old one stays valid for some hours",
        example="keys rotate KEY --grace 48 --yes --reason 'yearly'",
        render=_render_secret,
        add_arguments=_add_rotate,
        arguments=_rotate_arguments,
        changes=True,
    ),
    CliCommand(
        words=("keys", "revoke"),
        operation="keys_revoke",
        summary="revoke a partner's key at once",
        example="keys revoke KEY --yes --reason 'it leaked'",
        render=_render_one,
        add_arguments=_add_revoke,
        arguments=_revoke_arguments,
        changes=True,
    ),
)
