"""Ids of runs: UUIDs of version 7, so that the id tells the day of the run's row in Postgres."""

import secrets
import time
from datetime import date
from uuid import UUID

OLD = date(1970, 1, 1)
"""The day of every id without a usable time, such as the random ones of earlier versions."""
FIRST, LAST = date(2020, 1, 1), date(2199, 12, 31)
"""The days that an id can tell."""
_DAY = 86_400_000  # ms
_EPOCH = OLD.toordinal()


def new_run_id() -> str:
    """An id with the present time: later ones sort behind it, to about 0.25 us.

    74 bits beside the milliseconds: 12 bits are the fraction of the millisecond, 62 are random.
    """
    ms, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    value = (ms & (1 << 48) - 1) << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)
    digits = f"{value:032x}"  # by hand in a third of the time that UUID takes
    parts = digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]
    return "-".join(parts)


def day_of(run_id: UUID) -> date:
    """The day (UTC) at which the id was made; `OLD` if it does not tell a usable one.

    It depends on the id alone, so that each version and replica finds the same row.
    """
    if run_id.version != 7:
        return OLD
    day = date.fromordinal(min(_EPOCH + (run_id.int >> 80) // _DAY, date.max.toordinal()))
    return day if FIRST <= day <= LAST else OLD
