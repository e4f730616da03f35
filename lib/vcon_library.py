"""The `vcon` library without what it does to a process that imports it.

It warns that a part of authlib is going to move, which an operator who reads the log cannot change.
It imports a package `logger`, which on import replaces the process's logging by plain lines on
standard output, with URLs and keys unredacted. The requirement files leave that package out
(requirements/excluded.in), so a module of the same name stands in for it; where a plugin's package
has brought it, it configures nothing. And the library's `Vcon` lacks what plugins written for
vcon-server call (`lib.vcon_additions`); that is added right after its first import.
"""

import contextlib
import logging
import logging.config
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lib import vcon_additions

if TYPE_CHECKING:
    from vcon import Vcon

LIBRARY = "vcon"
LOGGER = "logger"
_PREPARING = Lock()


class _Adding(Loader):
    """Runs the library as its own loader would, and adds to it what it lacks."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        _ignore_what_it_warns_of()  # again: pytest and others have put filters before ours since
        self._own.exec_module(module)
        _add(module)


class _Quiet(Loader):
    """Runs a module as its own loader would; the process's logging stays as it is."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with _logging_stays():
            self._own.exec_module(module)


class _StandIn(Loader):
    """Makes a `logger` with the functions that the library calls, which log as `vcon`."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        log = logging.getLogger(LIBRARY)
        module.__dict__.update({name: getattr(log, name) for name in _LEVELS})


_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
_WRAPPERS: dict[str, Callable[[Loader], Loader]] = {LIBRARY: _Adding, LOGGER: _Quiet}


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _WRAPPERS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _WRAPPERS[name](spec.loader)
        return spec if spec or name != LOGGER else ModuleSpec(LOGGER, _StandIn())


_FINDER = _Finder()


def _add(library: Any) -> None:
    vcon_additions.add_to(library.Vcon, import_module(f"{LIBRARY}.dialog").Dialog)


def prepare() -> None:
    """Make `import vcon` harmless, and its class fit for plugins; call it before any is loaded.

    It costs little: the library itself, which takes half a second, is not imported by this.
    """
    with _PREPARING:
        _prepare()


def _ignore_what_it_warns_of() -> None:
    with contextlib.suppress(ImportError):
        import_module("authlib.deprecate")  # puts a filter of its own before all others: be later
    moving = r"authlib\.jose module is deprecated"
    warnings.filterwarnings("ignore", moving, DeprecationWarning)


def _prepare() -> None:
    _ignore_what_it_warns_of()
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    if LIBRARY in sys.modules:
        _add(import_module(LIBRARY))  # which waits, if another thread is just importing it


@cache
def vcon_class() -> "type[Vcon]":
    """`vcon.Vcon`, imported when it is first wanted, be it by many threads at once."""
    prepare()
    found: type[Vcon] = import_module("vcon").Vcon
    return found


def open_vcon(document: dict[str, Any]) -> "Vcon":
    """A `vcon.Vcon` around a document of our own, which it keeps and changes.

    The constructor would copy it through JSON text and write its dates another way; that takes
    longer than everything else a quick link does, and the vCon would not come back as it was.
    """
    found = vcon_class()
    if not {"created_at", "attachments"} <= document.keys():
        return found(document)
    vcon: Vcon = object.__new__(found)
    vcon.property_handling = "default"
    vcon.vcon_dict = document
    return vcon


def document_of(vcon: "Vcon") -> dict[str, Any]:
    """What a `vcon.Vcon` holds, without the copy that `to_dict` makes."""
    held = getattr(vcon, "vcon_dict", None)
    return held if isinstance(held, dict) else vcon.to_dict()


@contextlib.contextmanager
def _logging_stays() -> Iterator[None]:
    """What is imported inside cannot configure logging from a file."""
    configure = logging.config.fileConfig
    logging.config.fileConfig = _ignored
    try:
        yield
    finally:
        logging.config.fileConfig = configure


def _ignored(*_: Any, **__: Any) -> None:
    """Takes any call."""
