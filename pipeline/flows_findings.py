"""What is wrong with the connections of a configuration, as far as the plugins can tell."""

from collections.abc import Mapping
from typing import Any

from flowlang.connections import plugin_registry
from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.configuration import require_sound
from flowlang.exceptions import FlowLangError
from flowlang.schemas import Schema
from flowlang.tasks import tasks_of
from pipeline.config_connections import ConnectionSpec
from pipeline.config_model import PipelineConfig
from pipeline.config_section import Findings
from pipeline.config_written import is_other_number

_OWN_KEYS = ("type", "expose")


def find_plugins(config: PipelineConfig) -> None:
    """Look for plugins where the configuration says, too."""
    for folder in config.connection_plugins:
        plugin_registry.add_folder(folder)
    plugin_registry.discover_plugins()


def findings_of(config: PipelineConfig) -> Findings:
    """What can be told without connecting to anything."""
    find_plugins(config)
    findings = Findings(strict=config.strict)
    for spec in config.connections.values():
        _look_at(spec, findings)
    return findings


def _look_at(spec: ConnectionSpec, findings: Findings) -> None:
    where = ("connections", spec.name)
    plugin = plugin_registry.get(spec.type)
    if plugin is None:
        findings.problem((*where, "type"), _no_plugin(spec.type))
        return
    try:
        require_sound(spec.name, spec.type, plugin)
        tasks = tasks_of(plugin)
        _look_at_keys(spec, plugin, findings)
    except FlowLangError as error:
        findings.problem(where, str(error))
        return
    for task in spec.expose:
        if task not in tasks:
            known = ", ".join(sorted(tasks))
            findings.problem((*where, "expose"), f"there is no task {task!r}; known: {known}")


def _no_plugin(kind: str) -> str:
    known = ", ".join(plugin_registry.list_plugins())
    why = "; ".join(str(problem) for problem in plugin_registry.problems)
    return f"no plugin is called {kind!r}; known: {known}" + (why and f"; not loaded: {why}")


def _look_at_keys(spec: ConnectionSpec, plugin: ConnectionPlugin, findings: Findings) -> None:
    """Keys that the plugin's schema does not have, and values that YAML has turned."""
    schema = dict(plugin.get_config_schema())
    known = sorted({*schema.get("properties", {}), *_OWN_KEYS})
    for key, value in spec.given.items():
        where = ("connections", spec.name, key)
        if key not in known and _is_closed(schema):
            findings.unknown(where, known)
        elif (key,) in spec.written and _is_misread(value, spec.written[key,], schema, key):
            findings.misread(where, value)


def _is_closed(schema: Mapping[str, Any]) -> bool:
    """Whether a schema that has properties may name them all."""
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
