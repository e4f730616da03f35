"""The base class of connection plugins, one class per kind of service."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from flowlang.connections.dependencies import missing


class ConnectionPlugin(ABC):
    """Opens connections of one type, and provides the tasks that use them.

    The class is called without arguments. Each configured connection has an object of its own, so
    an object may store its client or pool.
    """

    name: ClassVar[str] = "base"
    """The `type` of the connections that this plugin opens; its tasks' names begin with it."""
    description: ClassVar[str] = ""
    version: ClassVar[str] = "1.0.0"
    category: ClassVar[str] = "other"
    """A word to group plugins by: database, caching, messaging, data_services, api, other."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._config: dict[str, Any] | None = None

    @abstractmethod
    def get_config_schema(self) -> dict[str, Any]:
        """The JSON schema of a connection's configuration, without its `type`.

        A property with `format: password` or `writeOnly: true` is a secret: no message shows it.
        """

    def validate_config(self, config: dict[str, Any]) -> tuple[bool, str | None]:
        """Whether a configuration can be used, and if not, what is wrong with it.

        Called before `connect`, and before the configuration is validated by the schema. The
        configuration includes `type`, and every `${env.NAME}` is replaced.
        """
        return True, None

    @abstractmethod
    async def connect(self, config: dict[str, Any]) -> Any:
        """Open the connection; called once for each object.

        `config` includes `type`; fields with a default may be missing from it. May raise any
        exception, and `disconnect` is called in that case too.
        """

    @abstractmethod
    async def disconnect(self) -> None:
        """Close the connection and release all resources, also after a failed `connect`."""

    @abstractmethod
    async def get_connection(self) -> Any:
        """The argument `connection` of a task: one of a pool, or the only one."""

    async def release_connection(self, connection: Any) -> None:
        """Return a result of `get_connection`, whether the task succeeded or not."""
        return

    async def check_connection(self, connection: Any) -> None:
        """Send the service a cheap request; raise if the connection is lost.

        `connection` comes from `get_connection`. Called every 30 s for connections that are kept,
        and after a task failed with an error of its client library. Without an override, a
        connection counts as open as long as `get_connection` succeeds.
        """
        return

    def get_builtin_tasks(self) -> dict[str, Callable[..., Any]]:
        """The tasks by name: functions that return a dict of outputs, async or not.

        A parameter named `connection` is filled in; the others are the step's.
        """
        return {}

    def get_dependencies(self) -> list[str]:
        """The packages needed to connect, as pip requirements: `["myservice-client>=1.0.0"]`."""
        return []

    def check_dependencies(self) -> tuple[bool, list[str]]:
        """Whether all of `get_dependencies` are installed, and those that are not."""
        lacking = missing(self.get_dependencies())
        return not lacking, lacking

    def scaffold_connection_config(self, name: str = "conn", **kwargs: Any) -> str:
        """A connection as it stands in YAML under `connections:`, two blanks in."""
        return f"\n  {name}:\n    type: {self.name}\n"

    def scaffold_task_helpers(
        self, output_dir: str, connection_name: str = "conn", **kwargs: Any
    ) -> None:
        """Write a Python file of helper functions into a folder, and print its path."""
        return

    def scaffold_example_flow(
        self, output_dir: str, connection_name: str = "conn", **kwargs: Any
    ) -> None:
        """Write an example flow into a folder, and print its path."""
        return

    def get_info(self) -> dict[str, Any]:
        """A description of the plugin, made without connecting."""
        installed, lacking = self.check_dependencies()
        return {
            "name": self.name,
            "description": self.description,
            "version": self.version,
            "category": self.category,
            "dependencies": list(self.get_dependencies()),
            "dependencies_installed": installed,
            "missing_dependencies": lacking,
            "builtin_tasks": sorted(self.get_builtin_tasks()),
            "config_schema": self.get_config_schema(),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, version={self.version!r})"
