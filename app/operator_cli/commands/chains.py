"""Chains and replicas: `pause`, `resume`, `pauses`, `drain`, `undrain`, `replicas`."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at, span
from app.operator_cli.words import count, duration, within
from schemas.operator.pauses import (
    DrainRequest,
    DrainResult,
    Pause,
    PauseRequest,
    Pauses,
    Resumed,
    Undrained,
)
from schemas.operator.replicas import Drain, Replica, Replicas, ReplicasQuery


def _add_chain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chain", metavar="CHAIN", help="as config.yml names it")


def _add_for(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        type=within(duration, PauseRequest, "seconds"),
        dest="seconds",
        metavar="TIME",
        help="end it after this time, such as 1h",
    )


def _add_pause(parser: argparse.ArgumentParser) -> None:
    _add_chain(parser)
    _add_for(parser)


def _add_replica(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "replica", metavar="REPLICA", help="its id, its host, or the beginning of its id"
    )


def _add_drain(parser: argparse.ArgumentParser) -> None:
    _add_replica(parser)
    _add_for(parser)
    parser.add_argument(
        "--wait",
        type=within(duration, DrainRequest, "wait"),
        default=0,
        metavar="TIME",
        help="wait at most this time until it holds nothing; exit code 1 if it still holds runs",
    )


def _add_replicas(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "replica", metavar="REPLICA", nargs="?", help="only those whose id begins with this"
    )
    parser.add_argument(
        "--held",
        type=within(count, ReplicasQuery, "held"),
        default=20,
        metavar="N",
        help="at most N runs of each (20)",
    )


def _of_chain(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"chain": words.chain}


def _of_pause(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"chain": words.chain, "for": words.seconds}


def _of_replica(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"replica": words.replica}


def _of_drain(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"replica": words.replica, "for": words.seconds, "wait": words.wait}


def _of_replicas(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"replica": words.replica, "held": words.held}


def _until(entry: Drain) -> str:
    return f"until {at(entry.until)} UTC" if entry.until else "without an end"


def _paused(pause: Pause) -> Sequence[Shown]:
    return [
        f"chain {pause.chain} is paused {_until(pause)}: it takes vCons in and claims none",
        f"to end it: python entrypoint.py resume {pause.chain}",
    ]


def _resumed(resumed: Resumed) -> Sequence[Shown]:
    if resumed.before is None:
        return [f"chain {resumed.chain} was not paused"]
    since = f"{at(resumed.before.at)} UTC" if resumed.before.at else "an unknown time"
    return [f"chain {resumed.chain} claims again; it was paused since {since}"]


def _pauses(pauses: Pauses) -> Sequence[Shown]:
    def row(name: str, entry: Drain, note: str) -> tuple[str | None, ...]:
        return name, at(entry.at), at(entry.until), entry.by, entry.reason, note

    columns = ("since (UTC)", "until (UTC)", "by", "reason", "")
    chains = [
        row(each.chain, each, "" if each.configured else "not in config.yml")
        for each in pauses.paused
    ]
    drained = [
        row(each.replica, each, "" if each.running else "has ended") for each in pauses.drained
    ]
    return [
        Table("paused chains", ("chain", *columns), chains),
        Table("drained replicas", ("replica", *columns), drained),
    ]


def _drained(result: DrainResult) -> Sequence[Shown]:
    told = f"replica {result.drained.replica} is drained {_until(result.drained)}"
    if result.replica is None:
        return [told, "it has ended"]
    if result.holds_nothing:
        return [told, "it holds nothing"]
    return [told, *_held([result.replica]), f"it holds {result.replica.in_flight} in flight"]


def _undrained(result: Undrained) -> Sequence[Shown]:
    if result.before is None:
        return [f"replica {result.replica} was not drained"]
    return [f"replica {result.replica} claims again"]


def _replicas(found: Replicas) -> Sequence[Shown]:
    rows = [
        (
            each.id,
            each.kind,
            each.version if each.commit in ("", "unknown") else f"{each.version} {each.commit}",
            span(each.age),
            len(each.workers),
            f"{each.in_flight}/{each.slots}",
            each.config_hash,
            each.actions,
            _joined(each),
            at(each.token_expires_at),
            _state(each),
        )
        for each in found.replicas
    ]
    columns = ("replica", "kind", "version", "last sign", "workers", "in flight", "configuration")
    table = Table("replicas", (*columns, "actions", "joined", "token until (UTC)", "state"), rows)
    return [table, *_held(found.replicas), *_remarks(found)]


def _joined(replica: Replica) -> str | None:
    return None if replica.joined is None else "yes" if replica.joined else "NO"


def _state(replica: Replica) -> str:
    if replica.stopping:
        return "stopping"
    return "running" if replica.drained is None else f"drained {_until(replica.drained)}"


def _held(replicas: Sequence[Replica]) -> list[Shown]:
    rows = [
        (run.vcon, run.chain, run.step, at(run.since), run.worker)
        for replica in replicas
        for run in replica.held
    ]
    return [Table("held", ("vCon", "chain", "step", "since (UTC)", "worker"), rows)] if rows else []


def _remarks(found: Replicas) -> list[Shown]:
    """What is wrong with single replicas, and what they differ in."""
    lines = [
        f"{each.id}: {text}"
        for each in found.replicas
        for text in (*_problems(each), *each.redis_warnings, *each.notes)
    ]
    for name in ("config_hash", "actions", "version"):
        told = {getattr(each, name) for each in found.replicas} - {None, ""}
        if len(told) > 1:
            lines.append(f"replicas differ in {name}: {', '.join(sorted(told))}")
    if found.unreadable:
        lines.append(f"{found.unreadable} entries of pc:processes are no process's")
    return list(lines)


def _problems(replica: Replica) -> list[str]:
    found = [f"Postgres: {replica.postgres}"] if replica.postgres else []
    more = replica.notes_count - len(replica.notes)
    return [*found, f"{more} further notes: run `check`"] if more > 0 else found


def _pause_question(words: argparse.Namespace) -> str:
    return f"pause chain {words.chain}: it takes vCons in and runs none. Do it?"


def _drain_question(words: argparse.Namespace) -> str:
    return f"drain {words.replica}: its workers finish what they hold and claim nothing. Do it?"


def _is_done(result: DrainResult) -> bool:
    return result.holds_nothing or not result.waited


COMMANDS = (
    CliCommand(
        words=("pause",),
        operation="pause",
        summary="let a chain take vCons in and run none",
        example="pause main --for 1h --yes --reason 'the CRM is down'",
        render=_paused,
        add_arguments=_add_pause,
        arguments=_of_pause,
        question=_pause_question,
        changes=True,
    ),
    CliCommand(
        words=("resume",),
        operation="resume",
        summary="end the pause of a chain",
        example="resume main --yes --reason 'the CRM is back'",
        render=_resumed,
        add_arguments=_add_chain,
        arguments=_of_chain,
        changes=True,
    ),
    CliCommand(
        words=("pauses",),
        operation="pauses",
        summary="show which chains are paused and which replicas are drained",
        example="pauses",
        render=_pauses,
    ),
    CliCommand(
        words=("drain",),
        operation="drain",
        summary="let a replica finish what it holds and claim nothing",
        example="drain web-1 --wait 5m --yes --reason 'the machine is replaced'",
        render=_drained,
        add_arguments=_add_drain,
        arguments=_of_drain,
        question=_drain_question,
        well=_is_done,
        changes=True,
    ),
    CliCommand(
        words=("undrain",),
        operation="undrain",
        summary="let a drained replica claim again",
        example="undrain web-1 --yes --reason 'the machine stays'",
        render=_undrained,
        add_arguments=_add_replica,
        arguments=_of_replica,
        changes=True,
    ),
    CliCommand(
        words=("replicas",),
        operation="replicas",
        summary="show which processes run, and what each holds",
        example="replicas",
        render=_replicas,
        add_arguments=_add_replicas,
        arguments=_of_replicas,
        can_watch=True,
    ),
)
