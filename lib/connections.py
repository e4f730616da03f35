"""The connections of `config.yml`, for links and storages: their tasks, and flows over them.

A plugin that takes an option `connection: name` needs no credentials of its own. Those that run on
the event loop use `run_task` and `run_flow`; those that run in a thread use `run_task_from_thread`
and `run_flow_from_thread`.
"""

from collections.abc import Mapping
from typing import Any

from flowlang.exceptions import FlowLangError
from flowlang.language.references import resolved
from flowlang.language.untrusted import arguments, objections, whole_selections
from pipeline.connections.registry import Result, installed


class ConnectionFailedError(RuntimeError):
    """A task or a flow failed; the text says why and tells no secret."""


async def run_task(connection: str, task: str, /, **params: Any) -> dict[str, Any]:
    """The outputs of one task, fit for JSON. Raises `ConnectionFailedError`."""
    return _outputs(f"{task} of {connection}", await installed().run_task(connection, task, params))


async def run_flow(flow: str, /, **inputs: Any) -> dict[str, Any]:
    """The outputs of a flow, a file in the folder of flows. Raises `ConnectionFailedError`."""
    return _outputs(f"flow {flow}", await installed().run_flow(flow, inputs))


def run_task_from_thread(connection: str, task: str, /, **params: Any) -> dict[str, Any]:
    """`run_task` for a plugin that runs in a thread."""
    return installed().from_thread(run_task(connection, task, **params))


def run_flow_from_thread(flow: str, /, **inputs: Any) -> dict[str, Any]:
    """`run_flow` for a plugin that runs in a thread."""
    return installed().from_thread(run_flow(flow, **inputs))


def filled(value: Any, **roots: Any) -> Any:
    """A value with `${vcon.parties[0].tel}` and the like filled from what `roots` name.

    `${path:-text}` has a text for what is missing. Raises `LookupError` for what is not there.
    """
    try:
        return resolved(value, roots)
    except FlowLangError as error:
        raise LookupError(str(error)) from None


def filled_params(params: Mapping[str, Any], **roots: Any) -> dict[str, Any]:
    """The parameters of a task, filled as by `filled`.

    Raises `LookupError`, also for a value with an operator in a filter of MongoDB.
    """
    try:
        return arguments(params, roots)
    except FlowLangError as error:
        raise LookupError(str(error)) from None


def require_fixed_statements(params: Mapping[str, Any]) -> None:
    """Refuse parameters of a task whose statement would be made of what a vCon says.

    Raises `ValueError`; to be asked when options are checked.
    """
    for objection in (*objections(params), *whole_selections(params)):
        raise ValueError(f"params.{objection}")


def _outputs(what: str, result: Result) -> dict[str, Any]:
    if not result["success"]:
        step = f" in step '{result['step']}'" if "step" in result else ""
        raise ConnectionFailedError(f"{what}{step}: {result['error']}")
    outputs: dict[str, Any] = result["outputs"]
    return outputs
