"""The soak for a few seconds: every part of it works, and nothing leaks fast."""

from __future__ import annotations

import pytest

from devstack import soak

pytestmark = pytest.mark.executed  # memory and files of a service

FAST_LEAK = 0.1
"""Part of its memory; the limit of the whole soak is for an hour."""
MORE = 5
"""Descriptors: one for each cut would be six more, and pools that are new still grow."""


async def test_under_load_and_cuts_a_service_holds_what_it_held(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Descriptors and tasks are flat between bursts of 32 callers whose connection is cut."""
    monkeypatch.setattr(soak, "PATIENCE", 0.3)
    done = await soak.soak(seconds=3.6, callers=32, rounds=12, tell=soak.say)
    assert done.unexpected() == {}
    assert done.outcomes[200] > 32
    grown = {(each.process, each.what): each for each in done.grown()}
    assert set(grown) == {
        *(("service", what) for what in ("memory", "descriptors", "tasks")),
        *(("worker 1", what) for what in ("memory", "descriptors")),
    }
    soak.Console(width=100).print(soak.table(done.grown()))
    assert "in the end" in capsys.readouterr().out
    for each in grown.values():
        match each.what:
            case "memory":
                assert each.drift < FAST_LEAK, each
            case "descriptors":
                assert each.after - each.before <= MORE, each
            case _:
                assert each.flat, each
