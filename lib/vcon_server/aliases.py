"""Import aliases for plugins of vcon-server: `server.lib` and so on, `redis_mgr`, `config` ...

Some top-level modules of vcon-server are in `lib` here. An alias is the
same module object as the real name, not a second copy, so loggers, pools and classes exist once.
`config`, `settings` and the hooks are names that plugins may use for modules of their own: those
aliases hold only where the path has no such module.
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
OURS = {"redis_mgr": "lib.redis_mgr", "storage.base": "lib.vcon_server.storage_base"}
"""Aliases that hold although the path may have a module of that name."""
HOOKS = ("hook", "after_link_hook", "vcon_hook")
"""The modules that vcon-server's users replace by their own."""
UNLESS_THERE = {
    "config": "lib.vcon_server.config",
    "dlq_utils": "lib.vcon_server.dlq_utils",
    "settings": "lib.vcon_server.settings",
    **dict.fromkeys(HOOKS, "lib.vcon_server.default_hooks"),
}
"""Aliases that hold where nothing else has a module of that name."""
_CODE = ("*.py", "*.so", "*/*.py")
_BESIDE = OURS | UNLESS_THERE


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
        if name in UNLESS_THERE:
            found = PathFinder.find_spec(name, path)
            return ModuleSpec(name, _Alias()) if found and _has_no_code(found) else None
        if _is_alias(name) and find_spec(_real_name(name)) is not None:
            return ModuleSpec(name, _Alias())
        return None


class _LastFinder(MetaPathFinder):
    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, _Alias()) if name in UNLESS_THERE else None


_FINDER = _AliasFinder()
_LAST = _LastFinder()


def install() -> None:
    """Make the `server.` names importable in this process; idempotent."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
        sys.meta_path.append(_LAST)
    for room in ROOMS:
        _search_below_server(room)


def _search_below_server(room: str) -> None:
    """Also find plugins in `server/storage` and so on, where vcon-server's guides put them."""
    path = import_module(room).__path__
    folders = (Path(each or ".", PREFIX, room) for each in sys.path)
    path.extend(str(each) for each in folders if each.is_dir() and str(each) not in path)


def _has_no_code(spec: ModuleSpec) -> bool:
    """Whether it is only a folder of that name, such as one for config.yml: no package."""
    if spec.loader is not None:
        return False
    folders = [Path(each) for each in spec.submodule_search_locations or ()]
    return not any(next(each.glob(kind), None) for each in folders for kind in _CODE)


def _is_alias(name: str) -> bool:
    prefix, _, real_name = name.partition(".")
    known = real_name.partition(".")[0] in ROOMS or real_name in _BESIDE
    return name in OURS or (prefix == PREFIX and known)


def _real_name(name: str) -> str:
    name = name.removeprefix(f"{PREFIX}.")
    return _BESIDE.get(name, name)
