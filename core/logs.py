"""Logging is set up here, once, by the entrypoint. Everybody else just asks for a logger.

Lines are structured: fields given as `extra={"run": ...}` and those bound to the context (the ref
of a request, the run of a vCon) become fields of the JSON line or `key=value` pairs on a terminal.
"""

import logging
import sys
from typing import Any, Literal

import structlog

_QUIET = {
    "websockets": logging.INFO,  # at DEBUG it logs the handshake line, and the token is in it
    "vcon": logging.WARNING,  # several INFO lines per object otherwise
    "alembic": logging.WARNING,
    "httpx": logging.WARNING,  # logs each URL, which may hold credentials
    "httpcore": logging.WARNING,
}


def configure_logging(level: str, form: Literal["auto", "json", "text"]) -> None:
    """Send all log lines to stderr in one form. Call once, at start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, floor in _QUIET.items():
        logging.getLogger(name).setLevel(max(floor, root.level))


def _formatter(form: str) -> logging.Formatter:
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *(_text_processors() if as_text else _json_processors()),
        ],
    )


# Both leave the local variables out of tracebacks, which either would show by default: tokens and
# vCons are among them.


def _text_processors() -> list[Any]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _json_processors() -> list[Any]:
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(tracebacks),
        structlog.processors.JSONRenderer(default=str),
    ]
