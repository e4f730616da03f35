"""`${inputs.order.items[0].name}` in a flow's texts.

A path goes through mappings by key and lists by number, and through nothing else: no attribute of
any object can be reached. A text that is one reference keeps the value's type; within a longer text
the value is written out. `${path:-default}` has a text for what is missing or null, and `$${` is a
literal `${`.
"""

import json
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from flowlang.environment import variable
from flowlang.exceptions import FlowExecutionError

_REFERENCE = re.compile(r"(\$?)\$\{([^{}]+)\}")
_PART = re.compile(
    r"\.?(?P<name>[^\W\d][\w-]*)"
    r"|\.?\[(?P<number>-?\d+)\]"
    r"|\.?\[(?P<mark>[\"'])(?P<quoted>.*?)(?P=mark)\]"
)

_SCALARS = (int, float, bool, type(None))
_MAPPINGS = (dict, ChainMap)
_LONGEST_KEPT = 200
"""Characters of a text that is remembered between runs."""

type Path = tuple[str | int, ...]


def resolved(value: Any, roots: Mapping[str, Any]) -> Any:
    """The value with every reference in it replaced, at any depth.

    A path begins with a name in `roots`, or `env`. Raises FlowExecutionError for a path that leads
    to nothing.
    """
    if isinstance(value, str):
        return _text(value, roots)
    if type(value) in _SCALARS:
        return value
    if isinstance(value, list):
        return [resolved(each, roots) for each in value]
    if isinstance(value, dict | Mapping):  # checking for dict first is faster
        return {key: resolved(each, roots) for key, each in value.items()}
    return value


def _text(text: str, roots: Mapping[str, Any]) -> Any:
    if "${" not in text:
        return text
    if whole := _whole(text) if len(text) <= _LONGEST_KEPT else _as_whole(text):
        return _looked_up(whole, roots)
    return _REFERENCE.sub(lambda match: _written(match, roots), text)


def _as_whole(text: str) -> str:
    """The reference that a text is; empty if it is not one."""
    whole = _REFERENCE.fullmatch(text)
    return whole[2] if whole is not None and not whole[1] else ""


_whole = lru_cache(maxsize=4096)(_as_whole)
"""For the texts of flows, which are resolved again in each run."""


def _written(match: re.Match[str], roots: Mapping[str, Any]) -> str:
    if match[1]:
        return match[0][1:]
    value = _looked_up(match[2], roots)
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)


def _looked_up(reference: str, roots: Mapping[str, Any]) -> Any:
    text, separator, default = reference.partition(":-")
    try:
        value = _walk(_path(text.strip()), roots)
    except LookupError as error:
        if separator:
            return default
        raise FlowExecutionError(f"Cannot resolve ${{{reference}}}: {error.args[0]}") from None
    return default if separator and value in (None, "") else value


@lru_cache(maxsize=4096)
def _path(text: str) -> Path:
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None or (position == 0 and not match["name"]):
            raise LookupError(f"'{text[position:]}' is no name, [number] or ['name']")
        number = match["number"]
        parts.append(match["name"] or match["quoted"] or "" if number is None else int(number))
        position = match.end()
    return tuple(parts)


def _walk(path: Path, roots: Mapping[str, Any]) -> Any:
    if path[:1] == ("env",):
        return _from_environment(path)
    value: Any = roots
    gone = "the flow"
    for part in path:
        value = _inside(value, part, gone)
        gone = f"'{part}'"
    return value


def _from_environment(path: Path) -> str:
    value = variable(str(path[1])) if len(path) == 2 else None
    if value is None:
        raise LookupError(f"environment variable '{'.'.join(map(str, path[1:]))}' not found")
    return value


def _inside(value: Any, part: str | int, name: str) -> Any:
    # each check for an abstract class takes longer than the access itself
    if type(value) in _MAPPINGS and part in value:
        return value[part]
    if isinstance(value, Mapping) and part in value:
        return value[part]
    if isinstance(value, list | tuple) and isinstance(part, int):
        if -len(value) <= part < len(value):
            return value[part]
        raise LookupError(f"{name} has {len(value)} items, none with number {part}")
    raise LookupError(f"{name} {_contents(value)}, and no '{part}'")


def _contents(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"has {', '.join(str(key) for key in list(value)[:20]) or 'nothing'}"
    return f"is {type(value).__name__}"


def is_reference(text: str) -> bool:
    """Whether a text is one reference and nothing else."""
    whole = _REFERENCE.fullmatch(text)
    return whole is not None and not whole[1]


def references_in(text: str) -> Iterator[Path]:
    """The path of each reference in a text; an empty one for what is no path."""
    for literal, reference in _REFERENCE.findall(text):
        if not literal:
            try:
                yield _path(reference.partition(":-")[0].strip())
            except LookupError:
                yield ()


def variables_in(value: Any) -> Iterator[str]:
    """The names of all environment variables that a value refers to."""
    if isinstance(value, str):
        for _, reference in _REFERENCE.findall(value):
            if reference.startswith("env."):
                yield reference.removeprefix("env.").partition(":-")[0]
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from variables_in(each)
