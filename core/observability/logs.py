"""Configures logging: structured lines, without secrets, of bounded size.

The fields of a line are those of `extra={"run": ...}` and those of the request or run that it
belongs to (`core.request_context`), as JSON, or as `key=value` pairs on a terminal. Every finished
line is redacted (`core.observability.redaction`).

Plugins raise errors with megabytes of text, and errors whose attributes are code that raises. Both
are bounded here: a line neither blocks the event loop for seconds nor ends the run that logs it.
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

from core import request_context
from core.observability import error_texts
from core.observability.recent_errors import RECENT_ERRORS
from core.observability.redaction import KNOWN
from core.observability.storable_text import described
from core.optional_parts import without

with without("rich"):
    import structlog
    from structlog.typing import EventDict, ExceptionTransformer

_AS_THEY_ARE = (bool, int, float, type(None))
_UNTOUCHED = frozenset({"exc_info", "exception", "stack", "level", "timestamp"})


class _Shown:
    """A value that the renderer does not quote."""

    def __init__(self, text: str) -> None:
        self._text = text

    @override
    def __repr__(self) -> str:
        return self._text


def plain_values(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """A structlog processor: fields and message as plain text on one line, without `repr`."""
    return {
        one_line(name): value if name in _UNTOUCHED else _plain(value)
        for name, value in event.items()
    }


def _plain(value: object) -> object:
    if isinstance(value, str):
        return one_line(str(value))  # the value of an enumeration's member
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
    """The text with control characters escaped, which could forge lines or colours."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


LONGEST = 20_000
"""Characters of one value or traceback in a line; of a longer one the middle is left out."""
MARGIN = 4_000
"""Further characters at a cut, redacted and then dropped, since a cut may split a secret."""
_DEEPEST = 4
_LEFT_OUT = " ... "

type Redact = Callable[[str], str]
type ExcInfo = Any


def bounded(text: str, redact: Redact) -> str:
    """The text, or of a long one its beginning and end without secrets."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    head, tail = redact(text[: half + MARGIN]), redact(text[-half - MARGIN :])
    return head[:half] + _LEFT_OUT + tail[-half:]


def bounded_parts(value: Any, redact: Redact, depth: int = _DEEPEST) -> Any:
    """`bounded` for every text in a structure."""
    if isinstance(value, str):
        return bounded(value, redact) if len(value) > LONGEST else value
    if depth and isinstance(value, Mapping):
        return {name: bounded_parts(each, redact, depth - 1) for name, each in value.items()}
    if depth and isinstance(value, list | tuple):
        return [bounded_parts(each, redact, depth - 1) for each in value]
    return value


def plain_traceback(redact: Redact) -> Callable[[TextIO, ExcInfo], None]:
    """A writer of tracebacks for a terminal."""

    def write(out: TextIO, exc_info: ExcInfo) -> None:
        text = io.StringIO()
        try:
            structlog.dev.plain_traceback(text, exc_info)
        except BaseException:  # noqa: BLE001 -- attributes of a plugin's error may raise anything
            text = io.StringIO(_not_shown(exc_info))
        lines = bounded(text.getvalue(), redact).split("\n")
        out.write("\n".join(map(one_line, lines)))

    return write


def traceback_dict(redact: Redact) -> ExceptionTransformer:
    """A function from a traceback to a structure for JSON, without local variables."""
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
    "websockets": logging.INFO,  # at DEBUG it logs the handshake line, which contains the token
    "vcon": logging.WARNING,  # several INFO lines per object otherwise
    "alembic": logging.WARNING,
    "httpx": logging.WARNING,  # logs each URL, which may hold credentials
    "httpcore": logging.WARNING,
    # Libraries of vendors: at INFO the first group logs URLs, at DEBUG all log headers or bodies.
    **dict.fromkeys(("httpx2", "httpcore2", "elastic_transport", "botocore"), logging.WARNING),
    "asyncssh": logging.WARNING,  # at INFO several lines with names for each connection
    **dict.fromkeys(("openai", "groq", "deepgram", "pymongo", "pymilvus"), logging.INFO),
    **dict.fromkeys(("boto3", "urllib3", "elasticsearch"), logging.INFO),
}

type Form = Literal["auto", "json", "text"]

log = logging.getLogger(__name__)


def configure_logging(level: str, form: Form) -> None:
    """Send all log lines to stderr in one form. Call once, at the start.

    Python's warnings and uncaught errors, also of threads, become log lines.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(form))
    root = logging.getLogger()
    root.handlers[:] = [handler, RECENT_ERRORS]
    root.setLevel(level)
    for name, floor in _QUIET.items():
        logging.getLogger(name).setLevel(max(floor, root.level))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def keep_secret(*secrets: str) -> None:
    """Redact these texts in every line from now on."""
    KNOWN.learn(secrets)


def keep_names(names: Iterable[str]) -> None:
    """Redact the values of all fields with these names."""
    KNOWN.learn_names(names)


def keep_values_secret(values: Iterable[object]) -> None:
    """Redact each of these values and its parts, under any name."""
    for value in values:
        KNOWN.learn_value(value)


def keep_secrets_of(options: object) -> None:
    """Redact the values under names of secrets in a structure, and the passwords of its URLs."""
    KNOWN.learn_from(options)


def without_secrets(text: str) -> str:
    """A sentence that is not logged, such as an error message, without known secrets."""
    return KNOWN.sentence(text)


def formatter(form: Form) -> logging.Formatter:
    """The formatter of log records."""
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
            _keep_texts_out,
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


_OF_PLUGINS = frozenset({"run", "vcon", "link", "storage", "tracer", "hook"})
"""Fields of a line whose error may be that of a plugin."""


def _keep_texts_out(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """With a section `law`, leave out what errors of plugins say; see `error_texts`."""
    if not error_texts.are_kept_out():
        return event
    if "error" in event and event.keys() & _OF_PLUGINS:
        event["error"] = error_texts.outside(_text(event["error"]))
    if exc_info := event.pop("exc_info", None):
        try:
            event["exception"] = error_texts.frames(exc_info[1])
        except BaseException:  # noqa: BLE001 -- attributes of a plugin's error may raise anything
            event["exception"] = exc_info[0].__name__
    return event


def _bound_texts(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Runs before the search for secrets, so that its time is bounded."""
    return {
        name: value if name == "exc_info" else bounded_parts(value, KNOWN.text)
        for name, value in event.items()
    }


def _hide_secret_fields(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Redact by name here, because a terminal's line has colours between name and value."""
    shown = {name: value for name, value in event.items() if name != "exc_info"}
    return {**event, **KNOWN.fields(shown)}


# Both forms leave local variables out of tracebacks: tokens and vCons are among them.


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


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        name = args.thread.name if args.thread else None
        trace = (args.exc_type, args.exc_value, args.exc_traceback)
        log.error("a thread ended with an error", exc_info=trace, extra={"thread_name": name})
