"""Points in time and durations of a basis, in seconds."""

import re
from datetime import UTC, datetime

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,18})?(?:[Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)
_SIMPLE = re.compile(r"(\d{1,7}) ?([smhdw])", re.ASCII)
_ISO = re.compile(r"P(?:(\d{1,7})W)?(?:(\d{1,7})D)?(?:T(?:(\d{1,7})H)?(?:(\d{1,7})M)?)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ISO_SECONDS = (604_800, 86_400, 3600, 60)
_LEAP = ":60"


def seconds_since_1970(value: object) -> float | None:
    """A time of RFC 3339, without a zone read as UTC; None: it is not one."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    leap = value[16:19] == _LEAP
    text = value[:16] + ":59" + value[19:] if leap else value
    try:
        moment = datetime.fromisoformat(text.upper())
        return utc_seconds(moment) + leap
    except (ValueError, OverflowError):
        return None


def utc_seconds(moment: datetime) -> float:
    """The time in seconds since 1970, without a zone read as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def duration(value: object) -> int | None:
    """`30d`, `12h` and the like (s, m for minutes, h, d, w), or `P30D`; None: it is neither."""
    if not isinstance(value, str):
        return None
    if simple := _SIMPLE.fullmatch(value):
        return int(simple[1]) * _SECONDS[simple[2]]
    iso = _ISO.fullmatch(value)
    if not iso or not any(iso.groups()):
        return None
    return sum(int(each or 0) * unit for each, unit in zip(iso.groups(), _ISO_SECONDS, strict=True))
