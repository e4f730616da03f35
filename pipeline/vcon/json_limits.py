"""Whether every value inside a vCon can be kept in Redis and Postgres as it is.

The drafts allow any JSON; the stores do not. Postgres text and JSONB hold no NUL character,
UTF-8 no lone surrogate, JSON no NaN, and RedisJSON rounds integers beyond 64 bits. Nearly every
vCon is fine, so the walk comes twice: `storable` says quickly whether anything is wrong, level by
level and without paths; only then does `value_findings` look for what and where. Neither recurses.
"""

import re
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any

from schemas.vcon import Finding

MAX_DEPTH = 64
"""How many objects and lists may lie inside one another, the vCon itself being the first."""

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_NO_NUMBER = "not a finite number, or an integer of more than 64 bits"
_STRUCTURES = (dict, list)
_NUMBERS = (int, float)
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"

type _Level = list[dict[str, Any] | list[Any]]
type _Pair = tuple[Any, Any]
type _Step = tuple[str, Any, str]


def storable(document: Any) -> bool:
    """Whether every value can be kept; False sometimes only means: look closer."""
    texts: list[str] = []
    level: _Level = [document]
    for _ in range(MAX_DEPTH):
        below = _next_level(_values(level, texts), texts)
        if not below:
            return below is not None and _keepable(texts)
        level = below
    return False


def _next_level(values: list[Any], texts: list[str]) -> _Level | None:
    """The containers among the values; the texts go to `texts`; None: something cannot be kept."""
    level: _Level = []
    for value in values:
        kind = type(value)
        if kind is str:
            texts.append(value)
        elif kind is dict or kind is list:
            level.append(value)
        elif value is not None and kind is not bool and not _holds(value):
            return None
    return level


def _values(level: _Level, texts: list[str]) -> list[Any]:
    """Everything one level down; the names go to `texts`."""
    values: list[Any] = []
    for container in level:
        if isinstance(container, dict):
            texts += container
            values += container.values()
        else:
            values += container
    return values


def _keepable(texts: list[str]) -> bool:
    try:
        joined = "".join(texts)
        return "\0" not in joined and (joined.isascii() or bool(joined.encode()))
    except (TypeError, UnicodeEncodeError):  # a name that is no text; a lone surrogate
        return False


def _holds(number: object) -> bool:
    if isinstance(number, int):
        return _SMALLEST <= number <= _LARGEST
    return isinstance(number, float) and isfinite(number)


def value_findings(document: Any) -> Iterator[Finding]:
    """One error for every value and name that cannot be kept, in the order of the document."""
    trail = [("", _steps(document))]
    while trail:
        step = next(trail[-1][1], None)
        if step is None:
            trail.pop()
            continue
        part, value, fault = step
        if isinstance(value, _STRUCTURES) and len(trail) < MAX_DEPTH:
            trail.append((part, _steps(value)))
        else:
            yield Finding("error", _path(trail, part), fault or _TOO_DEEP)


def _steps(container: dict[Any, Any] | list[Any]) -> Iterator[_Step]:
    """What is faulty or a container itself: its part of the path, itself, the fault."""
    named = isinstance(container, dict)
    pairs: Iterable[_Pair] = (
        container.items() if isinstance(container, dict) else enumerate(container)
    )
    for name, value in pairs:
        if named and (fault := _name_fault(name)):
            yield _part(name), None, fault
        if (fault := _fault(value)) or isinstance(value, _STRUCTURES):
            yield _part(name) if named else f"[{name}]", value, fault


def _path(trail: list[tuple[str, Iterator[_Step]]], last: str) -> str:
    return "".join([*(part for part, _ in trail), last]).removeprefix(".")


def _part(name: object) -> str:
    if isinstance(name, str) and _PLAIN_NAME.fullmatch(name):
        return f".{name}"
    return f"[{name[:40] if isinstance(name, str) else type(name).__name__!a}]"


def _name_fault(name: object) -> str:
    if not isinstance(name, str):
        return "the name of a field must be a text"
    fault = _text_fault(name)
    return fault and f"the name of this field {fault}"


def _text_fault(text: str) -> str:
    if "\0" in text:
        return "holds a NUL character, which cannot be stored"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which is no valid Unicode"
    return ""


def _fault(value: object) -> str:
    if isinstance(value, str):
        return _text_fault(value)
    if isinstance(value, _NUMBERS):
        return "" if _holds(value) else _NO_NUMBER
    known = value is None or isinstance(value, _STRUCTURES)
    return "" if known else f"a {type(value).__name__} is no JSON value"
