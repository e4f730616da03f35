"""`verify-statement`: whether a statement about an erasure is genuine, and what it says.

It needs no server and none of the service's settings where `--anchors` is given, so the person or
authority that got a statement can verify it. Other tools can, too: docs/law.md.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from core.environment import environment
from core.errors import ConfigurationError, InvalidError, TooLargeError
from core.observability.logs import one_line
from core.settings import OperatorProcessSettings, load_settings
from pipeline.config import yaml_file
from pipeline.law.writing.statements import (
    ERASURE_STATEMENT,
    MOST_CHARACTERS,
    Statement,
    check_anchors,
    verified,
)
from pipeline.runs.factories import config_path, lenience

EXIT_GENUINE, EXIT_NOT_GENUINE = 0, 1
STANDARD_INPUT = "-"
MOST_SHOWN = 200
"""Exceptions that are listed; all are in the JSON."""


def verify(file: str, anchors: Sequence[str], *, as_json: bool) -> int:
    """Verify the statement in a file, and print what it says; the exit code.

    `anchors`: files with certificates or public keys in PEM; none: those of the configuration.

    Raises:
        ConfigurationError: a file cannot be read, or there is nothing to verify with.
    """
    text = _statement(_read(file))
    trusted = [_anchor(each) for each in anchors] or _configured()
    try:
        found = verified(text, ERASURE_STATEMENT, trusted, datetime.now(UTC))
    except (InvalidError, TooLargeError) as error:
        sys.stdout.write(_as_json(error=str(error)) if as_json else f"not genuine: {error}\n")
        return EXIT_NOT_GENUINE
    signer = {"algorithm": found.algorithm, "key": found.key, "subject": found.subject}
    if as_json:
        sys.stdout.write(_as_json(signer=signer, statement=found.content))
    else:
        sys.stdout.writelines(f"{one_line(each)}\n" for each in _lines(found))
    return EXIT_GENUINE


def _statement(text: str) -> str:
    """The statement in the JSON of an erasure, as `erasure show --json` prints it, or the text."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        erasure = orjson.loads(text)
    except ValueError:
        return text
    found = erasure.get("statement")
    if found is None and "statement" in erasure:
        state = f", it is {erasure.get('state')!a:.40}" if "state" in erasure else ""
        raise ConfigurationError(f"the erasure has no statement{state}: it gets one when it ends")
    return found if isinstance(found, str) else ""


def _read(file: str) -> str:
    """A file's text; of one that is too long, enough to say so."""
    if file == STANDARD_INPUT:
        return sys.stdin.read(MOST_CHARACTERS + 1)
    try:
        with Path(file).open(encoding="utf-8", errors="replace") as opened:
            return opened.read(MOST_CHARACTERS + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{file}: {why}") from None


def _anchor(file: str) -> str:
    """The certificates or the public key in a file."""
    text = _read(file)
    try:
        check_anchors(text)
    except InvalidError as error:
        wrong = "it has a private key" if "PRIVATE KEY-----" in text else f"{error}"
        remedy = "give the signer's certificate or public key, or its authority's certificate"
        raise ConfigurationError(f"--anchors {file}: {wrong}; {remedy}") from None
    return text


def _configured() -> list[str]:
    """The certificates of this service's own keys, and its anchors."""
    try:
        settings = load_settings(OperatorProcessSettings)
    except ConfigurationError as error:
        first = "give --anchors FILE (certificates or a public key in PEM), or the settings with"
        raise ConfigurationError([f"{first} which the service runs:", *error.problems]) from None
    config = yaml_file.read(config_path(settings), environment(), **lenience(settings))
    if config.law is None:
        raise ConfigurationError("give --anchors: the configuration has no section `law`")
    own = [key.chain for key in config.law.keys.values() if key.chain]
    return [*own, *config.law.trust.anchors]


def _as_json(**told: Any) -> str:
    shown = {"genuine": "error" not in told, **told}
    return orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode() + "\n"


def _lines(found: Statement) -> Iterator[str]:
    said = found.content
    by = f" by {found.subject}" if found.subject else ""
    yield f"genuine: signed with {found.algorithm}{by}, key {found.key}"
    state = str(said.get("state")).replace("_", " ")
    yield f"erasure {said.get('erasure')}: {state}, {said.get('ended_at')}"
    counts = [f"{count} {each}" for each, count in _members(said, "count").items()]
    vcons = len(_entries(said, "vcons"))
    if earlier := _entries(said, "earlier"):
        yield f"version {said.get('version')}; the one before has the SHA-256 {earlier[-1]}"
    if unknown := _entries(said, "nothing_known"):
        yield f"nothing was known of {len(unknown)} vCons"
    yield f"vCons: {vcons}; destinations: {', '.join(counts) or 'none'}"
    exceptions = [each for each in _entries(said, "exceptions") if isinstance(each, dict)]
    meanings = _members(said, "meaning")
    for each in exceptions[:MOST_SHOWN]:
        place, state = f"{each.get('kind')} {each.get('name')}", str(each.get("state"))
        yield f"  exception: {place}, vCon {each.get('vcon')}: {meanings.get(state, state)}"
    if len(exceptions) > MOST_SHOWN:
        yield f"  and {len(exceptions) - MOST_SHOWN} more, which --json shows"
    for name, text in _members(said, "not_reached").items():
        yield f"  not reached: {name.replace('_', ' ')}: {text}"


def _members(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = said.get(name)
    return found if isinstance(found, dict) else {}


def _entries(said: Mapping[str, Any], name: str) -> list[Any]:
    found = said.get(name)
    return found if isinstance(found, list) else []
