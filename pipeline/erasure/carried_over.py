"""The vCons of earlier erasures, from a file: a backup of before does not know of them."""

from pathlib import Path
from typing import Any, Final

from core.errors import InvalidError
from pipeline.law.writing.statements import MOST_CHARACTERS, unverified
from schemas.uuids import canonical_uuid

MOST_BYTES: Final = 200_000_000
"""Bytes of such a file."""


def erased_in(file: str) -> list[str]:
    """The uuids in a file, each once; a line is a uuid or a statement about an erasure. Blocks.

    Statements are not verified: the file is the operator's.

    Raises:
        InvalidError: the file cannot be read, is too large, or a line is neither.
    """
    try:
        if Path(file).stat().st_size > MOST_BYTES:
            raise InvalidError(f"{file}: more than {MOST_BYTES} bytes")
        lines = Path(file).read_text().splitlines()
    except (OSError, ValueError) as error:
        raise InvalidError(f"{file}: cannot be read ({type(error).__name__})") from None
    found: list[str] = []
    for number, line in enumerate(map(str.strip, lines), 1):
        try:
            found += _uuids_of(line)
        except InvalidError:
            msg = f"{file}, line {number}: expected a uuid or a statement about an erasure"
            raise InvalidError(msg) from None
    return list(dict.fromkeys(found))


def _uuids_of(line: str) -> list[str]:
    if not line:
        return []
    if (vcon_uuid := canonical_uuid(line)) is not None:
        return [vcon_uuid]
    content: Any = unverified(line) if len(line) <= MOST_CHARACTERS else None
    vcons = content.get("vcons") if isinstance(content, dict) else None
    uuids = [canonical_uuid(each) for each in vcons] if isinstance(vcons, list) else [None]
    if None in uuids:
        raise InvalidError("no statement about an erasure")
    return [each for each in uuids if each is not None]
