"""Days that do not end while a test counts what belongs to them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from types import ModuleType

import pytest


def hold_day(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> datetime:
    """The present time, at which the clock of these modules stands still until the test ends."""
    present = datetime.now(UTC)

    class Held(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return present.astimezone(tz)

    for module in modules:
        monkeypatch.setattr(module, "datetime", Held)
    return present
