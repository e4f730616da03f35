"""With a section `law`, texts of errors are in no log line; without one they are as they were."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from core.observability import error_texts
from core.observability.logs import formatter

TEXT = "no customer Ann Smith"
SAID = f"KeyError: {TEXT}"


@pytest.fixture(autouse=True)
def kept_out() -> Iterator[None]:
    """As while such a configuration is in force."""
    error_texts.keep_out(yes=True)
    yield
    error_texts.keep_out(yes=False)


def line(form: Any, caught: BaseException | None = None, **fields: Any) -> str:
    """A line as the service writes it."""
    exc_info = caught and (type(caught), caught, caught.__traceback__)
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, "it failed", (), exc_info)
    record.__dict__.update(fields)
    return formatter(form).format(record)


def raised(error: Exception, reason: Exception | None = None) -> Exception:
    """The same with a traceback."""
    try:
        raise error from reason  # noqa: TRY301 -- else it would have no traceback
    except Exception as caught:
        return caught


class Hostile(Exception):  # noqa: N818 -- a plugin's own
    """Looking at it raises."""

    __cause__ = __context__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("name", ["run", "vcon", "link", "storage", "tracer", "hook"])
def test_a_line_about_a_run_or_plugin_has_the_type_of_its_error(form: Any, name: str) -> None:
    """Also if the error is no text."""
    for error in (SAID, KeyError(TEXT)):
        shown = line(form, **{name: "x"}, error=error)
        assert TEXT not in shown
        assert "KeyError" in shown
        assert error_texts.ELSEWHERE in shown


@pytest.mark.parametrize("form", ["json", "text"])
def test_other_lines_have_their_text(form: Any) -> None:
    """Such as those about the configuration."""
    assert "chains.main: unknown" in line(form, error="chains.main: unknown")


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "error",
    [
        ValueError(TEXT),
        raised(KeyError("outer"), ValueError(TEXT)),
        ExceptionGroup(TEXT, [ValueError(TEXT)]),
        Hostile(TEXT),
    ],
    ids=["plain", "with a reason", "group", "hostile"],
)
def test_a_traceback_has_types_and_places(form: Any, error: Exception) -> None:
    """In every line: the text of no error that is linked with it."""
    error.add_note(TEXT)
    shown = line(form, raised(error))
    assert TEXT not in shown
    assert type(error).__name__ in shown


def test_without_a_section_law_nothing_changes() -> None:
    """Neither a line nor another text."""
    error_texts.keep_out(yes=False)
    assert error_texts.outside(SAID) == SAID
    assert TEXT in line("json", raised(KeyError(TEXT)), run="x", error=SAID)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (SAID, "KeyError"),
        ("lib.errors.Broken", "lib.errors.Broken"),
        ("Ann Smith has left", "error"),
        ("", "error"),
    ],
)
def test_what_is_no_type_is_left_out(text: str, shown: str) -> None:
    """Said twice it stays the same."""
    once = error_texts.outside(text)
    assert once == f"{shown}{error_texts.ELSEWHERE}"
    assert error_texts.outside(once) == once
