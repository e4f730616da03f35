"""Plugins of installed distributions."""

import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from typing import Any

GROUP = "flowlang.connections"


def installed() -> Iterator[EntryPoint]:
    """The entry points that name a plugin's class."""
    yield from entry_points(group=GROUP)


def load(entry: EntryPoint, package: str) -> Any:
    """The object that an entry point names. Raises the exceptions of its import.

    A plugin that was written as a folder of `package` imports `..base`, which fails in a
    distribution of its own; it is imported as a module of `package` instead.
    """
    try:
        return entry.load()
    except ImportError as error:
        if "beyond top-level package" not in str(error):
            raise
        module = _inside(package, entry.module)
        return getattr(module, entry.attr)


def _inside(package: str, name: str) -> Any:
    """A distribution's package as a module of another package."""
    top = name.partition(".")[0]
    found = importlib.util.find_spec(top)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named '{top}'", name=top)
    _load_as(f"{package}.{top}", found)
    return importlib.import_module(f"{package}.{name}")


def _load_as(name: str, found: ModuleSpec) -> None:
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        name, found.origin, submodule_search_locations=found.submodule_search_locations
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def source(entry: EntryPoint) -> str:
    """The distribution and text of an entry point, for a message."""
    distribution: Any = entry.dist
    name = distribution.name if distribution is not None else "unknown distribution"
    return f"{name} ({entry.name} = {entry.value})"
