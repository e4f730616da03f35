"""What every line says beside its own words: the request or the run on whose behalf it is logged.

Setting this costs nothing worth counting; only a line that is really written looks at it. It goes
with the context, so also into the threads of the pools, but not into those a plugin starts itself.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar

type Fields = Mapping[str, object]

current_request: ContextVar[tuple[str, object] | None] = ContextVar("current_request", default=None)
"""Ref and action of the request on whose behalf this code runs."""
request_secrets: ContextVar[tuple[str, ...]] = ContextVar("request_secrets", default=())
"""What that request has in fields that its action marks secret."""
LONGEST_ACTION = 100
"""How much of a name that the caller made up is repeated."""

_sources: list[Callable[[], Fields]] = []


def say_also(source: Callable[[], Fields]) -> None:
    """From now on every line has the fields that `source` gives when it is written."""
    if source not in _sources:
        _sources.append(source)


def fields() -> dict[str, object]:
    """The fields of a line that is written now."""
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
