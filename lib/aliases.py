"""Import aliases for plugins of vcon-server: `server.lib` and so on, and `redis_mgr`.

`redis_mgr` is a top-level module in vcon-server and here is in `lib`. An alias is the
same module object as the real name, not a second copy, so loggers, pools and classes exist once.
After a loader has run, the import system returns what is in `sys.modules`; the loader therefore
only puts the real module there.
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
        """None: the default module, which `exec_module` replaces."""

    def exec_module(self, module: ModuleType) -> None:
        """Replace the default module in `sys.modules` by the real one."""
        sys.modules[module.__name__] = import_module(_real_name(module.__name__))


class _Empty(Loader):
    """Makes the empty package `server`, the parent of the aliases."""

    def create_module(self, spec: ModuleSpec) -> None:
        """None: the default module."""

    def exec_module(self, module: ModuleType) -> None:
        """Does nothing."""


class _AliasFinder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == PREFIX:
            # An installed package named `server` is kept; the aliases are added to it.
            return PathFinder.find_spec(name, path) or ModuleSpec(name, _Empty(), is_package=True)
        if _is_alias(name) and find_spec(_real_name(name)) is not None:
            return ModuleSpec(name, _Alias())
        return None


_FINDER = _AliasFinder()


def install() -> None:
    """Make the `server.` names importable in this process; idempotent."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    for room in ROOMS:
        _search_below_server(room)


def _search_below_server(room: str) -> None:
    """Also find plugins in `server/storage` and so on, where vcon-server's guides put them."""
    path = import_module(room).__path__
    folders = (Path(each or ".", PREFIX, room) for each in sys.path)
    path.extend(str(each) for each in folders if each.is_dir() and str(each) not in path)


def _is_alias(name: str) -> bool:
    prefix, _, real_name = name.partition(".")
    return name == BESIDE or (prefix == PREFIX and real_name.partition(".")[0] in (*ROOMS, BESIDE))


def _real_name(name: str) -> str:
    return f"lib.{name}" if name == BESIDE else name.removeprefix(f"{PREFIX}.")
