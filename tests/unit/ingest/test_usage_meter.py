"""What keys are used for is counted for the day of use, and is not lost while Postgres is away."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.db.usage_and_audit import Used
from core.errors import UnavailableError
from pipeline.ingest import outboxes
from pipeline.ingest.outboxes import UsageMeter

EVENING = datetime(2026, 11, 21, 23, 59, 58, tzinfo=UTC)
MORNING = datetime(2026, 11, 22, 0, 0, 1, tzinfo=UTC)


class Ledger:
    """A Postgres that is away so many times."""

    def __init__(self) -> None:
        self.away = 0
        self.written: list[tuple[date, dict[UUID, Used]]] = []

    def add_usage(self, day: date, used: Mapping[UUID, Used]) -> None:
        """Remember it, or be away."""
        if self.away:
            self.away -= 1
            raise UnavailableError
        self.written.append((day, deepcopy(dict(used))))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """A list whose last member is the time."""
    times = [EVENING]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return times[-1]

    monkeypatch.setattr(outboxes, "datetime", Clock)
    return times


async def test_what_is_written_after_midnight_counts_for_the_day_before(
    clock: list[datetime],
) -> None:
    """If it was then; each day is written once."""
    ledger, key = Ledger(), uuid4()
    meter = UsageMeter(ledger)  # type: ignore[arg-type]
    meter.accepted(key, 10)
    meter.refused(key, "full")
    clock.append(MORNING)
    meter.accepted(key, 20)
    for _ in range(2):
        await meter.write()
    assert dict(ledger.written) == {
        EVENING.date(): {key: Used(EVENING, 1, 10, {"full": 1})},
        MORNING.date(): {key: Used(MORNING, 1, 20, {})},
    }
    assert len(ledger.written) == 2


async def test_what_cannot_be_written_waits(clock: list[datetime]) -> None:
    """And is added to what is counted meanwhile."""
    ledger, key, other = Ledger(), uuid4(), uuid4()
    meter = UsageMeter(ledger)  # type: ignore[arg-type]
    meter.accepted(key, 10)
    meter.refused(other, "invalid")
    ledger.away = 1
    with pytest.raises(UnavailableError):
        await meter.write()
    meter.accepted(key, 10)
    await meter.write()
    assert ledger.written == [
        (
            EVENING.date(),
            {key: Used(EVENING, 2, 20, {}), other: Used(EVENING, 0, 0, {"invalid": 1})},
        )
    ]
