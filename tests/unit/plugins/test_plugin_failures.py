"""What counts as a failure of a plugin, and how often its traceback is logged."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.plugins import errors
from pipeline.plugins.errors import PluginError, contained, log_failure


async def save_async(vcon_uuid: str) -> None:
    """The part of a storage that a sync `save` does not await."""


@pytest.mark.parametrize(
    ("function", "told"),
    [(save_async, "coroutine"), (lambda uuid: (each for each in uuid), "generator")],
)
def test_work_that_is_returned_instead_of_done(function: Callable[..., Any], told: str) -> None:
    """The call has failed: else a storage would count as one that has the vCon."""
    with pytest.raises(PluginError, match=f"returned a {told}, which nothing runs: define"):
        contained(function, ("a",), {"storage": "s"})


def raised(text: str) -> Exception:
    """An error with a traceback, as a plugin raises it."""
    try:
        int(text)
    except ValueError as error:
        return error
    raise AssertionError(text)


def test_a_traceback_once_per_cause_and_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text does not make another cause, since it differs with every vCon; the plugin does."""
    caplog.set_level(logging.DEBUG)
    now = [100.0]
    monkeypatch.setattr(errors.time, "monotonic", lambda: now[0])
    for name, text, at in (
        ("a", "one", 100),
        ("a", "two", 159),
        ("b", "one", 159),
        ("a", "x", 160),
    ):
        now[0] = float(at)
        log_failure(raised(text), {"link": f"once-{name}"})
    told = [(each.levelname, vars(each)["link"]) for each in caplog.records]
    assert told == [
        ("WARNING", "once-a"),
        ("DEBUG", "once-a"),
        ("WARNING", "once-b"),
        ("WARNING", "once-a"),
    ]
    assert "int(text)" in caplog.text
    assert vars(caplog.records[0])["error"].startswith("ValueError: ")
