"""Running a flow from its beginning to its result."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flowlang.connections import plugin_registry
from flowlang.connections.connection import Patience
from flowlang.connections.manager import ConnectionManager
from flowlang.connections.registry import ConnectionPluginRegistry
from flowlang.connections.scope import Connections
from flowlang.engine import Engine, Scope, Subflow, within
from flowlang.environment import variable
from flowlang.exceptions import FlowExecutionError, FlowTerminationException
from flowlang.language.flow import Flow
from flowlang.language.subflows import load_subflow
from flowlang.redaction import Secrets
from flowlang.results import failed, succeeded, terminated
from flowlang.tasks import Function, run_once

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """The context of a run besides its flow."""

    connections: Connections | None = None
    """Connections that the flow may use and never closes."""
    tasks: Mapping[str, Function] = field(default_factory=dict)
    """Functions that steps may name besides the tasks of plugins."""
    registry: ConnectionPluginRegistry = plugin_registry
    patience: Patience = field(default_factory=Patience)
    above: tuple[Path, ...] = ()
    """The files of the flows that called this one."""


async def run_flow(
    flow: Flow, inputs: Mapping[str, Any] | None = None, around: Surroundings | None = None
) -> dict[str, Any]:
    """Run a flow and return its result; raises only when cancelled.

    `success` and `outputs`, with `terminated` and `reason` after an `exit`; or `success`, `error`,
    `error_type`, and where they are known `step` and `cause`. The result consists of JSON values,
    without the secrets of its connections.
    """
    around = around or Surroundings()
    secrets = Secrets()
    try:
        return succeeded(await _outputs(flow, inputs or {}, around, secrets), secrets)
    except FlowTerminationException as end:
        return terminated(end, secrets)
    except (Exception, SystemExit) as error:  # a plugin's own
        logger.debug("Flow %s failed", flow.name, exc_info=True)
        return failed(error, secrets)


async def run_task(
    task: str, connection: str, params: Mapping[str, Any], around: Surroundings
) -> dict[str, Any]:
    """Run one task over one connection, with a result like that of `run_flow`."""
    assert around.connections is not None
    try:
        outputs = await run_once(
            task, connection, params, around.connections, around.registry, around.tasks
        )
        return succeeded(outputs, around.connections.secrets())
    except (Exception, SystemExit) as error:  # a plugin's own
        logger.debug("Task %s failed", task, exc_info=True)
        return failed(error, around.connections.secrets())


async def _outputs(
    flow: Flow, inputs: Mapping[str, Any], around: Surroundings, secrets: Secrets
) -> dict[str, Any]:
    secrets.learn_from(dict(inputs), {})
    if flow.variables:
        secrets.learn_from({name: variable(name) for name in flow.variables}, {})
    scope = Scope(flow.checked_inputs(inputs))
    manager = ConnectionManager(
        flow.connections,
        outer=around.connections,
        registry=around.registry,
        patience=around.patience,
    )
    try:
        async with manager:
            subflows = _subflows(flow, manager, around, secrets)
            engine = Engine(manager, around.registry, around.tasks, subflows)
            await within(flow.timeout, flow.name, engine.run(flow.steps, scope))
            return flow.results(scope.roots)
    finally:
        secrets.include(manager.secrets())


def _subflows(
    flow: Flow, connections: Connections, around: Surroundings, secrets: Secrets
) -> Subflow:
    above = around.above if flow.file is None else (*around.above, flow.file)

    async def run(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        inside = replace(around, connections=connections, above=above)
        inner = load_subflow(name, flow, above)
        try:
            return await _outputs(inner, inputs, inside, secrets)
        except FlowTerminationException as end:
            return end.outputs
        except Exception as error:
            raise FlowExecutionError(f"Subflow '{name}' failed: {error}") from error

    return run
