"""Checking connections, and running tasks and flows: the only importer of FlowLang's engine."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.concurrency.thread_pool import in_own_thread
from core.environment import environment
from core.observability.logs import keep_values_secret
from flowlang.connections import plugin_registry
from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.configuration import require_sound
from flowlang.connections.kept import KeptConnections
from flowlang.exceptions import (
    ConnectionNotFoundError,
    FlowExecutionError,
    FlowLangError,
    FlowValidationError,
)
from flowlang.language.flow import Flow
from flowlang.language.schemas import Schema
from flowlang.language.subflows import find_flow
from flowlang.running import Surroundings, run_flow, run_task
from flowlang.tasks import tasks_of
from pipeline.config.connections import ConnectionSpec
from pipeline.config.environment import Filled, is_other_number, secret_values, variables_named_in
from pipeline.config.model import PipelineConfig
from pipeline.config.sections import Findings

__all__ = ["Flows", "findings_of", "problems_of"]

_OWN_KEYS = ("type", "expose")


def find_plugins(config: PipelineConfig) -> None:
    """Discover connection plugins, also in the configured folders."""
    for folder in config.connection_plugins:
        plugin_registry.add_folder(folder)
    plugin_registry.discover_plugins()


def findings_of(config: PipelineConfig) -> Findings:
    """Unknown types, keys and tasks of connections, found without connecting."""
    find_plugins(config)
    findings = Findings(strict=config.strict)
    for spec in config.connections.values():
        _check(spec, findings)
    return findings


def _check(spec: ConnectionSpec, findings: Findings) -> None:
    where = ("connections", spec.name)
    plugin = plugin_registry.get(spec.type)
    if plugin is None:
        findings.problem((*where, "type"), _no_plugin(spec.type))
        return
    try:
        require_sound(spec.name, spec.type, plugin)
        tasks = tasks_of(plugin)
        _check_keys(spec, plugin, findings)
    except FlowLangError as error:
        findings.problem(where, str(error))
        return
    for task in spec.expose:
        if task not in tasks:
            known = ", ".join(sorted(tasks))
            findings.problem((*where, "expose"), f"there is no task {task!r}; known: {known}")


def _no_plugin(kind: str) -> str:
    known = ", ".join(plugin_registry.list_plugins())
    problems = "; ".join(str(problem) for problem in plugin_registry.problems)
    not_loaded = problems and f"; not loaded: {problems}"
    return f"no plugin is called {kind!r}; known: {known}{not_loaded}"


def _check_keys(spec: ConnectionSpec, plugin: ConnectionPlugin, findings: Findings) -> None:
    """Report keys that the plugin's schema lacks, and values that YAML read differently."""
    schema = dict(plugin.get_config_schema())
    known = sorted({*schema.get("properties", {}), *_OWN_KEYS})
    for key, value in spec.given.items():
        where = ("connections", spec.name, key)
        if key not in known and _is_closed(schema):
            findings.unknown(where, known)
        elif (key,) in spec.written and _is_misread(value, spec.written[key,], schema, key):
            findings.misread(where, value)


def _is_closed(schema: Mapping[str, Any]) -> bool:
    """Whether a schema has properties and allows no others."""
    return bool(schema.get("properties")) and not (
        schema.get("additionalProperties") or schema.get("patternProperties")
    )


def _is_misread(value: object, written: str, schema: Mapping[str, Any], key: str) -> bool:
    types = Schema.of(schema).at(key).types
    numbers = {"integer", "number"} & {*types}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return not numbers or is_other_number(written)
    fits = "boolean" in types if isinstance(value, bool) else value is None
    return not fits


def problems_of(config: PipelineConfig) -> list[str]:
    """The problems among `findings_of`."""
    return findings_of(config).problems


class Flows:
    """Runs tasks and flows over the service's own connections."""

    def __init__(self) -> None:
        self._kept = KeptConnections()
        self._around = Surroundings(self._kept)

    async def adopt(self, config: PipelineConfig) -> None:
        """Use the connections of a configuration; unchanged ones stay open."""
        await in_own_thread(find_plugins, config)
        given = {name: spec.given for name, spec in config.connections.items()}
        await self._kept.configure(given)

    async def task(self, connection: str, task: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Run one task, and return its result as `flowlang.running.run_task` does."""
        return await run_task(task, connection, params, self._around)

    async def flow(self, folder: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run a flow of a folder, and return its result as `flowlang.running.run_flow` does."""
        try:
            path = await in_own_thread(find_flow, name, Path(folder))
            flow = await in_own_thread(_read, path, path.stat().st_mtime_ns)
        except FlowValidationError as error:  # a mistake in the file, not in the request
            text = f"Flow '{name}' cannot be read: {error}"
            return {"success": False, "error": text, "error_type": FlowExecutionError.__name__}
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
        """Check a connection: its error without secrets, None if it is well."""
        try:
            return await self._kept.check(connection)
        except ConnectionNotFoundError as error:
            return str(error)

    async def check_open(self) -> None:
        """Check the open connections."""
        await self._kept.check_open()

    async def close(self) -> None:
        """Close all connections."""
        await self._kept.close()


@lru_cache(maxsize=64)
def _read(path: Path, _changed: int) -> Flow:
    keep_values_secret(secret_values(_variables_in(path)))
    return Flow.read(path)


def _variables_in(path: Path) -> Iterator[Filled]:
    """The environment variables that a flow names; its errors may quote their values."""
    values = environment()
    for name in variables_named_in(path.read_bytes()):
        if value := values.get(name):
            yield Filled(name, "", value)
