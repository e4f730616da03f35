"""What the tests of requests share."""

from __future__ import annotations

import math

import pytest

from core.rpc import dispatcher


@pytest.fixture(autouse=True)
def never_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine is so slow that a line about a blocked event loop is among those of a test."""
    monkeypatch.setattr(dispatcher, "BLOCKED_AFTER", math.inf)
