"""Finds the actions and events of a package, by importing its modules."""

import importlib
import inspect
import json
import logging
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, override

from core.action_runner import ActionRunner
from core.errors import ConfigurationError

log = logging.getLogger(__name__)


class ActionRegistry(Mapping[str, type[ActionRunner]]):
    """`ActionRunner` classes by discriminator."""

    def __init__(self, classes: Iterable[type[ActionRunner]] = ()) -> None:
        """Register these classes.

        Raises:
            ConfigurationError: two of them have the same discriminator.
        """
        found: dict[str, type[ActionRunner]] = {}
        for cls in classes:
            name = cls.discriminator()
            if found.setdefault(name, cls) is not cls:
                msg = f"two classes are called {name}: {_where(found[name])} and {_where(cls)}"
                raise ConfigurationError(msg)
        self._classes = found

    @classmethod
    def discover(cls, package: str) -> "ActionRegistry":
        """Import all modules of a package and register the `ActionRunner` classes defined there.

        Raises:
            ConfigurationError: modules cannot be imported (it lists each), or names collide.
        """
        root = importlib.import_module(package)
        names = sorted(info.name for info in pkgutil.iter_modules(root.__path__))
        modules = _import_all(f"{package}.{name}" for name in names)
        return cls(runner for module in modules for runner in _runners(module))

    def select(self, names: Iterable[str]) -> "ActionRegistry":
        """A registry of only these names.

        Raises:
            ConfigurationError: names do not exist; it lists them and the known ones.
        """
        names = tuple(names)
        if unknown := [name for name in names if name not in self._classes]:
            known = ", ".join(sorted(self._classes))
            msg = f"ACTIONS: no action named {', '.join(unknown)}; there are: {known}"
            raise ConfigurationError(msg)
        return ActionRegistry(self._classes[name] for name in names)

    def to_dict(self) -> dict[str, Any]:
        """The published form: description and fields of each action, by name."""
        return {
            name: description
            for cls in self._classes.values()
            for name, description in cls.to_dict().items()
        }

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    @override
    def __getitem__(self, name: str) -> type[ActionRunner]:
        return self._classes[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    @override
    def __len__(self) -> int:
        return len(self._classes)


def _import_all(names: Iterable[str]) -> list[ModuleType]:
    modules, problems = [], []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except Exception as error:  # noqa: BLE001 -- a plugin's module may raise anything
            problems.append(f"{name} cannot be imported: {type(error).__name__}: {error}")
    if problems:
        raise ConfigurationError(problems)
    return modules


def _runners(module: ModuleType) -> Iterator[type[ActionRunner]]:
    for _, candidate in inspect.getmembers(module, inspect.isclass):
        if issubclass(candidate, ActionRunner) and candidate.__module__ == module.__name__:
            if missing := _missing(candidate):
                error = f"{_where(candidate)} does not define {', '.join(missing)}"
                log.warning("action left out", extra={"error": error})
            else:
                yield candidate


def _missing(cls: type[ActionRunner]) -> list[str]:
    """The names of the methods to add; `description` where the class has no docstring either."""
    described = "description" in vars(cls) or cls.description()
    return sorted([*cls.__abstractmethods__, *([] if described else ["description"])])


def _where(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
