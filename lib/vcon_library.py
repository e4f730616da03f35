"""Imports the `vcon` library without its side effects on the process.

It raises a deprecation warning about authlib, on which an operator cannot act; the warning is
ignored. It imports a package `logger`, which on import replaces the process's logging by plain
lines on standard output, with URLs and keys unredacted. The requirement files exclude that package
(requirements/excluded.in), and a substitute module of the same name is provided here; if a plugin
has installed the package, its logging configuration is suppressed. The methods that plugins for
vcon-server call (`lib.vcon.additions`) are added to `Vcon` right after the first import.
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

if TYPE_CHECKING:
    from vcon import Vcon

LIBRARY = "vcon"
LOGGER = "logger"
_PREPARING = Lock()


class _Adding(Loader):
    """Runs the library with its own loader, then patches it."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        _ignore_its_warning()  # again: pytest and others may have added filters before ours
        self._own.exec_module(module)
        _patch(module)


class _Quiet(Loader):
    """Runs a module with its own loader, without its changes to the process's logging."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with _logging_unchanged():
            self._own.exec_module(module)


class _StandIn(Loader):
    """Makes a substitute `logger` with the functions that the library calls; they log as `vcon`."""

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


def _patch(library: Any) -> None:
    from lib.vcon import additions  # noqa: PLC0415 -- it needs the dependencies of `vcon`

    additions.add_to(library.Vcon, import_module(f"{LIBRARY}.dialog").Dialog)


def prepare() -> None:
    """Install the import hooks for `vcon`; call it before plugins are loaded.

    It does not import the library, which takes half a second.
    """
    with _PREPARING:
        _prepare()


def _ignore_its_warning() -> None:
    with contextlib.suppress(ImportError):
        import_module("authlib.deprecate")  # adds its own filter on import; ours must come later
    moving = r"authlib\.jose module is deprecated"
    warnings.filterwarnings("ignore", moving, DeprecationWarning)


def _prepare() -> None:
    _ignore_its_warning()
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    if LIBRARY in sys.modules:
        _patch(import_module(LIBRARY))  # waits for another thread that is importing it


@cache
def vcon_class() -> "type[Vcon]":
    """`vcon.Vcon`, imported at the first call; safe for several threads."""
    prepare()
    found: type[Vcon] = import_module("vcon").Vcon
    return found


def open_vcon(document: dict[str, Any]) -> "Vcon":
    """A `vcon.Vcon` that uses the document itself, without a copy.

    The constructor copies the document through JSON text and reformats its dates, which takes
    longer than the rest of a fast link and changes the vCon.
    """
    found = vcon_class()
    if not {"created_at", "attachments"} <= document.keys():
        return found(document)
    vcon: Vcon = object.__new__(found)
    vcon.property_handling = "default"
    vcon.vcon_dict = document
    return vcon


def document_of(vcon: "Vcon") -> dict[str, Any]:
    """The document of a `vcon.Vcon`, without the copy that `to_dict` makes."""
    held = getattr(vcon, "vcon_dict", None)
    return held if isinstance(held, dict) else vcon.to_dict()


@contextlib.contextmanager
def _logging_unchanged() -> Iterator[None]:
    """Disable `logging.config.fileConfig` during an import."""
    configure = logging.config.fileConfig
    logging.config.fileConfig = _ignored
    try:
        yield
    finally:
        logging.config.fileConfig = configure


def _ignored(*_: Any, **__: Any) -> None:
    """Does nothing, for any arguments."""
