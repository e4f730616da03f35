"""`failures`, `failure`, `replay`, `replays`: dead letters by cause, and replaying them."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at
from app.operator_cli.words import SINCE, count, moment, within
from core.errors import InvalidError
from schemas.dead_letter import Uncertain
from schemas.operator.failures import (
    CANARY,
    RATE,
    Failure,
    FailureQuery,
    Failures,
    FailuresQuery,
    Replay,
    ReplayOrder,
    Replays,
    ReplaysQuery,
)

SHOWN_DIGITS = 8
"""Digits of a configuration hash that are shown."""
_TIMES = ("first (UTC)", "last (UTC)")
_COUNTS = ("of", "replayed", "canary", "left")


def _add_place(parser: argparse.ArgumentParser) -> None:
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--list", dest="list_name", metavar="LIST", help="only of this ingress list")
    place.add_argument("--storage", metavar="NAME", help="only of this storage")


def _add_failures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cause", metavar="C", help="a fingerprint, or 'link NAME: Type'")
    _add_place(parser)
    parser.add_argument(
        "--limit",
        type=within(count, FailuresQuery, "limit"),
        default=100,
        metavar="N",
        help="at most N (100)",
    )


def _failures(words: argparse.Namespace) -> Mapping[str, Any]:
    named = {"cause": words.cause, "list_name": words.list_name, "storage": words.storage}
    return named | {"limit": words.limit}


def _render_failures(found: Failures) -> Sequence[Shown]:
    columns = ("cause", "count", "step", "type", "message", "lists", *_TIMES, "example")
    rows = [
        (
            each.fingerprint,
            each.count,
            each.step,
            each.type,
            each.message,
            _lists(each.lists, each.list_count),
            at(each.first_seen),
            at(each.last_seen),
            each.example or "",
        )
        for each in found.causes
    ]
    more = [f"{found.more} more causes; use --limit"] if found.more else []
    return [Table(f"{found.total} dead letters by cause", columns, rows), *more, *found.problems]


def _lists(names: Sequence[str], total: int) -> str:
    shown = ", ".join(names[:2])
    return shown if total <= len(names[:2]) else f"{shown} and {total - 2} more"


def _render_failure(found: Failure) -> Sequence[Shown]:
    cause = found.cause
    about = f"{cause.fingerprint}  {cause.step}: {cause.type}: {cause.message}"
    columns = ("vCon", "list", "at (UTC)", "attempts", "run", "error")
    rows = [
        (each.vcon_uuid, each.letters, at(each.at), each.attempts, each.run_id, each.error)
        for each in found.examples
    ]
    config = f"configuration {cause.config_hash[:SHOWN_DIGITS] or 'unknown'}"
    return [about, f"{cause.count} dead letters; {config}", Table("newest", columns, rows)]


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cause", metavar="C", help="a fingerprint, or 'link NAME: Type'")
    _add_place(parser)
    parser.add_argument("--since", type=moment, metavar="TIME", help=SINCE)
    parser.add_argument(
        "--canary",
        type=within(int, ReplayOrder, "canary"),
        default=CANARY,
        metavar="N",
        help=f"vCons that go first ({CANARY})",
    )
    rate = f"vCons a second ({RATE:g})"
    parser.add_argument(
        "--rate", type=within(_rate, ReplayOrder, "rate"), default=RATE, metavar="N", help=rate
    )
    parser.add_argument(
        "--limit", type=within(count, ReplayOrder, "limit"), metavar="N", help="at most N vCons"
    )
    parser.add_argument(
        "--uncertain", choices=get_args(Uncertain.__value__), help="steps that may have happened"
    )
    parser.add_argument("--dry-run", action="store_true", help="count only; replay nothing")


def _rate(text: str) -> float:
    try:
        return float(text.removesuffix("/s"))
    except ValueError:
        msg = f"{text!r} is no rate; write for example 50 or 0.5/s"
        raise argparse.ArgumentTypeError(msg) from None


def _replay(words: argparse.Namespace) -> Mapping[str, Any]:
    if not (words.cause or words.list_name or words.storage):
        msg = "say what to replay: --cause, --list or --storage; `failures` shows the causes"
        raise InvalidError(msg)
    limit = {"limit": words.limit} if words.limit else {}
    names = ("cause", "list_name", "storage", "since", "canary", "rate", "uncertain", "dry_run")
    return {name: getattr(words, name) for name in names} | limit | {"wait": True}


def _render_replay(replay: Replay) -> Sequence[Shown]:
    rows = [(each.fingerprint, each.letters, each.count) for each in replay.targets]
    counted = Table(f"{replay.counted} dead letters", ("cause", "list", "count"), rows)
    return [counted, _outcome(replay)]


def _outcome(replay: Replay) -> str:
    if replay.state == "counted":
        return "dry run: nothing was replayed"
    state = f"{replay.state}, its process is gone" if replay.stale else replay.state
    canary = f"canary {replay.canary_ended - replay.canary_failed} of {replay.canary_ended}"
    left = f", {replay.left} left" if replay.left else ""
    text = f"replay {replay.id}: {state}; {replay.replayed} replayed, {canary} succeeded{left}"
    return f"{text}\n{_as_typed(replay.error)}" if replay.error else text


def _as_typed(error: str) -> str:
    """An error with the options of this command in the place of the fields of the API."""
    return error.replace("(uncertain: ", "(--uncertain ")


def _replayed_well(replay: Replay) -> bool:
    """Whether it came to its end, and replayed something unless there was nothing to replay."""
    did_nothing = replay.left > 0 and not replay.replayed
    return replay.state == "counted" or (replay.state == "done" and not did_nothing)


def _add_replays(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", metavar="ID", help="only this one")
    parser.add_argument(
        "--limit",
        type=within(count, ReplaysQuery, "limit"),
        default=20,
        metavar="N",
        help="at most N (20)",
    )


def _replays(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"id": words.id, "limit": words.limit}


def _render_replays(found: Replays) -> Sequence[Shown]:
    columns = ("id", "started (UTC)", "by", "reason", "what", "state", *_COUNTS)
    rows = [
        (
            each.id,
            at(each.started),
            each.by,
            each.reason,
            each.cause or each.list_name or each.storage,
            "stale" if each.stale else each.state,
            each.counted,
            each.replayed,
            f"{each.canary_ended - each.canary_failed}/{each.canary_ended}",
            each.left,
        )
        for each in found.replays
    ]
    errors = [f"{each.id}: {_as_typed(each.error)}" for each in found.replays if each.error]
    return [Table("replays", columns, rows), *errors]


def _add_stop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as `replays` shows it")


def _stop(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"id": words.id}


def _render_stop(replay: Replay) -> Sequence[Shown]:
    return [f"replay {replay.id} is asked to stop; {replay.replayed} replayed so far"]


def _add_cause(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cause", metavar="CAUSE", help="a fingerprint, or 'link NAME: Type'")
    parser.add_argument(
        "--limit",
        type=within(count, FailureQuery, "limit"),
        default=10,
        metavar="N",
        help="at most N (10)",
    )


COMMANDS = (
    CliCommand(
        words=("failures",),
        operation="failures",
        summary="show dead letters by cause, over all lists and storages",
        example="failures",
        render=_render_failures,
        add_arguments=_add_failures,
        arguments=_failures,
        can_watch=True,
    ),
    CliCommand(
        words=("failure",),
        operation="failure",
        summary="show the newest dead letters of one cause, with their errors",
        example="failure unknown --limit 5",
        render=_render_failure,
        add_arguments=_add_cause,
        arguments=lambda words: {"cause": words.cause, "limit": words.limit},
    ),
    CliCommand(
        words=("replay",),
        operation="replay",
        summary="replay dead letters: a canary first, then the rest at a rate",
        example="replay --cause unknown --canary 10 --rate 50 --dry-run",
        render=_render_replay,
        add_arguments=_add_replay,
        arguments=_replay,
        well=_replayed_well,
        changes=True,
    ),
    CliCommand(
        words=("replays",),
        operation="replays",
        summary="show the newest replays, with their state and counts",
        example="replays --limit 5",
        render=_render_replays,
        add_arguments=_add_replays,
        arguments=_replays,
        can_watch=True,
    ),
    CliCommand(
        words=("replay-stop",),
        operation="replay_stop",
        summary="stop a replay, on any replica",
        example="replay-stop 0123456789ab --yes --reason 'the vendor is down again'",
        render=_render_stop,
        add_arguments=_add_stop,
        arguments=_stop,
        changes=True,
    ),
)
