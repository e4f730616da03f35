"""The functions that each kind of plugin must and may have, and their positional arguments.

A plugin is a module with these functions, or with a single class that has them as methods.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from threading import Lock
from types import ModuleType
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from core.errors import PluginFailedError, StoppedEarlyError
from core.observability.storable_text import described, storable_text
from pipeline.plugins.options import options_model

type Function = Callable[..., Any]

CONNECTIONS = "lib.connections"

type Effect = Literal["pure", "idempotent", "once"]
"""What a call changes outside: nothing; the same as a second call; something at each call."""
EFFECTS: tuple[Effect, ...] = get_args(Effect.__value__)
DECLARATIONS = ("effect", "only_through_lib", "no_default_timeout", "pure")
"""Attributes by which a plugin says what it is."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The arguments of each function that a plugin may have; `needed` is the one it must have."""

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
    """A checked plugin: its functions by name, and its default options.

    - `default_options`: a mapping, or the plugin's Pydantic model of its options.
    - `only_through_lib`: it declares that it reads and writes vCons through `lib` only.
    - `no_default_timeout`: it may take long by design, so a call has a time limit only where the
      configuration sets one.
    - `uses_connections`: it imports something of `lib.connections`.
    - `together`: its `save_together`, which a worker calls on the event loop instead of a sync
      `save`; None without one.
    - `pure`: its `pure`, with which a trial may call it; see `is_pure`.
    - `effect`: what a call of it changes outside; None if it does not say.
    - `notes`: remarks on names in the module that are nearly declarations.
    """

    functions: Mapping[str, Any]
    default_options: Mapping[str, Any] | type[BaseModel]
    is_async: bool
    only_through_lib: bool = False
    no_default_timeout: bool = False
    uses_connections: bool = False
    pure: object = False
    together: Function | None = None
    effect: Effect | None = None
    notes: tuple[str, ...] = ()


def plugin_in(module: ModuleType, contract: Contract) -> Plugin:
    """The plugin in a module.

    A class is constructed without arguments, once per process, so the state of its object, such as
    a connection, is kept when the configuration changes.

    Raises:
        PluginFailedError: with all differences from the contract.
    """
    with _looking:
        known = _known.setdefault(module, {})
        if contract.name not in known:
            known[contract.name] = _plugin(module, contract)
        return known[contract.name]


_looking = Lock()
_known: WeakKeyDictionary[ModuleType, dict[str, Plugin]] = WeakKeyDictionary()


def _plugin(module: ModuleType, contract: Contract) -> Plugin:
    holder = _holder(module, contract)
    functions = _functions(holder, contract)
    through_lib = getattr(holder, "only_through_lib", False) is True
    defaults = options_model(holder, module) or _default_options(holder, module)
    asynchronous = is_async(functions[contract.needed])
    waits = getattr(holder, "no_default_timeout", False) is True
    connections = _uses_connections(module)
    effect = _effect(holder, module)
    pure = getattr(holder, "pure", effect == "pure")
    together = None if asynchronous else _together(holder, contract)
    told = functions, defaults, asynchronous, through_lib, waits, connections, pure, together
    return Plugin(*told, effect, tuple(misspelt(holder, module)))


def misspelt(holder: object, module: ModuleType) -> list[str]:
    """Remarks on names that are nearly a declaration, have a value of one, and declare nothing."""
    classes = [vars(each) for each in type(holder).__mro__[:-1]]
    places = (vars(module), getattr(holder, "__dict__", {}), *classes)
    values = {str(name): value for place in places for name, value in list(place.items())}
    missing = [name for name in DECLARATIONS if name not in values]
    notes = []
    for name, value in values.items():
        near = get_close_matches(name.lower(), missing, n=1, cutoff=0.8)
        if near and _declares(near[0], value):
            notes.append(f"module: {name} = {value!r} declares nothing; did you mean {near[0]!r}?")
    return notes


def _declares(declaration: str, value: object) -> bool:
    if declaration == "effect":
        return type(value) is str and value.lower() in EFFECTS
    return value is True


def _effect(holder: object, module: ModuleType) -> Effect | None:
    """What the plugin declares as its `effect`; None if it does not.

    A function or a module of that name is something else.

    Raises:
        PluginFailedError: it is none of `EFFECTS`, or contradicts `pure`.
    """
    found = getattr(holder, "effect", getattr(module, "effect", None))
    if found is None or callable(found) or isinstance(found, ModuleType):
        return None
    for effect in EFFECTS:
        if isinstance(found, str) and found == effect:
            if effect == "once" and getattr(holder, "pure", False) is True:
                raise PluginFailedError('declares pure = True and effect = "once": leave one out')
            return effect
    known = ", ".join(f'"{effect}"' for effect in EFFECTS)
    raise PluginFailedError(f"effect is {_shortened(found)}; it may be {known}")


