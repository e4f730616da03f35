"""Logging is set up here, once, by the entrypoint. Everybody else just asks for a logger.

Lines are structured: fields given as `extra={"run": ...}` and those of the request or run that the
line belongs to (`core.log_context`) become fields of the JSON line or `key=value` pairs on a
terminal. No finished line leaves without having been searched for secrets (`core.redaction`).
"""

import logging
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal, override

import structlog
from structlog.typing import EventDict

from core import log_context
from core.log_bounds import bounded_parts, plain_traceback, traceback_dict
from core.log_values import plain_values
from core.redaction import KNOWN

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
        return KNOWN.text(super().format(record), log_context.request_secrets.get())


def _add_context(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {**log_context.fields(), **event}


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
