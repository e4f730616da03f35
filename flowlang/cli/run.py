"""Trying connections and flows from the command line."""

import asyncio
import json
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from flowlang.connections import plugin_registry
from flowlang.connections.configuration import coerced
from flowlang.connections.kept import KeptConnections
from flowlang.connections.manager import ConnectionManager
from flowlang.environment import as_references
from flowlang.exceptions import ConnectionNotFoundError, FlowLangError, FlowValidationError
from flowlang.language.flow import Flow
from flowlang.language.shapes import mapping
from flowlang.running import Surroundings, run_flow


def test(given: Namespace) -> int:
    """Open one connection of a configuration, borrow from it once, close it."""
    connections = _connections(Path(given.config))
    if given.name not in connections:
        known = ", ".join(connections) or "none"
        raise ConnectionNotFoundError(
            f"There is no connection '{given.name}' in {given.config}. There is: {known}"
        )
    print(asyncio.run(_opened(given.name, connections[given.name])))
    return 0


async def _opened(name: str, given: Mapping[str, Any]) -> str:
    begun = time.perf_counter()
    async with ConnectionManager({name: given}) as manager:
        opened = time.perf_counter()
        async with manager.lent(name):
            lent = time.perf_counter()
        kind = (await manager.get_plugin(name)).name
    return (
        f"Connection '{name}' ({kind}): opened in {(opened - begun) * 1000:.1f} ms,"
        f" ready for a task in {(lent - opened) * 1000:.1f} ms"
    )


def _connections(path: Path) -> dict[str, Any]:
    """The connections of a `config.yml`, or of a flow; its plugin folders are looked at, too."""
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FlowValidationError(f"{path}: {error}") from error
    if not isinstance(fields, Mapping):
        raise FlowValidationError(f"{path}: must be a mapping, with 'connections' in it")
    for folder in fields.get("connection_plugins") or []:
        plugin_registry.add_folder(folder)
    given = mapping(as_references(fields.get("connections")), "connections")
    for connection in given.values():
        if isinstance(connection, dict):
            connection.pop("expose", None)  # the service's word, no plugin's
    return given


def run(given: Namespace) -> int:
    """Run a flow and print its result as JSON; 1 if it fails."""
    flow = Flow.read(Path(given.flow))
    connections = _connections(Path(given.config)) if given.config else {}
    result = asyncio.run(_run(flow, _inputs(given, flow), connections))
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 0 if result["success"] else 1


async def _run(
    flow: Flow, inputs: Mapping[str, Any], connections: Mapping[str, Any]
) -> dict[str, Any]:
    kept = KeptConnections()
    await kept.configure(connections)
    try:
        return await run_flow(flow, inputs, Surroundings(kept))
    finally:
        await kept.close()


def _inputs(given: Namespace, flow: Flow) -> dict[str, Any]:
    try:
        inputs = json.loads(given.inputs)
    except ValueError as error:
        raise FlowLangError(f"--inputs is no JSON: {error}") from error
    if not isinstance(inputs, dict):
        raise FlowLangError("--inputs must be a JSON object")
    types = {each.name: each.type for each in flow.inputs or ()}
    for each in given.input:
        name, _, value = each.partition("=")
        inputs[name] = coerced(value, [types.get(name, "string")])
    return inputs
