"""What a log line looks like, and what is never in one."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from structlog.contextvars import bound_contextvars

from core.logs import configure_logging

SECRET = "s3cret-t0ken"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """Logging is for the whole process; what a test does to it is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    quiet = {name: logging.getLogger(name).level for name in ("websockets", "httpx", "vcon")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)


def logged(
    monkeypatch: pytest.MonkeyPatch,
    *,
    level: str = "INFO",
    form: Literal["auto", "json", "text"] = "json",
    stream: io.StringIO | None = None,
) -> io.StringIO:
    """Where the lines go from now on."""
    stream = stream or io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging(level, form)
    return stream


def the_line(stream: io.StringIO) -> dict[str, Any]:
    """The only line, as JSON."""
    [line] = stream.getvalue().splitlines()
    return json.loads(line)


def test_a_line_is_json_with_its_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a logger is given, and what is bound to the context, become fields of the line."""
    stream = logged(monkeypatch)
    with bound_contextvars(ref="r-1"):
        logging.getLogger("some.room").warning("it %s", "happened", extra={"run": 7})
    line = the_line(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "it happened",
        "level": "warning",
        "logger": "some.room",
        "ref": "r-1",
        "run": 7,
    }


def test_what_is_no_json_is_written_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field of any type cannot break a line."""
    stream = logged(monkeypatch)
    logging.getLogger("x").warning("it", extra={"path": io.StringIO})
    assert the_line(stream)["path"] == str(io.StringIO)


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("text", io.StringIO, False),
        ("json", Terminal, True),
    ],
)
def test_the_form_follows_the_setting_or_the_terminal(
    form: Any, stream: type[io.StringIO], is_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto` writes for people on a terminal and for machines elsewhere."""
    out = logged(monkeypatch, form=form, stream=stream())
    logging.getLogger("x").warning("it happened")
    assert out.getvalue().startswith("{") is is_json


def test_text_for_a_file_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape codes are for terminals."""
    stream = logged(monkeypatch, form="text")
    logging.getLogger("x").warning("it happened", extra={"run": 7})
    assert "\x1b" not in stream.getvalue()
    assert "run=7" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_shows_no_local_variables(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens and vCons are in local variables; the log has the traceback without them."""
    stream = logged(monkeypatch, form=form)

    def fail(token: str) -> None:
        raise RuntimeError(f"broken by {len(token)} letters")

    try:
        fail(SECRET)
    except RuntimeError:
        logging.getLogger("x").exception("it failed")
    written = stream.getvalue()
    assert "broken by 12 letters" in written
    assert "fail" in written
    assert SECRET not in written


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_the_level_decides(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines below the level are not written."""
    stream = logged(monkeypatch, level=level)
    for name in ("DEBUG", "INFO", "WARNING", "ERROR"):
        logging.getLogger("x").log(logging.getLevelName(name), name)
    written = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert written[0] == level
    assert written[-1] == "ERROR"


@pytest.mark.parametrize(
    ("logger", "level"),
    [
        ("websockets.client", logging.DEBUG),
        ("httpx", logging.INFO),
        ("httpcore.http11", logging.DEBUG),
        ("vcon", logging.INFO),
    ],
)
def test_talkative_libraries_are_quiet_even_at_debug(
    logger: str, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handshake's URL, with the token in it, is never written."""
    stream = logged(monkeypatch, level="DEBUG")
    logging.getLogger(logger).log(level, "GET /websocket?token=%s", SECRET)
    assert stream.getvalue() == ""


def test_a_quiet_library_is_not_louder_than_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """At ERROR a library's warnings are not written either."""
    stream = logged(monkeypatch, level="ERROR")
    logging.getLogger("httpx").warning("x")
    assert stream.getvalue() == ""


def test_configuring_twice_writes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call replaces the first."""
    logged(monkeypatch)
    stream = logged(monkeypatch)
    logging.getLogger("x").warning("it happened")
    assert len(stream.getvalue().splitlines()) == 1
