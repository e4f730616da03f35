"""The connections of `config.yml`, for links and storages: their tasks, and flows over them.

A guest that takes an option `connection: name` needs no credentials of its own. Those that run on
the event loop use `run_task` and `run_flow`; those that run in a thread use `run_task_from_thread`
and `run_flow_from_thread`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flowlang.exceptions import FlowLangError
from flowlang.references import resolved
from pipeline.service_connections import Result, installed

_STATEMENTS = ("query", "queries", "filter_by_formula")
_OF_THE_VCON = re.compile(r"\$\{\s*(vcon|link)\b")


class ConnectionFailedError(RuntimeError):
    """A task or a flow failed; the text says why and tells no secret."""


async def run_task(connection: str, task: str, /, **params: Any) -> dict[str, Any]:
    """The outputs of one task, fit for JSON. Raises `ConnectionFailedError`."""
    return _outputs(f"{task} of {connection}", await installed().run_task(connection, task, params))


async def run_flow(flow: str, /, **inputs: Any) -> dict[str, Any]:
    """The outputs of a flow, a file in the folder of flows. Raises `ConnectionFailedError`."""
    return _outputs(f"flow {flow}", await installed().run_flow(flow, inputs))


def run_task_from_thread(connection: str, task: str, /, **params: Any) -> dict[str, Any]:
    """`run_task` for a guest that runs in a thread."""
    return installed().from_thread(run_task(connection, task, **params))


def run_flow_from_thread(flow: str, /, **inputs: Any) -> dict[str, Any]:
    """`run_flow` for a guest that runs in a thread."""
    return installed().from_thread(run_flow(flow, **inputs))


def filled(value: Any, **roots: Any) -> Any:
    """A value with `${vcon.parties[0].tel}` and the like filled from what `roots` name.

    `${path:-text}` has a text for what is missing. Raises `LookupError` for what is not there.
    """
    try:
        return resolved(value, roots)
    except FlowLangError as error:
        raise LookupError(str(error)) from None


def require_fixed_statements(params: Mapping[str, Any]) -> None:
    """Refuse parameters of a task whose statement would be made of what a vCon says.

    Raises `ValueError`; to be asked when options are checked.
    """
    for name, text in _statements(params):
        if _OF_THE_VCON.search(text):
            raise ValueError(
                f"params.{name}: whoever wrote the vCon could change the statement; write a"
                " placeholder, and the value into params.params"
            )


def _statements(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _STATEMENTS:
        for each in params[name] if isinstance(params.get(name), list) else [params.get(name)]:
            text = each.get("query") if isinstance(each, Mapping) else each
            if isinstance(text, str):
                yield name, text


def _outputs(what: str, result: Result) -> dict[str, Any]:
    if not result["success"]:
        step = f" in step '{result['step']}'" if "step" in result else ""
        raise ConnectionFailedError(f"{what}{step}: {result['error']}")
    outputs: dict[str, Any] = result["outputs"]
    return outputs
