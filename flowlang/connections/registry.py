"""The registry of connection plugins, and their discovery."""

import copy
import importlib
import logging
import pkgutil
import sys
from collections.abc import Iterable, Iterator, MutableSequence
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.installed import installed, load, source
from flowlang.environment import plugin_folders
from flowlang.exceptions import PluginNotFoundError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """A plugin that could not be loaded: its place and its error."""

    source: str
    error: str

    def __str__(self) -> str:
        return f"{self.source}: {self.error}"


class ConnectionPluginRegistry:
    """The plugins by name: built-in ones, those in plugin folders, and installed ones.

    They are discovered at first use. A plugin that cannot be loaded is reported and does not hide
    the others.
    """

    def __init__(self, package: str, path: MutableSequence[str]) -> None:
        """Look for built-in plugins in the first folder of a package's `__path__`.

        Plugin folders are appended to that path, so the plugins in them are modules of the package,
        and may import `..base` and `...exceptions`.
        """
        self._package = package
        self._path = path
        self._built_in = {name for _, name in _packages([path[0]])}
        self._plugins: dict[str, ConnectionPlugin] = {}
        self._problems: dict[str, Problem] = {}
        self._registered = 0
        self._done = False
        self._lock = RLock()

    def register(self, plugin: ConnectionPlugin) -> None:
        """Add a plugin; registering another object of the same class changes nothing.

        Raises TypeError for what is no plugin, ValueError for a name that is taken or missing.
        """
        if not isinstance(plugin, ConnectionPlugin):
            raise TypeError(f"{plugin!r} is no ConnectionPlugin object")
        if plugin.name == ConnectionPlugin.name or not plugin.name:
            raise ValueError(f"{type(plugin).__qualname__} has no name of its own")
        home = f"{self._package}.{plugin.name}"
        module = type(plugin).__module__
        if plugin.name in self._built_in and not f"{module}.".startswith(f"{home}."):
            raise ValueError(f"'{plugin.name}' is built in, and {module} may not replace it")
        self._registered += 1
        known = self._plugins.setdefault(plugin.name, plugin)
        if type(known) is not type(plugin):
            raise ValueError(f"'{plugin.name}' is provided by {type(known).__module__} already")

    def add_folder(self, folder: str | Path) -> None:
        """Look also in this folder, whose folders are plugins."""
        with self._lock:
            if str(folder) not in self._path:
                self._path.append(str(folder))
                self._done = False

    def discover_plugins(self) -> None:
        """Load the plugins of all folders and entry points, once."""
        with self._lock:
            if self._done:
                return
            self._done = True
            for folder in plugin_folders():
                self.add_folder(folder)
            self._done = True
            self._load_packages()
            self._load_entry_points()

    def _load_packages(self) -> None:
        seen: dict[str, str] = {}
        for folder, name in _packages(self._path):
            place = str(Path(folder) / name)
            if name in seen:
                self._report(place, ValueError(f"{seen[name]} has the same name and is used"))
                continue
            seen[name] = place
            try:
                self._load_package(name, place)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
                self._report(place, error)
        self._look_for_missing_folders()

    def _load_package(self, name: str, place: str) -> None:
        module, registered = f"{self._package}.{name}", self._registered
        is_new = module not in sys.modules
        found = importlib.import_module(module).__file__
        if Path(found or "").parent.resolve() != Path(place).resolve():
            raise ImportError(f"{module} is {found}; give the folder another name")
        if is_new and self._registered == registered:
            raise ValueError("registers no plugin: plugin_registry.register(MyPlugin())")

    def _look_for_missing_folders(self) -> None:
        for folder in self._path[1:]:
            if not Path(folder).is_dir():
                self._report(folder, FileNotFoundError("there is no such plugin folder"))

    def _load_entry_points(self) -> None:
        for entry in installed():
            try:
                self.register(load(entry, self._package)())
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
                self._report(source(entry), error)

    def _report(self, source: str, error: BaseException) -> None:
        problem = Problem(source, f"{type(error).__name__}: {error}")
        if self._problems.get(source) != problem:
            self._problems[source] = problem
            logger.warning("Connection plugin not loaded: %s", problem)

    def get(self, name: str) -> ConnectionPlugin | None:
        """The registered object of this name; to connect, take a new one."""
        self.discover_plugins()
        return self._plugins.get(name)

    def require(self, name: str) -> ConnectionPlugin:
        """The registered object of this name. Raises PluginNotFoundError."""
        plugin = self.get(name)
        if plugin is None:
            raise PluginNotFoundError(name, self.list_plugins())
        return plugin

    def new(self, name: str) -> ConnectionPlugin:
        """A new object of the plugin, for one connection. Raises PluginNotFoundError."""
        plugin = self.require(name)
        try:
            return type(plugin)()
        except TypeError:  # its class takes arguments
            return copy.copy(plugin)

    def list_plugins(self) -> list[str]:
        """The names of all plugins, sorted."""
        self.discover_plugins()
        return sorted(self._plugins)

    def get_all(self) -> dict[str, ConnectionPlugin]:
        """All plugins by name, sorted."""
        return {name: self._plugins[name] for name in self.list_plugins()}

    @property
    def problems(self) -> list[Problem]:
        """The plugins that could not be loaded."""
        self.discover_plugins()
        return list(self._problems.values())


def _packages(path: Iterable[str]) -> Iterator[tuple[str, str]]:
    for folder in path:
        for found in pkgutil.iter_modules([folder]):
            if found.ispkg and not found.name.startswith("_"):
                yield folder, found.name
