"""`config show`, `config diff FILE` and `try FILE`."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from app.operator_cli.command import CliCommand, Shown, Table
from app.operator_cli.words import count, within
from core.errors import InvalidError
from pipeline.config.writing import yaml_text
from schemas.operator.configuration import (
    MOST_BYTES,
    MOST_VCONS,
    Change,
    ConfigurationDiff,
    Difference,
    ShownConfiguration,
    Trial,
    TrialResult,
    TriedVcon,
)

MOST_VCON_BYTES = 256 * 1024 * 1024
"""Bytes of one file with a vCon; what a vCon may have is checked later."""
MOST_SHOWN = 200
"""Rows of vCons that differ."""
WORDS = {
    "same": "the same as before",
    "changed": "some vCons come out differently",
    "fails": "vCons that ended well before fail now",
    "nothing tried": "no vCon could be tried",
    "not valid": "the configuration is not valid",
}


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a configuration, as config.yml")


def _content(words: argparse.Namespace) -> Mapping[str, Any]:
    return {"content": _text(words.file, MOST_BYTES)}


def _text(path: Path, most: int) -> str:
    """The text of a file.

    Raises:
        InvalidError: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InvalidError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise InvalidError(f"{path}: has more than {most} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path}: is not UTF-8: byte {error.start} is no part of a character"
        raise InvalidError(msg) from None


def _render_configuration(shown: ShownConfiguration) -> Sequence[Shown]:
    lines = [f"# hash {shown.hash}", *(f"# note: {note}" for note in shown.notes)]
    return [*lines, *yaml_text(shown.document).decode().rstrip().splitlines()]


def _render_diff(diff: ConfigurationDiff) -> Sequence[Shown]:
    shown: list[Table] = [*_texts("problems", diff.problems), *_texts("notes", diff.notes)]
    if diff.hash_after is None:
        return [*shown, "not valid: it would not come into force"]
    shown += _changes("chains", diff.chains) + _changes("other sections", diff.sections)
    lists = [(each.name, each.before, each.after, each.waiting) for each in diff.lists]
    keys = [(each.ingress_list, each.label, each.change, each.count) for each in diff.keys]
    modules = [
        (each.module, each.state, each.pip_name, ", ".join(each.used_by), each.detail)
        for each in diff.modules
    ]
    tables = (
        Table("lists", ("list", "read by", "then by", "waiting"), lists),
        Table("ingress keys", ("list", "label", "change", "keys"), keys),
        Table("modules", ("module", "state", "package", "used by", "detail"), modules),
        *_texts("in force only after a restart", diff.restart),
        *_texts("held back until the file is seen twice, or SIGHUP", diff.confirm),
        *_texts("not checked", diff.not_checked),
    )
    shown += [table for table in tables if table.rows]
    end = "no difference" if diff.same else f"hash {diff.hash_before} -> {diff.hash_after}"
    return [*shown, end]


def _texts(title: str, texts: Sequence[str]) -> list[Table]:
    return [Table(title, ("text",), [(each,) for each in texts])] if texts else []


def _changes(title: str, changes: Sequence[Change]) -> list[Table]:
    rows = [
        (f"{each.section}.{each.name}" if at == 0 else "", each.change if at == 0 else "", line)
        for each in changes
        for at, line in enumerate(each.details or [""])
    ]
    return [Table(title, ("entry", "change", "detail"), rows)] if rows else []


def _add_trial(parser: argparse.ArgumentParser) -> None:
    _file(parser)
    parser.add_argument(
        "--vcon",
        type=Path,
        action="append",
        default=[],
        metavar="X.json",
        help="a vCon to try, or a file with a list of them; may be repeated",
    )
    parser.add_argument(
        "--last",
        type=within(count, Trial, "last"),
        default=50,
        metavar="N",
        help="the last N recorded runs, without --vcon (50)",
    )
    parser.add_argument("--chain", metavar="CHAIN", help="only this chain")
    for name, text in (
        ("run", "call this link, though it does not declare to be pure; what it sends is refused"),
        ("stub", "take this link's outcome from the record instead of calling it"),
        ("skip", "leave this link out"),
    ):
        parser.add_argument(f"--{name}", action="append", default=[], metavar="LINK", help=text)


def _trial(words: argparse.Namespace) -> Mapping[str, Any]:
    return {
        **_content(words),
        "vcons": [vcon for path in words.vcon for vcon in _vcons(path)],
        "last": words.last,
        "chain": words.chain,
        "run": words.run,
        "stub": words.stub,
        "skip": words.skip,
    }


def _vcons(path: Path) -> list[Any]:
    try:
        found = orjson.loads(_text(path, MOST_VCON_BYTES))
    except orjson.JSONDecodeError as error:
        raise InvalidError(f"{path}: is not JSON: {error}") from None
    vcons = found if isinstance(found, list) else [found]
    if len(vcons) > MOST_VCONS:
        raise InvalidError(f"{path}: has more than {MOST_VCONS} vCons")
    if not all(isinstance(each, dict) for each in vcons):
        raise InvalidError(f"{path}: must be a vCon, or a list of vCons")
    return vcons


def _render_trial(result: TrialResult) -> Sequence[Shown]:
    shown: list[Shown] = []
    shown += _texts("problems", result.problems) + _texts("notes", result.notes)
    if result.links:
        plans = [(each.chain, each.link, each.how, each.why) for each in result.links]
        shown.append(Table("links", ("chain", "link", "way", "why"), plans))
    changed = [each for each in result.vcons if not each.same]
    if changed:
        rows = [row for each in changed[:MOST_SHOWN] for row in _rows(each)]
        columns = ("vCon", "chain", "before", "after", "difference")
        shown.append(Table("vCons that differ", columns, rows))
    if result.not_tried:
        counts = Counter(each.why for each in result.not_tried)
        rows_of_reasons = [(number, why) for why, number in counts.most_common(20)]
        shown.append(Table("not tried", ("vCons", "why"), rows_of_reasons))
    total = result.totals
    numbers = (
        f"{total.tried} tried: {total.same} the same, {total.changed} different"
        f" ({total.failed} fail now); {total.not_tried} not tried"
    )
    return [*shown, numbers, f"verdict: {result.verdict}: {WORDS[result.verdict]}"]


def _rows(tried: TriedVcon) -> list[tuple[str, ...]]:
    texts = [_difference(each) for each in tried.differences]
    first = (tried.vcon, tried.chain, tried.before, tried.after, texts[0])
    return [first, *(("", "", "", "", text) for text in texts[1:])]


def _difference(each: Difference) -> str:
    if each.part == "error":
        return f"error: {each.label}"
    if each.part == "outcome":
        return f"outcome: {each.label}"
    return f"{each.part} {each.change}: {each.label}"


COMMANDS = (
    CliCommand(
        words=("config", "show"),
        operation="config_show",
        summary="show the running configuration, with masks for secrets",
        example="config show",
        render=_render_configuration,
    ),
    CliCommand(
        words=("config", "diff"),
        operation="config_diff",
        summary="show what a configuration would change; changes nothing",
        example="config diff new.yml",
        render=_render_diff,
        add_arguments=_file,
        arguments=_content,
        well=lambda diff: not diff.problems,
    ),
    CliCommand(
        words=("try",),
        operation="try_configuration",
        summary="run vCons through a configuration; stores and sends nothing",
        example="try new.yml --last 50",
        render=_render_trial,
        add_arguments=_add_trial,
        arguments=_trial,
        well=lambda result: result.verdict in ("same", "changed"),
    ),
)
