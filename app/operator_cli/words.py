"""How arguments are written: times, durations, uuids."""

import argparse
import operator
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from schemas.uuids import canonical_uuid

SINCE = "from this time on: 2026-11-30T12:00, or 1d for a day ago"
"""The help of `--since`, which `moment` reads."""
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BOUNDS = (
    ("ge", "at least", operator.ge),
    ("gt", "more than", operator.gt),
    ("le", "at most", operator.le),
)


def duration(text: str) -> int:
    """Seconds of a duration such as `90s`, `15m`, `1h`, `2d` or `1w`.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        msg = f"{text!r} is no duration; write for example 90s, 15m, 1h or 2d"
        raise argparse.ArgumentTypeError(msg)
    return int(match[1]) * _SECONDS[match[2]]


def moment(text: str) -> datetime:
    """A time in ISO 8601, in UTC unless it has a zone, or a duration ago.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    try:
        return datetime.now(UTC) - timedelta(seconds=duration(text))
    except argparse.ArgumentTypeError:
        pass
    except OverflowError:
        msg = f"{text!r} is too long ago"
        raise argparse.ArgumentTypeError(msg) from None
    return _iso(text, "1h (an hour ago)")


def deadline(text: str) -> datetime:
    """A time in ISO 8601, in UTC unless it has a zone, or a duration from now.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    try:
        return datetime.now(UTC) + timedelta(seconds=duration(text))
    except argparse.ArgumentTypeError:
        pass
    except OverflowError:
        msg = f"{text!r} is too far ahead"
        raise argparse.ArgumentTypeError(msg) from None
    return _iso(text, "90d (in 90 days)")


def _iso(text: str, duration_example: str) -> datetime:
    """A time in ISO 8601, in UTC unless it has a zone.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is no time; write for example 2026-11-30T12:00 or {duration_example}"
        raise argparse.ArgumentTypeError(msg) from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def uuid_word(text: str) -> str:
    """A uuid in its canonical form.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    found = canonical_uuid(text)
    if found is None:
        msg = f"{text!r} is no uuid"
        raise argparse.ArgumentTypeError(msg)
    return found


def count(text: str) -> int:
    """A whole number, 1 or more.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdigit() and int(text[:20]) > 0):
        msg = f"{text!r} is not a whole number, 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text[:20])  # more digits are out of any range


def within[N: (int, float)](
    read: Callable[[str], N], model: type[BaseModel], field: str, *, unit: int = 1
) -> Callable[[str], N]:
    """A reader of numbers that refuses those outside the bounds of the operation's parameter.

    `unit`: how many of what is read are one of the parameter, which is rounded up.
    """
    bounds = _bounds(model.model_fields[field].metadata)
    shown = _span if read is duration else "{:,}".format
    told = " and ".join(f"{words} {shown(bound * unit)}" for words, _, bound in bounds)

    def checked(text: str) -> N:
        value = read(text)
        number = -(-value // unit) if unit > 1 else value
        if not all(holds(number, bound) for _, holds, bound in bounds):
            msg = f"{text!r} is out of range: give {told}"
            raise argparse.ArgumentTypeError(msg)
        return value

    checked.__name__ = read.__name__  # argparse names it in its own errors
    return checked


def _bounds(metadata: Sequence[Any]) -> list[tuple[str, Callable[[Any, Any], bool], Any]]:
    return [
        (words, holds, getattr(each, name))
        for each in metadata
        for name, words, holds in _BOUNDS
        if hasattr(each, name)
    ]


def _span(seconds: float) -> str:
    """As `duration` reads it, in the largest unit that is exact."""
    unit = next((u for u in ("d", "h", "m") if seconds and seconds % _SECONDS[u] == 0), "s")
    return f"{seconds / _SECONDS[unit]:g}{unit}"
