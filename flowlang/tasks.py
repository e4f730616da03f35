"""Finding the function of a task, and calling it."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.registry import ConnectionPluginRegistry
from flowlang.connections.scope import Connections
from flowlang.contained import contained
from flowlang.exceptions import FlowExecutionError, FlowValidationError, TaskNotFoundError

type Function = Callable[..., Any]


@dataclass(frozen=True)
class Task:
    """A function under its name, and the connection it is called with."""

    name: str
    function: Function
    connection: str | None
    owner: ConnectionPlugin | None = None

    async def call(self, arguments: Mapping[str, Any], connections: Connections) -> dict[str, Any]:
        """Call the function with a lent connection; a result that is no dict becomes `result`."""
        if self.connection is None:
            return await contained(_called(self.function, arguments))
        async with connections.borrowed(self.connection) as loan:
            # If it was reconnected since the function was found, the plugin's object is another.
            moved = self.owner is not None and loan.plugin is not self.owner
            function = _of_plugin(self.name, loan.plugin) if moved else self.function
            whole = {**arguments, "connection": loan.connection}
            return await contained(_called(function, whole))

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Check the arguments. Raises FlowValidationError with the parameters it has."""
        given = {**arguments, **({} if self.connection is None else {"connection": None})}
        if _fits(self.function, given):
            return
        try:
            signature(self.function).bind(**given)
        except TypeError as error:
            known = ", ".join(_parameters(self.function)) or "none"
            raise FlowValidationError(
                f"Task '{self.name}': {error}; its parameters are: {known}"
            ) from None


async def run_once(
    name: str,
    connection: str | None,
    arguments: Mapping[str, Any],
    connections: Connections,
    registry: ConnectionPluginRegistry,
    own: Mapping[str, Function],
) -> dict[str, Any]:
    """One attempt of a task; its connection is opened if necessary.

    Raises what `find_task`, `Task.check` and the task raise.
    """
    task = await find_task(name, connection, connections, registry, own)
    task.check(arguments)
    return await task.call(arguments, connections)


async def find_task(
    name: str,
    connection: str | None,
    connections: Connections,
    registry: ConnectionPluginRegistry,
    own: Mapping[str, Function],
) -> Task:
    """The function of a task: one of the run's own, or of its connection's plugin.

    Raises TaskNotFoundError, FlowValidationError without a needed connection, ConnectionError.
    """
    if connection is not None:
        if name in own:
            return Task(name, own[name], connection if _borrows(own[name]) else None)
        plugin = await connections.get_plugin(connection)
        function = _of_plugin(name, plugin)
        return Task(name, function, connection if _borrows(function) else None, plugin)
    found = own.get(name) or _anywhere(name, registry)
    if _borrows(found):
        raise FlowValidationError(
            f"Task '{name}' requires a connection but none specified."
            " Add 'connection: connection_name' to the step."
        )
    return Task(name, found, None)


async def _called(function: Function, arguments: Mapping[str, Any]) -> dict[str, Any]:
    if inspect.iscoroutinefunction(function):
        outputs = await function(**arguments)
    else:
        outputs = await asyncio.to_thread(function, **arguments)
        outputs = await outputs if inspect.isawaitable(outputs) else outputs
    if outputs is None:
        return {}
    return dict(outputs) if isinstance(outputs, Mapping) else {"result": outputs}


def signature(function: Function) -> inspect.Signature:
    """A function's parameters; those of a plugin's methods are looked at once."""
    method = _method(function)
    return inspect.signature(function) if method is None else _of_method(method)


def _method(function: Function) -> Function | None:
    """The function of a plugin's class behind a method, or behind a wrapper of one."""
    inner = function if inspect.ismethod(function) else inspect.unwrap(function)
    return inner.__func__ if inspect.ismethod(inner) else None


def _fits(function: Function, given: Mapping[str, Any]) -> bool:
    """Whether a plugin's method accepts these arguments for certain; a fast check."""
    method = _method(function)
    if method is None:
        return False
    names, needed = _names(method)
    return needed <= given.keys() <= names


@lru_cache(maxsize=1024)
def _names(function: Function) -> tuple[frozenset[str], frozenset[str]]:
    parameters = [
        each
        for each in _of_method(function).parameters.values()
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    ]
    needed = frozenset(each.name for each in parameters if each.default is each.empty)
    return frozenset(each.name for each in parameters), needed


@lru_cache(maxsize=1024)
def _of_method(function: Function) -> inspect.Signature:
    _, *others = (whole := inspect.signature(function)).parameters.values()
    return whole.replace(parameters=others)


def tasks_of(plugin: ConnectionPlugin) -> dict[str, Function]:
    """A plugin's tasks. Raises FlowExecutionError if it cannot list them."""
    try:
        return dict(plugin.get_builtin_tasks())
    except Exception as error:
        raise FlowExecutionError(f"Plugin '{plugin.name}' has no list of tasks: {error}") from error


def _of_plugin(name: str, plugin: ConnectionPlugin) -> Function:
    tasks = tasks_of(plugin)
    if name not in tasks:
        known = ", ".join(sorted(tasks)) or "none"
        raise TaskNotFoundError(name, f"Tasks of '{plugin.name}': {known}")
    return tasks[name]


def _anywhere(name: str, registry: ConnectionPluginRegistry) -> Function:
    broken = []
    for plugin in registry.get_all().values():
        try:
            tasks = tasks_of(plugin)
        except FlowExecutionError as error:
            broken.append(str(error))
            continue
        if name in tasks:
            return tasks[name]
    why = ["No connection plugin has a task of this name", *broken]
    raise TaskNotFoundError(name, "; ".join(why))


def _borrows(function: Function) -> bool:
    return "connection" in signature(function).parameters


def _parameters(function: Function) -> list[str]:
    parameters = signature(function).parameters.values()
    return [
        each.name if each.default is each.empty else f"{each.name} (optional)"
        for each in parameters
        if each.name != "connection"
    ]
