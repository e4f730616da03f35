"""The fields added to each log line: those of the request or run that the code works for.

They are read only when a line is written. They follow the context, so also into the threads of the
pools, but not into threads that a plugin starts.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar

type Fields = Mapping[str, object]

current_request: ContextVar[tuple[str, object] | None] = ContextVar("current_request", default=None)
"""Ref and action of the present request."""
request_secrets: ContextVar[tuple[str, ...]] = ContextVar("request_secrets", default=())
"""The values of its secret fields."""
LONGEST_ACTION = 100
"""Characters of an action name given by the caller that are logged."""

_sources: list[Callable[[], Fields]] = []


def add_source(source: Callable[[], Fields]) -> None:
    """Add the fields that `source` returns to each line written later."""
    if source not in _sources:
        _sources.append(source)


def fields() -> dict[str, object]:
    """The fields to add to a line now."""
    found: dict[str, object] = {}
    request = current_request.get()
    if request is not None:
        ref, action = request
        found["ref"] = ref
        if isinstance(action, str):
            found["action"] = action[:LONGEST_ACTION]
    for source in _sources:
        found.update(source())
    return found
