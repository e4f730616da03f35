"""A vCon's `created_at`, in every form the vCon world writes it."""

import re
from datetime import UTC, datetime

_LEAP_SECOND = re.compile(r"([T ][0-9]{2}:?[0-5][0-9]:?)60(?![0-9])")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # the years 1 to 9999
_MILLISECONDS_FROM = 20_000_000_000  # as seconds this would be the year 2603


def epoch_seconds(value: object) -> float | None:
    """A point in time as seconds since 1970, or None when it cannot be read as one.

    Takes ISO 8601 (no offset means UTC) and seconds or milliseconds since 1970, as number or text.
    A moment that is outside the years 1 to 9999 in UTC only because of its offset becomes the
    nearest one inside, since neither Python nor most databases can hold it.
    """
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _from_number(value)


def _from_number(value: float) -> float | None:
    if _MILLISECONDS_FROM < abs(value) <= _LAST * 1000:
        value = value / 1000
    return float(value) if _FIRST <= value <= _LAST else None


def _from_text(text: str) -> float | None:
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        return _from_odd_text(text.strip())


def _from_odd_text(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return _from_number(float(text))
    # vcon-server's own constructor writes the offset twice: "...00.769118+00+00:00".
    text = text.upper().replace("+00+00:00", "+00:00")
    # RFC 3339 has 23:59:60; seconds since 1970 count it as the one that follows.
    text, leaps = _LEAP_SECOND.subn(r"\g<1>59", text)
    try:
        return _utc(datetime.fromisoformat(text)) + leaps
    except ValueError:
        return None


def _utc(moment: datetime) -> float:
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return min(max(seconds, float(_FIRST)), float(_LAST))
