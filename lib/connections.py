"""Tasks and flows of the connections in `config.yml`, for links and storages.

A plugin with an option `connection: name` needs no credentials of its own. Plugins on the event
loop use `run_task` and `run_flow`; plugins in a thread use `run_task_from_thread` and
`run_flow_from_thread`.
"""

from collections.abc import Mapping
from typing import Any

from flowlang.exceptions import FlowLangError
from flowlang.language.references import resolved
from flowlang.language.untrusted import arguments, objections, whole_selections
from pipeline.connections.registry import Result, installed

_NOT_REACHED = {"ConnectionError", "TimeoutError", "OperationalError", "ConnectionTimeout"}
"""Types of errors of flows, and of what is behind them."""


class ConnectionFailedError(RuntimeError):
    """A task or a flow failed; the text has the error, without secrets.

    `peer_failed`: the other side could not be reached, or was too slow; a destination's breaker
    counts these. None: not known.
    """

    def __init__(self, text: str, *, peer_failed: bool | None = None) -> None:
        super().__init__(text)
        self.peer_failed = peer_failed


async def run_task(connection: str, task: str, /, **params: Any) -> dict[str, Any]:
    """The outputs of one task, serialisable as JSON. Raises `ConnectionFailedError`."""
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
    """`value` with references such as `${vcon.parties[0].tel}` replaced by values from `roots`.

    `${path:-text}` has a default. Raises `LookupError` for a missing value without a default.
    """
    try:
        return resolved(value, roots)
    except FlowLangError as error:
        raise LookupError(str(error)) from None


def filled_params(params: Mapping[str, Any], **roots: Any) -> dict[str, Any]:
    """The parameters of a task, filled as by `filled`.

    Raises `LookupError`, also if a value from a vCon would put an operator into a MongoDB filter.
    """
    try:
        return arguments(params, roots)
    except FlowLangError as error:
        raise LookupError(str(error)) from None


def require_fixed_statements(params: Mapping[str, Any]) -> None:
    """Check that no statement in a task's parameters contains values from a vCon.

    Call it when options are validated. Raises `ValueError`.
    """
    for objection in (*objections(params), *whole_selections(params)):
        raise ValueError(f"params.{objection}")


def _outputs(what: str, result: Result) -> dict[str, Any]:
    if not result["success"]:
        step = f" in step '{result['step']}'" if "step" in result else ""
        text = f"{what}{step}: {result['error']}"
        raise ConnectionFailedError(text, peer_failed=_peer_failed(result))
    outputs: dict[str, Any] = result["outputs"]
    return outputs


def _peer_failed(result: Result) -> bool | None:
    cause = str(result.get("cause", "")).partition(":")[0]
    return True if {result.get("error_type"), cause} & _NOT_REACHED else None
