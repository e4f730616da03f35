"""Parsing a flow's YAML into steps. Mistakes are reported with their place before a step runs.

A step is a mapping with one of the keys `task`, `parallel`, `if` (with `then`), `switch`,
`for_each`, `subflow`, `exit`; or it has one key alone, the name of a task, under which the task's
own parameters stand beside `id`, `connection` and the like.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flowlang.exceptions import FlowValidationError
from flowlang.language.retry import Retry
from flowlang.language.shapes import items, mapping, name, only, seconds, text
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
from flowlang.language.untrusted import objections

_COMMON = {"id", "if", "timeout", "on_error", "depends_on", "description", "silent"}
_TASK = {"connection", "outputs", "retry", "inputs"}
_BESIDE_PARAMETERS = (_COMMON | _TASK) - {"description"}
"""A task's own `description` is one of its parameters, as other names are."""


def parse_steps(given: Any, place: str) -> tuple[Step, ...]:
    """A list of steps. Raises FlowValidationError."""
    if not isinstance(given, list):
        raise FlowValidationError(f"'{place}' must be a list")
    steps = tuple(_step(each, f"{place}[{number}]") for number, each in enumerate(given))
    ids = [step.id for step in steps if step.id is not None]
    for each in ids:
        if ids.count(each) > 1:
            raise FlowValidationError(f"{place}: two steps have the id '{each}'")
    return steps


def _step(given: Any, place: str) -> Step:
    if not isinstance(given, Mapping) or not given:
        raise FlowValidationError(f"{place}: a step is a mapping")
    kinds = [kind for kind in _KINDS if kind in given]
    if not kinds and "if" in given and "then" in given:
        return _if(given, place)
    if len(kinds) > 1:
        raise FlowValidationError(f"{place}: a step is one of {' and '.join(kinds)}, not both")
    if kinds:
        return _KINDS[kinds[0]](given, place)
    if len(given) == 1:
        return _named_task(*next(iter(given.items())), place)
    keys = ", ".join(map(str, given))
    raise FlowValidationError(
        f"{place}: this is no step: {keys}. A step has 'task', {', '.join(map(repr, _KINDS))},"
        " 'if' with 'then', or one key alone: the name of a task"
    )


def _named_task(task: Any, body: Any, place: str) -> Step:
    if not isinstance(body, Mapping | None):
        raise FlowValidationError(f"{place}: what stands under '{task}' must be a mapping")
    fields = dict(body or {})
    own = {key: fields.pop(key) for key in list(fields) if key in _BESIDE_PARAMETERS}
    inputs = {**mapping(own.pop("inputs", None), f"{place}.inputs"), **fields}
    return _task({**own, "task": task, "inputs": inputs}, place)


def _task(given: Mapping[str, Any], place: str) -> Step:
    only(given, _COMMON | {"task", *_TASK}, place)
    connection = given.get("connection")
    if not isinstance(connection, str | None):
        raise FlowValidationError(f"{place}: 'connection' is the name of one")
    try:
        retry = Retry.parse(given.get("retry"))
    except FlowValidationError as error:
        raise FlowValidationError(f"{place}: {error}") from None
    inputs = mapping(given.get("inputs"), f"{place}.inputs")
    task = text(given["task"], f"{place}.task")
    for objection in objections(inputs, task):
        raise FlowValidationError(f"{place}.inputs.{objection}")
    return TaskStep(
        **_common(given, place),
        task=task,
        connection=connection,
        inputs=inputs,
        retry=retry,
    )


def _parallel(given: Mapping[str, Any], place: str) -> Step:
    only(given, _COMMON | {"parallel"}, place)
    branches = given["parallel"]
    if not isinstance(branches, list):
        raise FlowValidationError(f"'{place}.parallel' must be a list")
    parsed = [
        parse_steps(branch, f"{place}.parallel[{number}]")
        if isinstance(branch, list)
        else (_step(branch, f"{place}.parallel[{number}]"),)
        for number, branch in enumerate(branches)
    ]
    return ParallelStep(**_common(given, place), branches=tuple(parsed))


def _if(given: Mapping[str, Any], place: str) -> Step:
    only(given, _COMMON | {"if", "then", "else"}, place)
    return IfStep(
        **_common({key: value for key, value in given.items() if key != "if"}, place),
        test=given["if"],
        then=parse_steps(given["then"], f"{place}.then"),
        otherwise=parse_steps(given.get("else") or [], f"{place}.else"),
    )


def _switch(given: Mapping[str, Any], place: str) -> Step:
    only(given, _COMMON | {"switch", "cases", "default"}, place)
    cases, default = [], given.get("default") or []
    for number, case in enumerate(items(given.get("cases"), f"{place}.cases")):
        here = f"{place}.cases[{number}]"
        if isinstance(case, Mapping) and case.keys() == {"when", "do"}:
            cases.append((case["when"], parse_steps(case["do"], f"{here}.do")))
        elif isinstance(case, Mapping) and case.keys() == {"default"}:
            default = case["default"]
        else:
            raise FlowValidationError(f"{here}: a case has 'when' and 'do', or 'default' alone")
    return SwitchStep(
        **_common(given, place),
        value=given["switch"],
        cases=tuple(cases),
        default=parse_steps(default, f"{place}.default"),
    )


def _for_each(given: Mapping[str, Any], place: str) -> Step:
    only(given, _COMMON | {"for_each", "as", "do"}, place)
    return ForEachStep(
        **_common(given, place),
        items=given["for_each"],
        variable=name(given.get("as", "item"), f"{place}.as"),
        steps=parse_steps(given.get("do"), f"{place}.do"),
    )


def _subflow(given: Mapping[str, Any], place: str) -> Step:
    only(given, _COMMON | {"subflow", "inputs", "outputs"}, place)
    return SubflowStep(
        **_common(given, place),
        flow=text(given["subflow"], f"{place}.subflow"),
        inputs=mapping(given.get("inputs"), f"{place}.inputs"),
    )


def _exit(given: Mapping[str, Any], place: str) -> Step:
    only(given, _COMMON | {"exit", "reason", "outputs"}, place)
    body = given["exit"]
    fields = dict(body) if isinstance(body, Mapping) else {}
    if isinstance(body, str):
        fields["reason"] = body
    fields = {**{key: given[key] for key in ("reason", "outputs") if key in given}, **fields}
    return ExitStep(
        **_common(given, place),
        reason=str(fields.get("reason", "Flow terminated")),
        outputs=mapping(fields.get("outputs"), f"{place}.exit.outputs"),
    )


_KINDS: dict[str, Callable[[Mapping[str, Any], str], Step]] = {
    "task": _task,
    "parallel": _parallel,
    "switch": _switch,
    "for_each": _for_each,
    "subflow": _subflow,
    "exit": _exit,
}


def _common(given: Mapping[str, Any], place: str) -> dict[str, Any]:
    own = given.get("id")
    identity = None if own is None else name(own, f"{place}.id")
    depends = given.get("depends_on") or []
    return {
        "label": identity or place,
        "id": identity,
        "condition": given.get("if", True),
        "timeout": seconds(given.get("timeout"), place),
        "on_error": _handler(given.get("on_error"), f"{place}.on_error"),
        "depends_on": (depends,) if isinstance(depends, str) else tuple(items(depends, place)),
    }


def _handler(given: Any, place: str) -> tuple[Step, ...] | None:
    if given is None or given == "stop":
        return None
    if given == "continue":
        return ()
    return parse_steps(given["steps"] if isinstance(given, Mapping) else given, place)
