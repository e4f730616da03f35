"""`backup` and `restore`."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.numbers import at, size, span
from core.errors import InvalidError
from schemas.operator.backup import BackupContent, BackupResult, RestoreResult

STANDARD = "-"


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard output")


def _add_restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    parser.add_argument(
        "--dry-run", action="store_true", help="read and check everything, write nothing"
    )
    parser.add_argument(
        "--erased", metavar="FILE", help="uuids or statements of erasures since, a line each"
    )


def _of_backup(words: argparse.Namespace) -> Mapping[str, Any]:
    if words.file == STANDARD and words.as_json:
        raise InvalidError("--json: standard output takes the backup; name a file, or leave it out")
    return {"file": words.file}


def _of_restore(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"file": words.file, "dry_run": words.dry_run, "erased": words.erased}


def _parts(content: BackupContent) -> Table:
    rows = [(part.name, part.rows, size(part.bytes), part.sha256[:16]) for part in content.parts]
    return Table("", ("part", "rows", "size", "SHA-256"), rows)


def _taken(content: BackupContent) -> str:
    """When it was made; the file's text, if that is no time."""
    try:
        return f"{at(datetime.fromisoformat(content.taken_at))} UTC"
    except ValueError:
        return content.taken_at


def _render_backup(result: BackupResult) -> Sequence[Shown]:
    if result.file == STANDARD:
        return []
    left_out = [f"left out: {count} of type {kind}" for kind, count in result.left_out.items()]
    return [
        _parts(result.content),
        f"{result.file}: {size(result.content.bytes)} in {span(result.seconds)},"
        f" {result.documents:,} vCons, {result.queued:,} places in lists;"
        f" revision {result.content.revision}",
        f"SHA-256 {result.content.sha256}",
        *left_out,
    ]


def _render_restore(result: RestoreResult) -> Sequence[Shown]:
    content = result.content
    done = "would be done" if result.dry_run else "done"
    about: list[Shown] = [
        f"{result.file}: taken {_taken(content)} by version {content.version},"
        f" revision {content.revision}; all sums are right",
        _parts(content),
    ]
    if result.refusal:
        return [*about, f"the backup is whole, but cannot be restored here: {result.refusal}"]
    return [
        *about,
        Table("", (done,), [(step,) for step in result.steps]),
        "nothing was written" if result.dry_run else f"restored in {span(result.seconds)}",
    ]


COMMANDS = (
    CliCommand(
        words=("backup",),
        operation="backup",
        summary="write what Redis and Postgres have to a file, while the service works",
        example="backup /backups/monday",
        render=_render_backup,
        add_arguments=_add_file,
        arguments=_of_backup,
    ),
    CliCommand(
        words=("restore",),
        operation="restore",
        summary="restore a backup into an empty Redis and an empty database",
        example="restore /backups/monday --dry-run",
        render=_render_restore,
        add_arguments=_add_restore,
        arguments=_of_restore,
        question=lambda words: f"restore {words.file} into Redis and Postgres of these settings?",
        well=lambda result: not result.refusal,
        changes=True,
    ),
)
