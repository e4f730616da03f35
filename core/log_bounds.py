"""Bounds on what is rendered for a log line: texts of any length, and errors that raise when shown.

Plugins raise errors with megabytes of text, and errors whose attributes are code that raises. A
line must not cost the event loop seconds, nor end the run or the process that logs it.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import ExceptionTransformer

from core.log_values import one_line
from core.storable_text import described

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
