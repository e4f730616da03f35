"""`server.lib`, `server.links`, `server.storage` and `server.tracers`: older plugins say it so.

And `redis_mgr`, which in vcon-server stands beside `lib` and is in it here. Each is the very module
that is found under its real name, not a second copy of it: there is one logger, one pool, one
class, whichever way it was imported. The import system takes what stands in `sys.modules` after a
loader has run for the module, so the loader only has to put it there; the module never learns of
its other name.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

PREFIX = "server"
ROOMS = ("lib", "links", "storage", "tracers")
BESIDE = "redis_mgr"


class _Alias(Loader):
    """Makes `server.X` the module `X`."""

    def create_module(self, spec: ModuleSpec) -> None:
        """A throw-away module, as usual: `exec_module` replaces it."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the real module in the place of the throw-away one."""
        sys.modules[module.__name__] = import_module(_real_name(module.__name__))


class _Empty(Loader):
    """Makes the package `server`, in which there is nothing but aliases."""

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


class _AliasFinder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == PREFIX:
            # Somebody's own package of that name is left alone, and gets the aliases beside it.
            return PathFinder.find_spec(name, path) or ModuleSpec(name, _Empty(), is_package=True)
        if _is_alias(name) and find_spec(_real_name(name)) is not None:
            return ModuleSpec(name, _Alias())
        return None


_FINDER = _AliasFinder()


def install() -> None:
    """Make the `server.` names importable in this process; doing it again changes nothing."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    for room in ROOMS:
        _look_below_server(room)


def _look_below_server(room: str) -> None:
    """Find plugins also in `server/storage` and the like, where vcon-server's guides put them."""
    path = import_module(room).__path__
    folders = (Path(each or ".", PREFIX, room) for each in sys.path)
    path.extend(str(each) for each in folders if each.is_dir() and str(each) not in path)


def _is_alias(name: str) -> bool:
    prefix, _, real_name = name.partition(".")
    return name == BESIDE or (prefix == PREFIX and real_name.partition(".")[0] in (*ROOMS, BESIDE))


def _real_name(name: str) -> str:
    return f"lib.{name}" if name == BESIDE else name.removeprefix(f"{PREFIX}.")
