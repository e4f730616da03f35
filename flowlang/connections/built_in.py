"""The base of the built-in plugins: tasks with named failures, and generated files."""

import functools
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, ClassVar

from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.bounds import BOUNDS, MOST_BYTES, MOST_ROWS, Kept
from flowlang.connections.connection import message_of
from flowlang.exceptions import FlowExecutionError

type Outputs = Coroutine[Any, Any, dict[str, Any]]


def task[**P](operation: Callable[P, Outputs]) -> Callable[P, Outputs]:
    """Make a method `_name` the task `prefix_name`; its exceptions become FlowExecutionError."""
    doing = operation.__name__.strip("_").replace("_", " ")

    @functools.wraps(operation)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        try:
            return await operation(*args, **kwargs)
        except Exception as error:
            plugin: Any = args[0]
            raise FlowExecutionError(
                f"{plugin.product} {doing} failed: {message_of(error)}"
            ) from error

    vars(wrapped)[_MARK] = True
    return wrapped


_MARK = "is_task"


class BuiltInPlugin(ConnectionPlugin):
    """A plugin that is mostly declared by class attributes."""

    product: ClassVar[str]
    """The service's own name, for messages."""
    prefix: ClassVar[str]
    """What the names of its tasks begin with: `pg` for `pg_query`."""
    required: ClassVar[tuple[str, ...]]
    properties: ClassVar[Mapping[str, Mapping[str, Any]]]
    """The JSON schema of each field of a connection's configuration."""
    dependencies: ClassVar[tuple[str, ...]] = ()
    schemes: ClassVar[tuple[str, ...]] = ()
    """What the field `url`, if there is one, begins with."""
    scaffold: ClassVar[Mapping[str, Any]]
    """A configuration to begin with."""
    scaffold_name: ClassVar[str] = "db"

    _bounds: tuple[int, int] = (MOST_ROWS, MOST_BYTES)
    _methods: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Collect the methods that are tasks, in their order in the class."""
        own = (name for name, each in vars(cls).items() if _MARK in getattr(each, "__dict__", ()))
        cls._methods = (*cls._methods, *own)

    def get_builtin_tasks(self) -> dict[str, Callable[..., Any]]:
        """Every method that is a task."""
        return {f"{self.prefix}{name}": getattr(self, name) for name in self._methods}

    def get_config_schema(self) -> dict[str, Any]:
        """Every field with its type, limits and default; no other is accepted."""
        return {
            "type": "object",
            "required": list(self.required),
            "additionalProperties": False,
            "properties": {name: dict(each) for name, each in self._fields().items()},
        }

    def validate_config(self, config: dict[str, Any]) -> tuple[bool, str | None]:
        """Whether the URL is one of this service."""
        if self.schemes and not str(config.get("url", "")).startswith(self.schemes):
            return False, f"url must start with {' or '.join(self.schemes)}"
        return True, None

    def get_dependencies(self) -> list[str]:
        """The driver."""
        return list(self.dependencies)

    def setting(self, config: Mapping[str, Any], name: str) -> Any:
        """A field of the configuration, or its default."""
        return config.get(name, self._fields()[name].get("default"))

    @classmethod
    def _fields(cls) -> Mapping[str, Mapping[str, Any]]:
        return {**cls.properties, **BOUNDS}

    def bound(self, config: Mapping[str, Any]) -> None:
        """Store the limits of results."""
        self._bounds = (self.setting(config, "max_rows"), self.setting(config, "max_bytes"))

    def kept[Row](self, _kind: type[Row]) -> Kept[Row]:
        """Where the rows of one result are kept."""
        return Kept[Row](*self._bounds)

    def scaffold_connection_config(self, name: str | None = None, **kwargs: Any) -> str:
        """A connection as it stands in YAML, secrets left to the environment."""
        fields = {"type": self.name, **self.scaffold, **kwargs}
        lines = (f"    {key}: {value}\n" for key, value in fields.items())
        return f"\n  {name or self.scaffold_name}:\n{''.join(lines)}"

    def scaffold_example_flow(
        self, output_dir: str, connection_name: str | None = None, **kwargs: Any
    ) -> None:
        """Write `<plugin>_example.yaml`, which runs as it is."""
        name = connection_name or self.scaffold_name
        home = Path(str(sys.modules[type(self).__module__].__file__)).parent
        text = (home / "example.yaml").read_text(encoding="utf-8")
        configuration = self.scaffold_connection_config(name, **kwargs).strip("\n")
        text = text.replace("@configuration@", configuration).replace("@connection@", name)
        generate(Path(output_dir) / f"{self.name}_example.yaml", text)


def generate(path: Path, text: str) -> None:
    """Write a file, and print where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"Generated: {path}")  # noqa: T201 - output of the command line
