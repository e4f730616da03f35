"""The `vcon` library without what it does to a process that imports it.

It warns that a part of authlib is going to move, which nobody who reads our log can change. Worse,
it needs a package `logger`, which on import replaces the process's logging by plain lines on
standard output: URLs, keys and all that was meant to stay out of the log come with them. And its
`Vcon` lacks what guests written for vcon-server call (`lib.vcon_additions`); that is added right
after whoever imports it first has done so.
"""

import contextlib
import logging.config
import sys
import warnings
from collections.abc import Iterator, Sequence
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
_PREPARING = Lock()


class _Adding(Loader):
    """Runs the library as its own loader would, and adds to it what it lacks."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._own.exec_module(module)
        _add(module)


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == LIBRARY else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Adding(spec.loader)
        return spec


_FINDER = _Finder()


def _add(library: Any) -> None:
    vcon_additions.add_to(library.Vcon, import_module(f"{LIBRARY}.dialog").Dialog)


def prepare() -> None:
    """Make `import vcon` harmless, and its class fit for guests; call it before any is loaded.

    It costs little: the library itself, which takes half a second, is not imported by this.
    """
    with _PREPARING:
        _prepare()


def _prepare() -> None:
    with contextlib.suppress(ImportError), _logging_stays():  # a later version may do without
        import_module("logger")
    with contextlib.suppress(ImportError):
        import_module("authlib.deprecate")  # puts a filter of its own before all others: be later
    moving = r"authlib\.jose module is deprecated"
    warnings.filterwarnings("ignore", moving, DeprecationWarning)
    if LIBRARY in sys.modules:
        _add(import_module(LIBRARY))  # which waits, if another thread is just importing it
    elif _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


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
    """Whatever is imported inside configures nothing."""
    configure = logging.config.fileConfig
    logging.config.fileConfig = _ignored
    try:
        yield
    finally:
        logging.config.fileConfig = configure


def _ignored(*_: Any, **__: Any) -> None:
    """Takes any call."""
