"""Values as text on the pages: numbers, sizes, durations, times, and texts of unknown content."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

LONGEST_TEXT = 4000
"""Characters of one value that a page shows."""
NONE = "\N{EN DASH}"
"""In place of a value that is not known."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""Characters that a browser does not show, or that change how others are shown."""
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
FARTHEST = 1e12
"""Seconds; a longer duration is an error of its source."""
_DURATIONS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def shown(value: object) -> object:
    """A value for a page: hidden characters of a text become visible, and a long one is cut.

    `jinja2.Environment.finalize`: it is applied to every value of every template.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or hasattr(value, "__html__"):  # what a template has made
        return value
    return _HIDDEN.sub(_name_of, short(value, LONGEST_TEXT))


def _name_of(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def short(text: object, most: int = 120) -> str:
    """The beginning of a text with its length, if it is longer than `most`."""
    whole = NONE if text is None else str(text)
    return whole if len(whole) <= most else f"{whole[:most]}… ({number(len(whole))} characters)"


def number(value: float | None, digits: int = 0) -> str:
    """A number with commas; at most `digits` behind the point."""
    return NONE if value is None else f"{value:,.{digits if value % 1 else 0}f}"


def size(value: float | None) -> str:
    """A number of bytes, such as `1.4 MB`."""
    if value is None:
        return NONE
    left, unit = float(value), 0
    while left >= 999.5 and unit < len(_SIZES) - 1:
        left, unit = left / 1000, unit + 1
    return (
        f"{left:.0f} {_SIZES[unit]}" if unit == 0 or left >= 99.5 else f"{left:.1f} {_SIZES[unit]}"
    )


def share(value: float | None) -> str:
    """A share of 1 in percent."""
    if value is None:
        return NONE
    return f"{value:.0%}" if value == 0 or value >= 0.1 else f"{value:.1%}"


def duration(seconds: float | None) -> str:
    """A duration in its two largest units, such as `3 min 12 s`; below ten seconds with a point."""
    if seconds is None or not -FARTHEST < seconds < FARTHEST:
        return NONE
    if abs(seconds) < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 9.95:
        return f"{seconds:.1f} s"
    return " ".join(list(_parts(round(abs(seconds))))[:2])


def _parts(seconds: int) -> Iterator[str]:
    has_begun = False
    for unit, name in _DURATIONS:
        count, seconds = divmod(seconds, unit)
        if count:
            yield f"{count} {name}"
        elif has_begun:
            return
        has_begun = has_begun or count > 0


def moment(value: object) -> datetime | None:
    """A time in UTC of a time, epoch seconds, or a text in ISO 8601; None for any other value."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def ago(value: datetime, now: datetime) -> str:
    """How long ago, or in how long, such as `3 min ago`."""
    seconds = (now - value).total_seconds()
    if abs(seconds) < 1:
        return "now"
    words = duration(float(round(abs(seconds)))).replace(".0 s", " s")
    return f"{words} ago" if seconds > 0 else f"in {words}"
