"""The `vcon` library without what it does to a process that imports it.

It warns that a part of authlib is going to move, which nobody who reads our log can change. Worse,
it needs a package `logger`, which on import replaces the process's logging by plain lines on
standard output: URLs, keys and all that was meant to stay out of the log come with them.
"""

import contextlib
import logging.config
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vcon import Vcon


def prepare() -> None:
    """Make `import vcon` harmless in this process; call it before guests are loaded.

    It costs little: the library itself, which takes half a second, is not imported by this.
    """
    with contextlib.suppress(ImportError), _logging_stays():  # a later version may do without
        import_module("logger")
    with contextlib.suppress(ImportError):
        import_module("authlib.deprecate")  # puts a filter of its own before all others: be later
    moving = r"authlib\.jose module is deprecated"
    warnings.filterwarnings("ignore", moving, DeprecationWarning)


@cache
def vcon_class() -> "type[Vcon]":
    """`vcon.Vcon`, imported when it is first wanted."""
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
