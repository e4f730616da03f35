"""How times, seconds, bytes, shares and rates are shown."""

from collections.abc import Mapping
from datetime import UTC, datetime

UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))
SIZES = ("B", "kB", "MB", "GB", "TB")


def at(moment: datetime | None) -> str | None:
    """A time in UTC, to the second: `2026-11-30 03:35:26`; None stays.

    The column's title or the sentence around it says that it is UTC.
    """
    if moment is None:
        return None
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{known.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def span(seconds: float | None) -> str | None:
    """A time span in its two largest units: `350 ms`, `4.2 s`, `12m 5s`, `3h 20m`; None stays."""
    if seconds is None:
        return None
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size, unit, smaller, below in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit} {int(seconds % size // smaller)}{below}"
    raise AssertionError(seconds)


def size(count: float) -> str:
    """A number of bytes: `512 B`, `1.5 MB`."""
    for unit in SIZES[:-1]:
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {SIZES[-1]}"


def rate(per_minute: float | None) -> float | None:
    """A number a minute, to three digits."""
    return None if per_minute is None else float(f"{per_minute:.3g}")


def counts(named: Mapping[str, int]) -> str:
    """`invalid 3, rate_limited 1`: the largest first."""
    pairs = sorted(named.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} {count:,}" for name, count in pairs)
