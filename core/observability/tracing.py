"""What requests, runs, links and storages are traced with, if anything is.

Nothing here knows OpenTelemetry: `core.observability.otlp` does, and is imported only where
traces are sent somewhere. Without it `installed` is None.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

type Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """One thing that takes time and is traced."""

    def say(self, name: str, value: str | int) -> None:
        """Add an attribute."""
        ...

    def failed(self, why: str) -> None:
        """It did not go well; `why` is a word or two, never a message that may hold a secret."""
        ...


class Spans(Protocol):
    """Makes spans."""

    def span(
        self, name: str, attributes: Attributes, producer: str = ""
    ) -> AbstractContextManager[Span]:
        """While it is open it is the parent of every other; what raises inside has failed.

        `producer` is what `context` gave where the work came from: the span is linked with it.
        """
        ...

    def context(self) -> str:
        """The open span as JSON, in vcon-server's form, or an empty text if there is none."""
        ...


_installed: list[Spans] = []


def install(spans: Spans) -> None:
    """From now on this process is traced. To be called before anything runs."""
    _installed[:] = [spans]


def installed() -> Spans | None:
    """What to trace with; None where nothing is traced."""
    return _installed[0] if _installed else None


def context() -> str:
    """The open span as JSON, for whoever goes on with the work; empty when nothing is traced."""
    return _installed[0].context() if _installed else ""
