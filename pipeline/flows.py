"""Running tasks and flows; this file and `flows_findings` alone know `flowlang`'s engine."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.logs import keep_values_secret
from core.own_thread import in_own_thread
from core.settings import environment
from flowlang.connections import plugin_registry
from flowlang.connections.kept import KeptConnections
from flowlang.exceptions import (
    ConnectionNotFoundError,
    FlowExecutionError,
    FlowValidationError,
)
from flowlang.flow import Flow
from flowlang.running import Surroundings, run_flow, run_task
from flowlang.subflows import find_flow
from flowlang.tasks import tasks_of
from pipeline.config_environment import Filled
from pipeline.config_model import PipelineConfig
from pipeline.config_secrets import secret_values
from pipeline.config_variables import variables_named_in
from pipeline.flows_findings import find_plugins, findings_of

__all__ = ["Flows", "findings_of", "problems_of"]


class Flows:
    """Runs tasks and flows over the service's own connections."""

    def __init__(self) -> None:
        self._kept = KeptConnections()
        self._around = Surroundings(self._kept)

    async def adopt(self, config: PipelineConfig) -> None:
        """Have the connections of a configuration."""
        await in_own_thread(find_plugins, config)
        given = {name: spec.given for name, spec in config.connections.items()}
        await self._kept.configure(given)

    async def task(self, connection: str, task: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What came of one task."""
        return await run_task(task, connection, params, self._around)

    async def flow(self, folder: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What came of a flow."""
        try:
            path = await in_own_thread(find_flow, name, Path(folder))
            flow = await in_own_thread(_read, path, path.stat().st_mtime_ns)
        except FlowValidationError as error:  # the file's own: nobody who runs it can mend it
            told = f"Flow '{name}' cannot be read: {error}"
            return {"success": False, "error": told, "error_type": FlowExecutionError.__name__}
        return await run_flow(flow, inputs, self._around)

    def has_flow(self, folder: str, name: str) -> bool:
        """Whether there is a file of this name."""
        try:
            return find_flow(name, Path(folder)).is_file()
        except FlowValidationError:
            return False

    def has_task(self, kind: str, task: str) -> bool:
        """Whether a plugin has such a task."""
        plugin = plugin_registry.get(kind)
        return plugin is not None and task in tasks_of(plugin)

    async def check(self, connection: str) -> str | None:
        """What is wrong with a connection, in words without secrets; None for nothing."""
        try:
            return await self._kept.check(connection)
        except ConnectionNotFoundError as error:
            return str(error)

    async def check_open(self) -> None:
        """Look after those that are open."""
        await self._kept.check_open()

    async def close(self) -> None:
        """Close all connections."""
        await self._kept.close()


@lru_cache(maxsize=64)
def _read(path: Path, _changed: int) -> Flow:
    keep_values_secret(secret_values(_variables_in(path)))
    return Flow.read(path)


def _variables_in(path: Path) -> Iterator[Filled]:
    """The variables of the environment that a flow names: its errors may quote their values."""
    values = environment()
    for name in variables_named_in(path.read_bytes()):
        if value := values.get(name):
            yield Filled(name, "", value)


def problems_of(config: PipelineConfig) -> list[str]:
    """What is wrong with the connections, as far as that can be told without connecting."""
    return findings_of(config).problems
