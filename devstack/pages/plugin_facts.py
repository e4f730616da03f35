"""What the catalogue of plugins says of each: from its module, its options, and `plugins.yml`."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from devstack.pages.schema_words import as_yaml
from pipeline.plugins.missing import EXTRAS

FILE = Path(__file__).with_name("plugins.yml")
NOT_STATED = "not stated"
KINDS = {"links": "link", "storage": "storage", "tracers": "tracer"}
BOUNDS = ("timeout", "retries", "max_", "limit")
"""Options whose names have one of these bound a call in time, number or size."""


@dataclass(frozen=True, slots=True)
class PluginFacts:
    """A row of the catalogue; `vcon_server`: how it compares with vcon-server's of that name."""

    kind: str
    reads: str
    writes: str
    effect: str
    extra: str
    limits: str
    vcon_server: str

    def cells(self) -> str:
        """The row's cells after the plugin and its function."""
        cells = (self.kind, self.reads, self.writes, self.effect, self.extra, self.limits)
        return " | ".join((*cells, self.vcon_server))


@cache
def stated() -> Mapping[str, Mapping[str, str]]:
    """What `plugins.yml` states, by module."""
    entries: dict[str, dict[str, str]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return entries


def facts(module: ModuleType) -> PluginFacts:
    """The facts of a plugin; what nothing states is `NOT_STATED`."""
    name = module.__name__
    entry = stated().get(name, {})
    sizes = [entry["sizes"]] if "sizes" in entry else []
    return PluginFacts(
        kind=KINDS.get(name.partition(".")[0], NOT_STATED),
        reads=entry.get("reads", NOT_STATED),
        writes=entry.get("writes", NOT_STATED),
        effect=str(getattr(module, "effect", NOT_STATED)),
        extra=entry.get("extra") or ", ".join(f"`{each}`" for each in sorted(extras(name))),
        limits=", ".join([*sizes, *_bounds(module)]),
        vcon_server=entry.get("vcon_server", NOT_STATED),
    )


def _bounds(module: ModuleType) -> Iterator[str]:
    """The options that bound a call, with their defaults."""
    model = getattr(module, "Options", None)
    schema: Mapping[str, Any] = model.model_json_schema(by_alias=True) if model else {}
    for name, field in schema.get("properties", {}).items():
        if any(bound in name for bound in BOUNDS) and field.get("default") is not None:
            yield f"`{name}` {as_yaml(field['default'])}"


def extras(name: str) -> set[str]:
    """The extras whose libraries a plugin imports, itself or through `lib`."""
    found: set[str] = set()
    waiting, seen = [name], set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen or not (source := _source(module)):
            continue
        seen.add(module)
        imported = list(_imports(source))
        found |= {EXTRAS[root] for each in imported if (root := each.partition(".")[0]) in EXTRAS}
        waiting += [each for each in imported if each.startswith(("lib.", f"{name}."))]
    return found


def _source(module: str) -> str:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):  # a name in a module, not a module
        return ""
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    return Path(spec.origin).read_text(encoding="utf-8")


def _imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
