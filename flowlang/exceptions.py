"""The errors of flows, connections and plugins.

The names are those that plugins import (`from ...exceptions import ConnectionError`), so two of
them are also names of Python's own. A plugin may raise anything; what it raises is wrapped.
"""

from collections.abc import Iterable, Mapping
from typing import Any


class FlowLangError(Exception):
    """Base of all errors of flows, connections and plugins."""

    step: str | None = None
    """The step that failed, by its id or its place."""


class FlowValidationError(FlowLangError):
    """The flow's YAML, or an input, is not what it must be."""


class FlowExecutionError(FlowLangError):
    """A task failed."""


class TaskNotFoundError(FlowLangError):
    """No connection in reach of the step has a task of this name."""

    def __init__(self, task_name: str, hint: str = "") -> None:
        super().__init__(f"Task '{task_name}' not found{hint and f'. {hint}'}")
        self.task_name = task_name


class MaxRetriesExceededError(FlowExecutionError):
    """A task failed at each of its attempts; the last failure is the cause."""

    def __init__(self, task_name: str, attempts: int, cause: str = "") -> None:
        detail = cause and f": {cause}"
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"Task '{task_name}' failed after {tries}{detail}")
        self.task_name = task_name
        self.attempts = attempts


class TimeoutError(FlowExecutionError):
    """A task took longer than its step allows."""

    def __init__(self, task_name: str, timeout: float) -> None:
        super().__init__(f"Task '{task_name}' timed out after {timeout:g} s")
        self.task_name = task_name
        self.timeout = timeout


class NotImplementedTaskError(FlowExecutionError):
    """For a plugin: this task is announced and not written yet."""


class FlowTerminationException(FlowLangError):
    """A step `exit` ended the flow: no failure."""

    def __init__(self, reason: str, outputs: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.outputs = dict(outputs or {})


class ConnectionError(FlowLangError):
    """A connection cannot be opened, or is not open."""

    busy = False
    """Whether all connections of the pool are in use, which does not mean that it is lost."""


class ConnectionNotFoundError(ConnectionError):
    """No connection has this name, or no plugin this type."""


class ConnectionConfigError(ConnectionError):
    """What a connection is configured with is not what its plugin accepts."""


class ConnectionTimeoutError(ConnectionError):
    """Opening, lending or closing a connection took too long."""

    def __init__(
        self, connection_name: str, timeout: float, doing: str = "open", kind: str = ""
    ) -> None:
        of = kind and f" ({kind})"
        super().__init__(f"Connection '{connection_name}'{of} did not {doing} within {timeout:g} s")
        self.connection_name = connection_name
        self.timeout = timeout


class PluginNotFoundError(FlowLangError):
    """No plugin has this name."""

    def __init__(self, plugin_name: str, available: Iterable[str] = ()) -> None:
        names = ", ".join(available) or "none"
        super().__init__(f"Plugin '{plugin_name}' not found. Available plugins: {names}")
        self.plugin_name = plugin_name
        self.available = list(available)
