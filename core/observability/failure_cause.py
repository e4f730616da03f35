"""The cause of a failure: its step, the type of the error, and the message without its values.

Failures of one kind get the same fingerprint, whichever vCon, address or number their messages
name. A message is read up to `READ` characters, and every step takes linear time: error texts come
from plugins, and may hold what a caller has chosen.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.observability.storable_text import storable_text, text_of

READ = 2000
"""Characters of an error that are read."""
LONGEST = 160
"""Characters of a normalised message, of a type and of a step's name."""
UNKNOWN = "unknown"
"""The fingerprint of a dead letter without an error: another program put it there."""
OTHER = "other"
"""The fingerprint of all causes beyond those that a list can keep apart."""

_QUOTED = re.compile(r"""(?<!\w)(["'`])(?:(?!\1(?!\w)).)*+(?:\1|\Z)""", re.DOTALL)
_TYPE = re.compile(r"[A-Za-z_][\w.]*+(?=:|$)")
_EDGES = re.compile(r"""[()\[\]{}<>,;.!?"'`]*+""")
_COLON = re.compile(r"""(?::(?!:))?[()\[\]{}<>,;.!?"'`]*+""")
_WORD = re.compile(r"\w+")
_HEX = re.compile(r"[0-9a-fA-F]{8,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ADDRESS = re.compile(r"[0-9a-fA-F.]*+(?::[0-9a-fA-F.]*+){2,8}(?:%\w++)?")
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?:/\d{1,2})?")
_NUMBERS = re.compile(r"(?<!\w)[+-]?<n>(?:[-.:,/+_ ]++<n>)*+|<n>(?:[-.:,/+_ ]++<n>)++")


@dataclass(frozen=True, slots=True)
class FailureCause:
    """What failures of one kind have in common; `step` is as in "link tag", or empty."""

    fingerprint: str
    step: str
    type: str
    message: str
    config_hash: str


def cause_of(
    kind: str | None, name: str | None, error: str | None, config_hash: str
) -> FailureCause:
    """The cause of a failure in a step, by its error text (`Type: message`)."""
    step = storable_text(f"{kind} {name}" if kind else "", LONGEST)
    found = _TYPE.match(error or "")
    type_name = found[0][:LONGEST] if found else ""
    message = normalised((error or "")[found.end() + 1 if found else 0 :])
    if not (step or type_name or message):
        return FailureCause(UNKNOWN, "", "", "", config_hash)
    parts = (step, type_name, message, config_hash)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return FailureCause(digest, *parts)


def causes_of_run(run: Mapping[str, Any]) -> Iterator[tuple[FailureCause, str | None]]:
    """The causes of a run that has ended, with the error: one for each of its dead letters.

    Records of another shape, which another program may have written, are read as far as possible.
    """
    given, config_hash = run.get("steps"), run.get("config_hash") or ""
    steps = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    failed = [each for each in steps if each.get("outcome") == "failed"]
    if run.get("status") == "failed":
        last = steps[-1] if steps and steps[-1] in failed else {}
        yield _told(last.get("kind"), last.get("name"), run.get("error"), config_hash)
    elif run.get("status") == "partial":
        for step in failed:
            if step.get("kind") == "storage":
                yield _told("storage", step.get("name"), step.get("error"), config_hash)


def _told(kind: Any, name: Any, error: Any, config_hash: Any) -> tuple[FailureCause, str | None]:
    told = None if error is None else str(error)
    return cause_of(kind and str(kind), name and str(name), told, str(config_hash)), told


def normalised(message: str) -> str:
    """A message with a mark in the place of each value, at most `LONGEST` characters.

    Values are what stands in quotes, URLs, mail and IP addresses, paths, uuids, hexadecimal
    numbers, and every word with a digit.
    """
    text = storable_text(text_of(message)[:READ])
    words = map(_without_values, _QUOTED.sub("<text>", text).split())
    shown = _NUMBERS.sub("<n>", " ".join(words))
    return "".join(each for each in shown if each.isprintable())[:LONGEST]


def _without_values(word: str) -> str:
    start = _length(_EDGES.match(word))
    end = len(word) - _length(_COLON.match(word[::-1]))
    core = word[start:end]
    if mark := _mark(core):
        return f"{word[:start]}{mark}{word[end:]}"
    if "=" in core:
        return "=".join(map(_without_values, word.split("=")))
    return _WORD.sub(_word, word)


def _mark(core: str) -> str:
    """What takes the place of a whole word; empty if it has no value, or only parts of it are."""
    if "://" in core:
        return "<url>"
    if "@" in core[1:]:
        return "<address>"
    if core.startswith(("/", "~/")) and core.count("/") > 1:
        return "<path>"
    if _UUID.fullmatch(core.rpartition(":")[2]):  # also urn:uuid:...
        return "<uuid>"
    return "<address>" if _ADDRESS.fullmatch(core) or _IPV4.fullmatch(core) else ""


def _length(found: re.Match[str] | None) -> int:
    return found.end() if found else 0


def _word(found: re.Match[str]) -> str:
    word = found[0]
    has_value = _HEX.fullmatch(word) or any(each.isnumeric() for each in word)
    return "<n>" if has_value else word
