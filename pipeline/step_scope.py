"""What belongs to one call of a plugin, for `lib`: a dict that ends with the call.

Each call of a link or storage for one vCon gets an empty one. Threads and tasks that the plugin
starts by `asyncio` see the same. Outside of calls there is none.
"""

from contextvars import ContextVar
from typing import Any

type Scope = dict[Any, Any]

_scope: ContextVar[Scope | None] = ContextVar("step_scope", default=None)


def begin() -> None:
    """A call begins: from here on, in this context, the scope is a new one."""
    _scope.set({})


def kept[T](kind: type[T]) -> T:
    """The instance of `kind` of this call, made when it is first wanted; a new one outside."""
    scope = _scope.get()
    found: T = kind() if scope is None else scope.setdefault(kind, kind())
    return found
