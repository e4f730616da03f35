"""Ids of runs, and the day that each tells."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest

from core.run_ids import FIRST, LAST, OLD, day_of, new_run_id


def made(ms: int, version: int = 7) -> UUID:
    """An id of this version that tells these milliseconds since 1970."""
    return UUID(int=ms << 80 | version << 76 | 2 << 62 | 1)


def at(*when: int) -> int:
    """Milliseconds since 1970 of a time in UTC."""
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)


def test_new_ids_tell_today_and_are_in_order() -> None:
    """Each is a UUID of version 7; those made earlier sort before, and none is made twice."""
    before = datetime.now(UTC).date()
    ids = [new_run_id() for _ in range(2000)]
    days = {day_of(UUID(each)) for each in ids}
    assert {UUID(each).version for each in ids} == {7}
    assert {UUID(each).variant for each in ids} == {uuid4().variant}
    assert days <= {before, datetime.now(UTC).date()}
    assert len(set(ids)) == 2000
    marks = [each[:18] for each in ids]  # without the random part
    assert marks == sorted(marks)


@pytest.mark.parametrize(
    ("run_id", "day"),
    [
        (made(at(2026, 11, 30)), date(2026, 11, 30)),
        (made(at(2026, 11, 30) - 1), date(2026, 11, 29)),
        (made(at(2026, 11, 30, 23, 59, 59)), date(2026, 11, 30)),
        (made(at(2020, 1, 1)), FIRST),
        (made(at(2020, 1, 1) - 1), OLD),
        (made(at(2200, 1, 1) - 1), LAST),
        (made(at(2200, 1, 1)), OLD),
        (made((1 << 48) - 1), OLD),
        (made(0), OLD),
        (made(at(2026, 11, 30), version=4), OLD),
        (made(at(2026, 11, 30), version=1), OLD),
        (uuid4(), OLD),
        (UUID(int=0), OLD),
        (UUID(int=(1 << 128) - 1), OLD),
    ],
)
def test_the_day_follows_from_the_id_alone(run_id: UUID, day: date) -> None:
    """Of an id without a usable time it is the day of old ids."""
    assert day_of(run_id) == day
