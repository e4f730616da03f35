"""JSON that not every reader takes: told to whoever sent it, instead of being dropped.

The quick reader refuses a whole text for one number of more than 64 bits, or for half a surrogate
pair; so does every store behind it. The standard library's reader takes both, so that a request
with such a value can be answered with what is wrong, and where.
"""

import json
from collections.abc import Iterator
from math import inf
from typing import Any, NamedTuple

import orjson

_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_MOST_DIGITS = 400
_LONGEST_PLACE = 200


class Unreadable(NamedTuple):
    """Stands for a value that is not kept; `why` says where in it what is wrong."""

    why: str


def loads(text: str | bytes) -> Any:
    """What a text says, with `Unreadable` for members of its objects that hold such values.

    Only members two levels down are looked at: those of a message's payload.

    Raises:
        ValueError: it is no JSON for anybody.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            strict = text if isinstance(text, str) else text.decode()
            return _marked(json.loads(strict, parse_int=_integer))
        except (ValueError, RecursionError):
            raise error from None


def _marked(message: Any) -> Any:
    if isinstance(message, dict):
        return {name: _payload(value) for name, value in message.items()}
    return [_payload(value) for value in message] if isinstance(message, list) else message


def _payload(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _member(name, each) for name, each in value.items()}


def _member(name: str, value: Any) -> Any:
    fault = next(_faults(name, value), "")
    if fault:
        return Unreadable(fault)
    try:
        orjson.dumps(value)
    except TypeError:  # it writes what is nested less deeply than what it reads
        return Unreadable(f"{name}: nested too deeply")
    return value


def _faults(place: str, value: Any) -> Iterator[str]:
    """What no store keeps, in any order; without recursion, as it may be nested deeply."""
    todo = [(place, value)]
    while todo:
        place, value = todo.pop()
        if isinstance(value, dict):
            todo += [(f"{place}.{name}", each) for name, each in value.items()]
            todo += [(f"{place}: a name", name) for name in value]
        elif isinstance(value, list):
            todo += [(f"{place}[{number}]", each) for number, each in enumerate(value)]
        elif fault := _fault(value):
            yield f"{place[:_LONGEST_PLACE]}: {fault}".encode(errors="replace").decode()


def _fault(value: Any) -> str:
    if isinstance(value, str):
        halves = any("\ud800" <= character <= "\udfff" for character in value)
        return "holds half a surrogate pair, which is no valid Unicode" if halves else ""
    fits = value is None or _SMALLEST <= value <= _LARGEST  # NaN and infinity do not
    return "" if fits else "not a finite number of at most 64 bits"


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else inf  # Python refuses thousands of them
