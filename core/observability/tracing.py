"""The interface for tracing requests, runs, links and storages, independent of OpenTelemetry.

`core.observability.otlp` implements it, and is imported only where traces are exported. Otherwise
`installed` returns None.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

type Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """An open span."""

    def say(self, name: str, value: str | int) -> None:
        """Add an attribute."""
        ...

    def failed(self, why: str) -> None:
        """Mark as failed; `why` is a word or two, never a message that may contain a secret."""
        ...


class Spans(Protocol):
    """Opens spans."""

    def span(
        self, name: str, attributes: Attributes, producer: str = ""
    ) -> AbstractContextManager[Span]:
        """Open a span, the parent of spans opened inside; an error raised inside marks it failed.

        `producer` is the `context` of the process that queued the work; the span is linked to it.
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
