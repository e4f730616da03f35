"""The soak for a few seconds: every part of it works, and nothing leaks fast."""

from __future__ import annotations

import pytest

from devstack import soak
from devstack.growth import Growth

FAST_LEAK = 0.1
"""Part of its memory; the limit of the whole soak is for an hour."""
MORE = 5
"""Descriptors: one for each cut would be six more, and pools that are new still grow."""


async def test_under_load_and_cuts_a_service_holds_what_it_held(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Descriptors and tasks are flat between bursts of 32 callers whose connection is cut.

    Pools also grow late when other programs hold up the service, so growth has to show twice.
    """
    monkeypatch.setattr(soak, "PATIENCE", 0.3)
    if excess(await short_soak()):
        assert excess(await short_soak()) == []
    assert "in the end" in capsys.readouterr().out


async def short_soak() -> list[Growth]:
    """What the service and its worker hold after a few seconds, beside what they held."""
    done = await soak.soak(seconds=3.6, callers=32, rounds=12, tell=soak.say)
    assert done.unexpected() == {}
    assert done.outcomes[200] > 32
    grown = done.grown()
    assert {(each.process, each.what) for each in grown} == {
        *(("service", what) for what in ("memory", "descriptors", "tasks")),
        *(("worker 1", what) for what in ("memory", "descriptors")),
    }
    soak.Console(width=100).print(soak.table(grown))
    return list(grown)


def excess(grown: list[Growth]) -> list[Growth]:
    """What has grown by more than a service may."""
    return [each for each in grown if not is_held(each)]


def is_held(each: Growth) -> bool:
    """Whether this has grown by no more than it may."""
    match each.what:
        case "memory":
            return each.drift < FAST_LEAK
        case "descriptors":
            return each.after - each.before <= MORE
        case _:
            return each.flat
