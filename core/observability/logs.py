"""Logging is set up here, once, by the entrypoint. Everybody else just asks for a logger.

Lines are structured: fields given as `extra={"run": ...}` and those of the request or run that the
line belongs to (`core.request_context`) become fields of the JSON line or `key=value` pairs on a
terminal. No finished line leaves without having been searched for secrets (see `redaction`).
"""

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import date, datetime
from types import TracebackType
from typing import Any, Literal, TextIO, override

import structlog
from structlog.typing import EventDict, ExceptionTransformer

from core import request_context
from core.observability.redaction import KNOWN
from core.observability.storable_text import described

# Values of log fields as an operator reads them in a line of text: no `repr` of Python objects.

_AS_THEY_ARE = (bool, int, float, type(None))
_UNTOUCHED = frozenset({"exc_info", "exception", "stack", "level", "timestamp"})


class _Shown:
    """A value whose text is not quoted by the renderer."""

    def __init__(self, text: str) -> None:
        self._text = text

    @override
    def __repr__(self) -> str:
        return self._text


def plain_values(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """A structlog processor: every field and the message as plain text on one line."""
    return {
        one_line(name): value if name in _UNTOUCHED else _plain(value)
        for name, value in event.items()
    }


def _plain(value: object) -> object:
    if isinstance(value, str):
        return one_line(str(value))  # of an enumeration, what it stands for
    if isinstance(value, _AS_THEY_ARE):
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _Shown(json.dumps(_parts(value), ensure_ascii=False))
    return one_line(_text(value))


def _parts(value: object) -> Any:
    if isinstance(value, Mapping):
        return {_text(name): _parts(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_parts(each) for each in value]
    return value if isinstance(value, _AS_THEY_ARE) else _text(value)


def _text(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}" if str(value) else type(value).__name__
    return str(getattr(value, "value", value))


def one_line(text: str) -> str:
    """The text with line ends and control characters escaped: none can forge a line or a colour."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


# Bounds on what is rendered for a log line: texts of any length, and errors that raise when shown.
#
# Plugins raise errors with megabytes of text, and errors whose attributes are code that raises. A
# line must not cost the event loop seconds, nor end the run or the process that logs it.

LONGEST = 20_000
"""Characters of one value or one traceback in a line; the middle of a longer one is left out."""
MARGIN = 4_000
"""Characters at a cut that are searched for secrets and then dropped: it may divide one."""
_DEEPEST = 4
_LEFT_OUT = " ... "

type Redact = Callable[[str], str]
type ExcInfo = Any


def bounded(text: str, redact: Redact) -> str:
    """The text, or its two ends without secrets."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    head, tail = redact(text[: half + MARGIN]), redact(text[-half - MARGIN :])
    return head[:half] + _LEFT_OUT + tail[-half:]


def bounded_parts(value: Any, redact: Redact, depth: int = _DEEPEST) -> Any:
    """The same for every text in a structure."""
    if isinstance(value, str):
        return bounded(value, redact) if len(value) > LONGEST else value
    if depth and isinstance(value, Mapping):
        return {name: bounded_parts(each, redact, depth - 1) for name, each in value.items()}
    if depth and isinstance(value, list | tuple):
        return [bounded_parts(each, redact, depth - 1) for each in value]
    return value


def plain_traceback(redact: Redact) -> Callable[[TextIO, ExcInfo], None]:
    """Writes tracebacks for a terminal."""

    def write(out: TextIO, exc_info: ExcInfo) -> None:
        text = io.StringIO()
        try:
            structlog.dev.plain_traceback(text, exc_info)
        except BaseException:  # noqa: BLE001 -- attributes of a plugin's error may be code that raises
            text = io.StringIO(_not_shown(exc_info))
        lines = bounded(text.getvalue(), redact).split("\n")
        out.write("\n".join(map(one_line, lines)))

    return write


def traceback_dict(redact: Redact) -> ExceptionTransformer:
    """Makes the structure that stands for a traceback in JSON; it has no local variables."""
    transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)

    def parts(exc_info: ExcInfo) -> Any:
        try:
            return bounded_parts(transform(exc_info), redact)
        except BaseException:  # noqa: BLE001 -- as above
            return _not_shown(exc_info)

    return parts


def _not_shown(exc_info: ExcInfo) -> str:
    return f"{described(exc_info[1])} (its traceback cannot be shown)"


_QUIET = {
    "websockets": logging.INFO,  # at DEBUG it logs the handshake line, and the token is in it
    "vcon": logging.WARNING,  # several INFO lines per object otherwise
    "alembic": logging.WARNING,
    "httpx": logging.WARNING,  # logs each URL, which may hold credentials
    "httpcore": logging.WARNING,
    # Libraries of vendors, of which chains use some: at INFO the first ones log URLs, at DEBUG all
    # log headers or some of what they send.
    **dict.fromkeys(("httpx2", "httpcore2", "elastic_transport", "botocore"), logging.WARNING),
    **dict.fromkeys(("openai", "groq", "deepgram", "pymongo", "pymilvus"), logging.INFO),
    **dict.fromkeys(("boto3", "urllib3", "elasticsearch"), logging.INFO),
}

type Form = Literal["auto", "json", "text"]

log = logging.getLogger(__name__)


def configure_logging(level: str, form: Form) -> None:
    """Send all log lines to stderr in one form. Call once, at start.

    What Python would print by itself becomes a line, too: warnings, and errors that nobody caught.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, floor in _QUIET.items():
        logging.getLogger(name).setLevel(max(floor, root.level))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def keep_secret(*secrets: str) -> None:
    """These are never written, whatever they stand in."""
    KNOWN.learn(secrets)


def keep_names(names: Iterable[str]) -> None:
    """Fields that are called so are secret, whatever they have."""
    KNOWN.learn_names(names)


def keep_values_secret(values: Iterable[object]) -> None:
    """Each of these is a secret, whatever it is called: whole, and by its parts."""
    for value in values:
        KNOWN.learn_value(value)


def keep_secrets_of(options: object) -> None:
    """The same for all that has a secret's name in a structure, and for passwords in its URLs."""
    KNOWN.learn_from(options)


def without_secrets(text: str) -> str:
    """A sentence for people that is no log line, without what is known to be secret."""
    return KNOWN.sentence(text)


def formatter(form: Form) -> logging.Formatter:
    """What makes a line of a record."""
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    return _RedactingFormatter(
        foreign_pre_chain=[
            _add_context,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _bound_texts,
            _hide_secret_fields,
            *(_text_processors() if as_text else _json_processors()),
        ],
    )


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    @override
    def format(self, record: logging.LogRecord) -> str:
        return KNOWN.text(super().format(record), request_context.request_secrets.get())


def _add_context(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {**request_context.fields(), **event}


def _bound_texts(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Before anything is looked for in them; what has a secret's name is hidden afterwards."""
    return {
        name: value if name == "exc_info" else bounded_parts(value, KNOWN.text)
        for name, value in event.items()
    }


def _hide_secret_fields(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """By name, since the finished line of a terminal has colours between name and value."""
    shown = {name: value for name, value in event.items() if name != "exc_info"}
    return {**event, **KNOWN.fields(shown)}


# Both leave the local variables out of tracebacks, which either would show by default: tokens and
# vCons are among them.


def _text_processors() -> list[Any]:
    return [
        plain_values,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=plain_traceback(KNOWN.text)
        ),
    ]


def _json_processors() -> list[Any]:
    return [
        structlog.processors.ExceptionRenderer(traceback_dict(KNOWN.text)),
        structlog.processors.JSONRenderer(default=str),
    ]


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("uncaught error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and not issubclass(told.exc_type, SystemExit):
        name = told.thread.name if told.thread else None
        trace = (told.exc_type, told.exc_value, told.exc_traceback)
        log.error("a thread ended with an error", exc_info=trace, extra={"thread_name": name})
