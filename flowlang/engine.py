"""Running a flow's steps one after the other.

The results are stored under the ids of their steps. A failing step ends the flow, unless it has an
`on_error`.
"""

import asyncio
import builtins
from collections import ChainMap
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from flowlang.connections.registry import ConnectionPluginRegistry
from flowlang.connections.scope import Connections
from flowlang.exceptions import (
    ConnectionNotFoundError,
    FlowExecutionError,
    FlowLangError,
    FlowTerminationException,
    FlowValidationError,
    MaxRetriesExceededError,
    TaskNotFoundError,
    TimeoutError,
)
from flowlang.language.conditions import equal, holds
from flowlang.language.references import resolved
from flowlang.language.steps import (
    ExitStep,
    ForEachStep,
    IfStep,
    ParallelStep,
    Step,
    SubflowStep,
    SwitchStep,
    TaskStep,
)
from flowlang.language.untrusted import arguments
from flowlang.limit import Limit
from flowlang.tasks import Function, run_once


@dataclass(frozen=True)
class Scope:
    """The values that a step's references can reach."""

    inputs: Mapping[str, Any]
    results: MutableMapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def roots(self) -> Mapping[str, Any]:
        """Everything by its first name; a loop's variable is also one of the inputs."""
        inputs = {**self.inputs, **self.variables}
        own = {"inputs": inputs, "context": self.context}
        return ChainMap(own, dict(self.variables), self.results)


_ALWAYS_THE_SAME = (
    FlowTerminationException,
    FlowValidationError,
    TaskNotFoundError,
    ConnectionNotFoundError,
)
"""Errors that another attempt would repeat."""

type Subflow = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]


class Engine:
    """Runs the steps of one run."""

    def __init__(
        self,
        connections: Connections,
        registry: ConnectionPluginRegistry,
        tasks: Mapping[str, Function],
        subflow: Subflow,
    ) -> None:
        self._connections = connections
        self._registry = registry
        self._tasks = tasks
        self._subflow = subflow
        self._kinds: dict[type[Step], Callable[[Any, Scope], Awaitable[Any]]] = {
            TaskStep: self._task,
            ParallelStep: self._parallel,
            IfStep: self._if,
            SwitchStep: self._switch,
            ForEachStep: self._for_each,
            SubflowStep: self._flow,
            ExitStep: self._exit,
        }

    async def run(self, steps: tuple[Step, ...], scope: Scope) -> None:
        """Run steps in their order; their results are put into the scope.

        Raises FlowTerminationException at an `exit`, FlowLangError with the step that failed.
        """
        for step in steps:
            await self._run(step, scope)

    async def _run(self, step: Step, scope: Scope) -> None:
        try:
            await self._once(step, scope)
        except FlowTerminationException:
            raise
        except FlowLangError as error:
            await self._failed(step, scope, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - of values, or a plugin's own
            failure = FlowExecutionError(f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            await self._failed(step, scope, failure)

    async def _failed(self, step: Step, scope: Scope, error: FlowLangError) -> None:
        error.step = error.step or step.label
        if step.on_error is None:
            raise error
        text = self._connections.secrets().text(str(error))
        context = {"last_error": text, "failed_step": error.step}
        context["last_error_type"] = type(error).__name__
        await self.run(step.on_error, replace(scope, context=context))

    async def _once(self, step: Step, scope: Scope) -> None:
        if not holds(step.condition, scope.roots):
            return
        for needed in step.depends_on:
            if needed not in scope.results:
                raise FlowExecutionError(f"'{needed}', which it depends on, has no result")
        result = await self._timed(step, scope)
        if step.id is not None and result is not None:
            scope.results[step.id] = result

    async def _timed(self, step: Step, scope: Scope) -> Any:
        limit = None if isinstance(step, TaskStep) else step.timeout
        return await within(limit, step.label, self._kinds[type(step)](step, scope))

    async def _task(self, step: TaskStep, scope: Scope) -> dict[str, Any]:
        name = step.connection and str(resolved(step.connection, scope.roots))
        given = arguments(step.inputs, scope.roots)
        reach = self._connections, self._registry, self._tasks
        attempt = 0
        while True:
            try:
                call = run_once(step.task, name, given, *reach)
                outputs: dict[str, Any] = await within(step.timeout, step.task, call)
            except _ALWAYS_THE_SAME:
                raise
            except Exception as error:
                attempt += 1
                if attempt >= step.retry.max_attempts:
                    cause = str(error) or type(error).__name__
                    raise MaxRetriesExceededError(step.task, attempt, cause) from error
            else:
                return outputs
            await asyncio.sleep(step.retry.wait(attempt - 1))

    async def _parallel(self, step: ParallelStep, scope: Scope) -> None:
        failure: FlowLangError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for branch in step.branches:
                    group.create_task(self.run(branch, scope))
        except* FlowLangError as errors:
            failure = _first(errors)
        if failure is not None:
            raise failure

    async def _if(self, step: IfStep, scope: Scope) -> None:
        await self.run(step.then if holds(step.test, scope.roots) else step.otherwise, scope)

    async def _switch(self, step: SwitchStep, scope: Scope) -> None:
        value = resolved(step.value, scope.roots)
        for when, steps in step.cases:
            wanted = resolved(when, scope.roots)
            if any(
                equal(value, each) for each in (wanted if isinstance(wanted, list) else [wanted])
            ):
                return await self.run(steps, scope)
        return await self.run(step.default, scope)

    async def _for_each(self, step: ForEachStep, scope: Scope) -> dict[str, Any]:
        """Each round's results by step, besides the last ones, which stay in the scope."""
        items = resolved(step.items, scope.roots)
        if not isinstance(items, list | tuple):
            raise FlowValidationError(f"for_each needs a list, not {type(items).__name__}")
        rounds = []
        for item in items:
            own: dict[str, Any] = {}
            variables = {**scope.variables, step.variable: item}
            inner = replace(scope, results=ChainMap(own, scope.results), variables=variables)
            await self.run(step.steps, inner)
            rounds.append(own)
            scope.results.update(own)
        return {"results": rounds, "count": len(rounds)}

    async def _flow(self, step: SubflowStep, scope: Scope) -> dict[str, Any]:
        name = str(resolved(step.flow, scope.roots))
        return await self._subflow(name, resolved(step.inputs, scope.roots))

    async def _exit(self, step: ExitStep, scope: Scope) -> None:
        reason = str(resolved(step.reason, scope.roots))
        raise FlowTerminationException(reason, resolved(step.outputs, scope.roots))


async def within(seconds: float | None, name: str, work: Awaitable[Any]) -> Any:
    """Await the work within a time limit. Raises `flowlang.exceptions.TimeoutError`."""
    if seconds is None:
        return await work
    limit = Limit(seconds)
    try:
        async with limit:
            return await work
    except builtins.TimeoutError:
        if not limit.expired:
            raise
        raise TimeoutError(name, seconds) from None


def _first(errors: ExceptionGroup[FlowLangError]) -> FlowLangError:
    """The first failure; an `exit` counts only if nothing failed."""
    found = [e if isinstance(e, FlowLangError) else _first(e) for e in errors.exceptions]
    return next((e for e in found if not isinstance(e, FlowTerminationException)), found[0])
