"""What a plugin has to offer: functions by name, each callable with these positional arguments.

A plugin is a module with those functions, or one with a single class that has them as methods.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from core.errors import PluginFailedError, StoppedEarlyError
from core.observability.storable_text import described
from pipeline.plugins.options import options_model

type Function = Callable[..., Any]

CONNECTIONS = "lib.connections"


@dataclass(frozen=True, slots=True)
class Contract:
    """The arguments of every function a plugin may have, and the one function it must have."""

    name: str
    needed: str
    functions: Mapping[str, tuple[str, ...]]


LINK = Contract("link", "run", {"run": ("vcon_uuid", "link_name", "opts")})
STORAGE = Contract(
    "storage",
    "save",
    {
        "save": ("vcon_uuid", "opts"),
        "get": ("vcon_uuid", "opts"),
        "delete": ("vcon_uuid", "opts"),
        "close": (),
    },
)
_TRACED = ("in_vcon_uuid", "out_vcon_uuid", "tracer_name", "links", "link_index", "options")
TRACER = Contract("tracer", "run", {"run": _TRACED})


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin that keeps its contract: its functions by name, and its default options.

    `default_options` is a mapping, or the plugin's own model of its options.

    `only_through_lib`: it says of itself that it touches vCons through `lib` and in no other way.

    `no_default_timeout`: it may take long by design, and has a time limit only where its
    configuration says one.

    `uses_connections`: it has imported something of `lib.connections`.
    """

    functions: Mapping[str, Any]
    default_options: Mapping[str, Any] | type[BaseModel]
    is_async: bool
    only_through_lib: bool = False
    no_default_timeout: bool = False
    uses_connections: bool = False


def plugin_in(module: ModuleType, contract: Contract) -> Plugin:
    """The plugin a module holds; a class is constructed, without arguments, once in this process.

    So whatever its object keeps, such as connections, outlives a change of the configuration.

    Raises:
        PluginFailedError: with everything that keeps it from being one.
    """
    with _looking:
        known = _known.setdefault(module, {})
        if contract.name not in known:
            known[contract.name] = _looked_at(module, contract)
        return known[contract.name]


_looking = Lock()
_known: WeakKeyDictionary[ModuleType, dict[str, Plugin]] = WeakKeyDictionary()


def _looked_at(module: ModuleType, contract: Contract) -> Plugin:
    holder = _holder(module, contract)
    functions = _functions(holder, contract)
    through_lib = getattr(holder, "only_through_lib", False) is True
    defaults = options_model(holder, module) or _default_options(holder, module)
    asynchronous = is_async(functions[contract.needed])
    waits = getattr(holder, "no_default_timeout", False) is True
    connections = _uses_connections(module)
    return Plugin(functions, defaults, asynchronous, through_lib, waits, connections)


def _uses_connections(module: ModuleType) -> bool:
    """Whether the module, or one below it, has something of `lib.connections` among its names."""
    below = f"{module.__name__}."
    loaded = [part for name, part in list(sys.modules.items()) if f"{name}.".startswith(below)]
    parts = [part for part in loaded if isinstance(part, ModuleType)]
    names = [thing for part in parts for thing in vars(part).values()]
    homes = [_text(thing, each) for thing in names for each in ("__name__", "__module__")]
    return CONNECTIONS in homes


def _text(thing: object, attribute: str) -> object:
    try:
        return getattr(thing, attribute, None)
    except StoppedEarlyError:
        raise
    except BaseException:  # noqa: BLE001 -- a lazy thing of a library may raise anything when it is touched
        return None


def is_async(function: Function) -> bool:
    """Whether calling it gives something to await."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        type(function).__call__
    )


def _default_options(holder: object, module: ModuleType) -> Mapping[str, Any]:
    defaults = getattr(holder, "default_options", getattr(module, "default_options", None))
    if not isinstance(defaults, Mapping | None):
        raise PluginFailedError("default_options is not a mapping")
    return defaults or {}


def _holder(module: ModuleType, contract: Contract) -> object:
    """What has the functions: the module itself, or an object of its only class that has them."""
    if hasattr(module, contract.needed):
        return module
    classes = {thing for thing in vars(module).values() if _offers(thing, module, contract)}
    if len(classes) > 1:
        names = ", ".join(sorted(each.__name__ for each in classes))
        raise PluginFailedError(
            f"has several classes with {contract.needed}, only one may: {names}"
        )
    return _constructed(classes.pop()) if classes else module


def _offers(thing: Any, module: ModuleType, contract: Contract) -> bool:
    """A class of the module's own, or of its package, that has the needed method."""
    return (
        inspect.isclass(thing)
        and f"{thing.__module__}.".startswith(f"{module.__name__}.")
        and not inspect.isabstract(thing)
        and hasattr(thing, contract.needed)
    )


def _constructed(plugin_class: type) -> object:
    try:
        return plugin_class()
    except StoppedEarlyError:
        raise
    except BaseException as error:
        reason = described(error)
        raise PluginFailedError(
            f"{plugin_class.__name__}() cannot be constructed: {reason}"
        ) from error


def _functions(holder: object, contract: Contract) -> dict[str, Function]:
    """The functions that are there, each checked."""
    offered = {name: getattr(holder, name, None) for name in contract.functions}
    found = {name: function for name, function in offered.items() if function is not None}
    objections = {
        name: objection
        for name, function in found.items()
        if (objection := _objection(name, function, contract.functions[name]))
    }
    if objections.pop("close", None):
        del found["close"]  # nobody asked plugins for it before: this one is meant otherwise
    problems = [*objections.values(), *_absent(found, contract)] or _mixed(found)
    if problems:
        raise PluginFailedError("; ".join(problems))
    return found


def _absent(found: Mapping[str, Function], contract: Contract) -> list[str]:
    call = _call(contract.needed, contract.functions[contract.needed])
    return [] if contract.needed in found else [f"has no {call}"]


def _objection(name: str, function: object, arguments: tuple[str, ...]) -> str | None:
    """Why a function cannot be called as the contract says, if it cannot."""
    if not callable(function):
        return f"{name} is not a function"
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C do not tell
        return None
    try:
        signature.bind(*arguments)
    except TypeError:
        # Names only: the defaults in a signature may be options, and those may be secret.
        defined = _call(name, signature.parameters)
        return f"is defined as {defined}, but is called as {_call(name, arguments)}"
    return None


def _call(name: str, arguments: Iterable[str]) -> str:
    return f"{name}({', '.join(arguments)})"


def _mixed(functions: Mapping[str, Function]) -> list[str]:
    """One flag says how to call a plugin, so its functions are all async or all not."""
    awaited = [name for name, function in functions.items() if is_async(function)]
    if len(awaited) in (0, len(functions)):
        return []
    others = [name for name in functions if name not in awaited]
    return [f"make all functions async or none: {', '.join(awaited)} is, {', '.join(others)} not"]
