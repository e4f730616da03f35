"""`verify`: whether a vCon is signed, by whom, and whether that is trusted."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.words import uuid_word
from schemas.operator.law.verification import VerifyResult

MOST_BYTES = 100_000_000
"""The largest file that is read."""


def _given(name: str) -> dict[str, Any] | bytes:
    """The content of a file: JSON, or gzip of it."""
    with Path(name).open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise argparse.ArgumentTypeError(f"{name} has more than {MOST_BYTES} bytes")
    if not content:
        raise argparse.ArgumentTypeError(f"{name} is empty")
    if content.startswith(b"\x1f\x8b"):
        return content
    try:
        value = orjson.loads(content)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{name} is no vCon in JSON")
    return value


def _file(name: str) -> dict[str, Any] | bytes:
    if not name:
        raise argparse.ArgumentTypeError("expected the name of a file")
    try:
        return _given(name)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be read: {error.strerror}") from error


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("file", nargs="?", type=_file, metavar="FILE", help="with the vCon")
    which.add_argument("--uuid", type=uuid_word, metavar="UUID", help="of a vCon that is kept")
    parser.add_argument("--original", action="store_true", help="print the signed form only")


def _arguments(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"vcon": words.file, "vcon_uuid": words.uuid, "original": words.original}


def _render(result: VerifyResult) -> Sequence[Shown]:
    if result.original is not None:
        return [result.original]
    about = f"vCon {result.vcon_uuid or 'without uuid'}, {result.form}"
    shown: list[Shown] = [f"{about}: {'verified' if result.verified else result.error}"]
    if result.signers:
        rows = [
            (each.place, each.algorithm, each.subject, each.certificate, each.trusted_by or "no")
            for each in result.signers
        ]
        columns = ("signature", "algorithm", "signer", "SHA-256 of the certificate", "trusted by")
        shown.append(Table("signers", columns, rows))
    return [*shown, *result.findings]


COMMANDS = (
    CliCommand(
        words=("verify",),
        operation="verify",
        summary="verify the signatures of a vCon under law.trust",
        example="verify call.vcon",
        render=_render,
        add_arguments=_add_arguments,
        arguments=_arguments,
        well=lambda result: result.verified,
    ),
)
