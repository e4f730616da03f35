"""The commands about plugins: list, info, deps, install."""

import json
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from flowlang.connections import ConnectionPlugin, plugin_registry
from flowlang.connections.dependencies import is_specification
from flowlang.exceptions import FlowLangError


def list_plugins(given: Namespace) -> int:
    """Print every plugin; those that could not be loaded go to standard error."""
    found = [_told(name, plugin) for name, plugin in plugin_registry.get_all().items()]
    if given.format == "json":
        print(json.dumps({"plugins": found}, indent=2))
    else:
        print("Available connection plugins:")
        for each in found:
            print("\n".join(_lines(each)))
        print(f"\nTotal: {len(found)} plugin(s)")
    for problem in plugin_registry.problems:
        print(f"Not loaded: {problem}", file=sys.stderr)
    return 0


def _told(name: str, plugin: ConnectionPlugin) -> dict[str, Any]:
    told: dict[str, Any] = {"name": name, "description": plugin.description}
    told["version"] = plugin.version
    try:
        installed, missing = plugin.check_dependencies()
        told |= {"dependencies_installed": installed, "missing_dependencies": missing}
        told["builtin_tasks"] = sorted(plugin.get_builtin_tasks())
    except Exception as error:  # noqa: BLE001 - one broken plugin must not hide the others
        told["error"] = f"{type(error).__name__}: {error}"
    return told


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n  {told['name']} (v{told['version']})"
    yield f"    {told['description']}"
    if "error" in told:
        yield f"    Broken: {told['error']}"
    if told.get("builtin_tasks"):
        yield f"    Built-in tasks: {', '.join(told['builtin_tasks'])}"
    if told.get("missing_dependencies"):
        yield f"    Missing dependencies: {', '.join(told['missing_dependencies'])}"
        yield f"    Install with: python -m flowlang connection install {told['name']}"


def info(given: Namespace) -> int:
    """Print everything about one plugin."""
    plugin = plugin_registry.require(given.plugin)
    told = plugin.get_info()
    if given.json:
        print(json.dumps(told, indent=2))
        return 0
    print(f"Plugin: {told['name']}\nVersion: {told['version']}")
    print(f"Description: {told['description']}")
    print("\n".join(_dependency_lines(told["dependencies"], told["missing_dependencies"])))
    print(f"Built-in tasks ({len(told['builtin_tasks'])}):")
    for task in told["builtin_tasks"]:
        print(f"  {task}")
    print("Configuration (* is required):")
    for line in _property_lines(told["config_schema"]):
        print(line)
    return 0


def _dependency_lines(needed: list[str], missing: list[str]) -> Iterator[str]:
    yield "Dependencies:" if needed else "Dependencies: None"
    for each in needed:
        yield f"  {each}: {'NOT INSTALLED' if each in missing else 'installed'}"


def _property_lines(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, declared in schema.get("properties", {}).items():
        each = declared if isinstance(declared, Mapping) else {}  # true takes anything
        star = "*" if name in schema.get("required", ()) else " "
        default = f" (default: {json.dumps(each['default'])})" if "default" in each else ""
        kind = each.get("type", "any")
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        yield f"  {star} {name}: {kind}{default}"
        if each.get("description"):
            yield f"      {each['description']}"


def deps(given: Namespace) -> int:
    """Print a plugin's dependencies; with `--check`, return 1 if one is missing."""
    plugin = plugin_registry.require(given.plugin)
    needed = plugin.get_dependencies()
    if not needed:
        print(f"Plugin '{given.plugin}' has no dependencies.")
        return 0
    if not given.check:
        print("\n".join(f"- {each}" for each in needed))
        return 0
    met, missing = plugin.check_dependencies()
    print("\n".join(_dependency_lines(needed, missing)))
    print(
        "All dependencies installed" if met else f"Missing: {len(missing)}/{len(needed)} package(s)"
    )
    return 0 if met else 1


def install(given: Namespace) -> int:
    """Install missing dependencies with pip; return 1 if pip fails."""
    _, missing = plugin_registry.require(given.plugin).check_dependencies()
    if not missing:
        print(f"Nothing to install for '{given.plugin}'.")
        return 0
    for each in missing:
        if not is_specification(each):
            raise FlowLangError(f"'{each}' is nothing that pip could install")
    command = [sys.executable, "-m", "pip", "install", *missing]
    print(shlex.join(command), flush=True)
    if given.dry_run:
        return 0
    return 1 if subprocess.run(command, check=False).returncode else 0  # noqa: S603 - checked above
