"""The interface for tracing requests, runs, links and storages, independent of OpenTelemetry.

`core.observability.otlp` implements it, and is imported only where traces are exported. Otherwise
`installed` returns None.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol

type Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """An open span."""

    def say(self, name: str, value: str | int) -> None:
        """Add an attribute."""
        ...

    def failed(self, why: str) -> None:
        """Mark as failed; `why` is a word or two, never a message that may contain a secret."""
        ...


class Caller(NamedTuple):
    """The span of a caller, as the header `traceparent` has it; both ids in hex."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def context(self) -> str:
        """The span as JSON in vcon-server's form."""
        is_sampled = bool(self.flags & SAMPLED)
        told = (self.trace_id, self.span_id, self.flags, is_sampled)
        return json.dumps(dict(zip(CONTEXT, told, strict=True)))


SAMPLED = 1
CONTEXT = ("trace_id", "span_id", "trace_flags", "is_sampled")
"""The members of a context in vcon-server's form."""
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?",
    re.ASCII,
)


def caller_of(traceparent: str | None) -> Caller | None:
    """The caller's span by W3C Trace Context; None without a header, or if it is not valid."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None or (found[1] == "00" and found[5]):  # later versions may add fields
        return None
    return Caller(found[2], found[3], int(found[4], 16))


class Spans(Protocol):
    """Opens spans."""

    def span(
        self,
        name: str,
        attributes: Attributes,
        producer: str = "",
        caller: Caller | None = None,
    ) -> AbstractContextManager[Span]:
        """Open a span, the parent of spans opened inside; an error raised inside marks it failed.

        `producer` is the `context` of the process that queued the work; the span is linked to it.
        `caller` is its parent, in another process.
        """
        ...

    def context(self) -> str:
        """The open span as JSON in vcon-server's form, or an empty text."""
        ...


_installed: list[Spans] = []


def install(spans: Spans) -> None:
    """Trace this process. Call before requests or runs begin."""
    _installed[:] = [spans]


def installed() -> Spans | None:
    """The installed implementation; None without tracing."""
    return _installed[0] if _installed else None


def context() -> str:
    """The open span as JSON, for the process that continues the work; empty without tracing."""
    return _installed[0].context() if _installed else ""


caller_context: ContextVar[str] = ContextVar("caller_context", default="")
"""The `context` of the caller of the present request, in a process that is not traced."""


@contextmanager
def request_span(
    name: str, attributes: Attributes, traceparent: str | None
) -> Iterator[Span | None]:
    """The span of a request over HTTP, a child of the caller's.

    Without tracing it is None, and what is queued inside gets the context of the caller.
    """
    caller = caller_of(traceparent)
    spans = installed()
    if spans is not None:
        with spans.span(name, attributes, caller=caller) as span:
            yield span
        return
    token = caller_context.set(caller.context if caller else "")
    try:
        yield None
    finally:
        caller_context.reset(token)
