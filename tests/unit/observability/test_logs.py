"""What a log line looks like, and what is never in one."""

import asyncio
import enum
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, override
from uuid import UUID

import pytest
from structlog.contextvars import bound_contextvars

from core import request_context
from core.action_response import ActionResponse
from core.observability.logs import LONGEST, configure_logging, keep_secret
from core.rpc.dispatcher import Dispatcher
from tests.canaries import canary
from tests.unit.support.actions_for_tests import TestAction

SECRET = canary("s3cret-t0ken")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """Logging is for the whole process; what a test does to it is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    quiet = {name: logging.getLogger(name).level for name in ("websockets", "httpx", "vcon")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook, threading.excepthook = hooks
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


class Hostile(Exception):  # noqa: N818 -- a plugin's own
    """Rendering its traceback raises."""

    def _raise(self) -> Any:
        raise KeyboardInterrupt

    __notes__ = __cause__ = __context__ = property(_raise)  # type: ignore[assignment]


def raised(error: Exception, reason: Exception | None = None) -> Exception:
    """The same with a traceback."""
    try:
        raise error from reason  # noqa: TRY301 -- else it would have no traceback
    except Exception as caught:
        return caught


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_error_that_is_handled_already_has_its_traceback(
    form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with errors of tasks and threads, which are logged when nothing is being handled."""
    stream = logged(monkeypatch, form=form)
    logging.getLogger("x").error("it failed", exc_info=raised(ValueError("that is why")))
    assert "that is why" in stream.getvalue()
    assert "in raised" in stream.getvalue() or '"name": "raised"' in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_error_that_cannot_be_shown_is_named(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as the reason of another: what it raises meanwhile ends neither a run nor a process."""
    stream = logged(monkeypatch, form=form)
    error = raised(ValueError("outer"), Hostile("inner"))
    logging.getLogger("x").error("it failed", exc_info=error)
    assert "outer" in stream.getvalue()


def test_a_line_has_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in the text of an error, or in names, could clear the terminal that shows the log."""
    stream = logged(monkeypatch, form="text")
    error = raised(ValueError("a\x1b[2J\0\rb"))
    logging.getLogger("x\x1b[2J").error("it failed", exc_info=error, extra={"a\x1b[2J": 1})
    assert "\x1b" not in stream.getvalue()
    assert r"ValueError: a\x1b[2J\x00\rb" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_line_is_bounded(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Megabytes in an error, a field or the message: both ends are written, without secrets."""
    stream = logged(monkeypatch, form=form)
    keep_secret(SECRET)
    half = "x" * (LONGEST // 2 - 5)  # a cut that divides the secret must not show its beginning
    text = f"begin {half}{SECRET}{'y' * 5_000_000} end"
    error = raised(ValueError(text))
    logging.getLogger("x").error(text, exc_info=error, extra={"problems": [text]})
    written = stream.getvalue()
    assert len(written) < 10 * LONGEST
    assert "begin xxx" in written
    assert "yyy end" in written
    assert SECRET[:6] not in written


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


def fail(why: str) -> None:
    """Raises an error that says it."""
    raise OSError(why)


each_form = pytest.mark.parametrize("form", ["json", "text"])


@each_form
def test_secrets_are_hidden_wherever_they_are(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words, in fields, in fields of fields, in URLs, and in the text of an error."""
    stream = logged(monkeypatch, form=form)
    extra = {"password": SECRET, "options": {"api_key": SECRET}, "url": f"redis://u:{SECRET}@h/0"}
    try:
        fail(f"cannot connect to postgresql://u:{SECRET}@host/db")
    except OSError:
        logging.getLogger("x").exception("GET /?token=%s", SECRET, extra=extra)
    written = stream.getvalue()
    assert "cannot connect" in written
    assert SECRET not in written


@each_form
def test_a_terminals_colours_hide_no_secret(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape codes between a name and its value keep no pattern from seeing them."""
    stream = logged(monkeypatch, form=form, stream=Terminal())
    logging.getLogger("x").warning("it", extra={"token": SECRET, "nested": {"secret": SECRET}})
    assert SECRET not in stream.getvalue()


@each_form
def test_a_known_secret_needs_no_name(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the settings say is secret is hidden in any words."""
    stream = logged(monkeypatch, form=form)
    keep_secret("correct horse")
    logging.getLogger("x").warning("it says correct horse", extra={"a": ["correct horse"]})
    assert "horse" not in stream.getvalue()


class Failing(TestAction):
    """Fails, and says what it was given."""

    secret_fields: ClassVar[frozenset[str]] = frozenset({"pin"})

    pin: str

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        logging.getLogger("plugin").warning("tried %s", self.pin)
        raise RuntimeError(f"{self.pin} opens nothing")


async def test_a_secret_value_is_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words, in the traceback of what goes wrong, and as the text of another value."""
    stream = logged(monkeypatch)
    dispatcher = Dispatcher({"Failing": Failing}, run_blocking=asyncio.to_thread)
    requests = [{"pin": "wxyz"}, {"pin": 'quo"ted-42'}]
    for fields in requests:  # each in a context of its own, as requests are
        answer = dispatcher.answer("Failing", fields, None, None)
        assert (await asyncio.create_task(answer)).status_code == 500
    assert stream.getvalue().count("opens nothing") >= 2
    assert "wxyz" not in stream.getvalue()
    assert "ted-42" not in stream.getvalue()


def test_a_line_of_a_request_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ref and action; what the line itself says of them comes first."""
    stream = logged(monkeypatch)
    token = request_context.current_request.set(("r-1", "Ping"))
    logging.getLogger("x").warning("one")
    logging.getLogger("x").warning("two", extra={"action": "Pong"})
    request_context.current_request.reset(token)
    one, two = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (one["ref"], one["action"]) == ("r-1", "Ping")
    assert (two["ref"], two["action"]) == ("r-1", "Pong")


@pytest.mark.parametrize(
    ("action", "shown"), [("x" * 1000, {"action": "x" * 100}), (["x"], {}), (None, {})]
)
def test_a_callers_name_for_an_action_is_bounded(action: object, shown: dict[str, str]) -> None:
    """A request may call its action anything; the log does not repeat it all."""
    token = request_context.current_request.set(("r-1", action))
    assert request_context.fields() == {"ref": "r-1"} | shown
    request_context.current_request.reset(token)


def test_what_python_prints_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings, and uncaught errors of any thread, are structured and redacted, too."""
    stream = logged(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"token={SECRET}", stacklevel=1)
    try:
        fail(f"token={SECRET}")
    except OSError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    thread = threading.Thread(target=int, args=[f"token={SECRET}"], name="plugin-7")
    thread.start()
    thread.join()
    warned, uncaught, in_thread = (json.loads(line) for line in stream.getvalue().splitlines())
    assert warned["logger"] == "py.warnings"
    assert uncaught["level"] == "critical"
    assert (in_thread["level"], in_thread["thread_name"]) == ("error", "plugin-7")
    assert SECRET not in stream.getvalue()


def test_ctrl_c_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is left to Python."""
    stream = logged(monkeypatch)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert "KeyboardInterrupt" in stream.getvalue()
    assert "{" not in stream.getvalue()


class _State(enum.Enum):
    LOST = "lost"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (datetime(2026, 11, 29, 17, 0, tzinfo=UTC), "2026-11-29T17:00:00+00:00"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (Path("/data/x"), "/data/x"),
        (_State.LOST, "lost"),
        (["a", Path("b")], '["a", "b"]'),
        ({"a": _State.LOST, "b": (1, None)}, '{"a": "lost", "b": [1, null]}'),
        (ValueError("no"), "'ValueError: no'"),
        (b"raw", "raw"),
        (0.25, "0.25"),
        (None, "None"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
    ],
)
def test_text_shows_plain_values(
    monkeypatch: pytest.MonkeyPatch, value: object, shown: str
) -> None:
    """No `repr` of an object, and nothing that begins another line or another colour."""
    stream = logged(monkeypatch, form="text")
    logging.getLogger("x").warning("it\nhappened", extra={"field": value})
    [line] = stream.getvalue().splitlines()
    assert "it\\nhappened" in line
    assert line.endswith(f"field={shown}")