def _shortened(value: object) -> str:
    try:
        return storable_text(repr(value), 60)
    except StoppedEarlyError:
        raise
    except BaseException:  # noqa: BLE001 -- a plugin's object may raise anything
        return f"of the type {type(value).__name__}"


def _together(holder: object, contract: Contract) -> Function | None:
    """A storage's `save_together`; vcon-server has none, so one of another kind is ignored."""
    found: Any = getattr(holder, "save_together", None) if contract is STORAGE else None
    if found is None or not callable(found) or not is_async(found):
        return None
    return None if argument_problem("save_together", found, ("vcon_uuid", "opts")) else found


def is_pure(declared: object, options: object) -> bool:
    """Whether a plugin declares that a call with these options has no effect but on its vCon.

    `pure` is True, or a function that is given the options and returns True. Anything else, also
    a function that raises, declares nothing.
    """
    if not callable(declared):
        return declared is True
    try:
        return declared(options) is True
    except StoppedEarlyError:
        raise
    except BaseException:  # noqa: BLE001 -- a plugin may raise anything
        return False


def _uses_connections(module: ModuleType) -> bool:
    """Whether the module, or a submodule, has a name that comes from `lib.connections`."""
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
    except BaseException:  # noqa: BLE001 -- a lazy object of a library may raise anything
        return None


def is_async(function: Function) -> bool:
    """Whether calling it returns an awaitable: also an object with an async `__call__`."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        type(function).__call__
    )


def _default_options(holder: object, module: ModuleType) -> Mapping[str, Any]:
    defaults = getattr(holder, "default_options", getattr(module, "default_options", None))
    if not isinstance(defaults, Mapping | None):
        raise PluginFailedError("default_options is not a mapping")
    return defaults or {}


def _holder(module: ModuleType, contract: Contract) -> object:
    """The module itself, or an object of its only class that has the needed function."""
    if hasattr(module, contract.needed):
        return module
    classes = {each for each in vars(module).values() if _is_plugin_class(each, module, contract)}
    if len(classes) > 1:
        names = ", ".join(sorted(each.__name__ for each in classes))
        raise PluginFailedError(
            f"has several classes with {contract.needed}, only one may: {names}"
        )
    return _constructed(classes.pop()) if classes else module


def _is_plugin_class(value: Any, module: ModuleType, contract: Contract) -> bool:
    """Whether it is a class of this module, or of its package, that has the needed method."""
    return (
        inspect.isclass(value)
        and f"{value.__module__}.".startswith(f"{module.__name__}.")
        and not inspect.isabstract(value)
        and hasattr(value, contract.needed)
    )


def _constructed(plugin_class: type) -> object:
    try:
        return plugin_class()
    except StoppedEarlyError:
        raise
    except BaseException as error:
        raise PluginFailedError(
            f"{plugin_class.__name__}() cannot be constructed: {described(error)}"
        ) from error


def _functions(holder: object, contract: Contract) -> dict[str, Function]:
    """The functions of the contract that the plugin has, each checked."""
    offered = {name: getattr(holder, name, None) for name in contract.functions}
    found = {name: function for name, function in offered.items() if function is not None}
    problems = {
        name: problem
        for name, function in found.items()
        if (problem := argument_problem(name, function, contract.functions[name]))
    }
    if problems.pop("close", None):
        del found["close"]  # vcon-server has no `close`: a plugin's own may mean something else
    if messages := [*problems.values(), *_absent(found, contract)] or _mixed(found):
        raise PluginFailedError("; ".join(messages))
    return found


def _absent(found: Mapping[str, Function], contract: Contract) -> list[str]:
    call = _call(contract.needed, contract.functions[contract.needed])
    return [] if contract.needed in found else [f"has no {call}"]


def argument_problem(name: str, function: object, arguments: tuple[str, ...]) -> str | None:
    """Why a function cannot be called with the arguments of the contract, if it cannot."""
    if not callable(function):
        return f"{name} is not a function"
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C have no signature
        return None
    try:
        signature.bind(*arguments)
    except TypeError:
        # names only: the defaults in a signature may be secrets
        defined = _call(name, signature.parameters)
        return f"is defined as {defined}, but is called as {_call(name, arguments)}"
    if _is_generator(function) or _is_generator(type(function).__call__):
        return f"{name} is a generator, of which a call runs nothing: write it without `yield`"
    return None


def _is_generator(function: Function) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _call(name: str, arguments: Iterable[str]) -> str:
    return f"{name}({', '.join(arguments)})"


def _mixed(functions: Mapping[str, Function]) -> list[str]:
    """Problems of a plugin with async and sync functions: one flag says how all are called."""
    awaited = [name for name, function in functions.items() if is_async(function)]
    if len(awaited) in (0, len(functions)):
        return []
    others = [name for name in functions if name not in awaited]
    return [f"make all functions async or none: {', '.join(awaited)} is, {', '.join(others)} not"]
