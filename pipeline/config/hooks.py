"""The section `hooks`: modules that are called when vCons come in, are run, and are deleted."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from pipeline.config.chains import plugin_parts
from pipeline.config.model import HookSpec, OnError
from pipeline.config.sections import Kind, Section

ON_ERROR: Kind[OnError] = Kind(TypeAdapter(OnError), "continue or fail")


def read_hooks(hooks: Section) -> Mapping[str, HookSpec]:
    """Every hook by name."""
    return {name: _hook(name, entry) for name, entry in hooks.sections()}


def _hook(name: str, entry: Section) -> HookSpec:
    timeout = entry.limit("timeout")
    on_error = entry.value("on_error", ON_ERROR, "continue")
    parts: dict[str, Any] = plugin_parts(name, entry, {})
    return HookSpec(**parts, timeout=timeout, on_error=on_error)
