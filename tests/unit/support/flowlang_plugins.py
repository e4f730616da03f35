"""A small plugin that notes what is done with it, and a registry that knows it alone."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import flowlang.connections
from flowlang.connections import ConnectionPlugin, ConnectionPluginRegistry, plugin_registry
from flowlang.language.flow import Flow
from flowlang.running import Surroundings, run_flow


class Lent:
    """What tasks are lent; it is false, as some drivers' connections are."""

    def __bool__(self) -> bool:
        return False


class GoneError(Exception):
    """A client's own way to say that there is no connection."""


class Parcel(ConnectionPlugin):
    """Keeps parcels by number, and a log of all its objects' doings."""

    name = "parcel"
    description = "Parcels by number"
    log: ClassVar[list[str]] = []
    """`open depot`, `lend`, `take back`, `close depot`, in the order they happened."""
    opened: ClassVar[list["Parcel"]] = []
    waiting: ClassVar[asyncio.Event]
    """Set when the task `parcel_wait` has begun."""
    hanging: ClassVar[str] = ""
    """What waits for `go_on`: open, lend, take back or close."""
    hangs: ClassVar[asyncio.Event]
    """Set when something waits."""
    go_on: ClassVar[asyncio.Event]
    sick: ClassVar[str] = ""
    """What a check says."""

    def __init__(self) -> None:
        super().__init__()
        self.parcels: dict[str, Any] = {}

    def get_config_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["depot"],
            "additionalProperties": False,
            "properties": {
                "depot": {"type": "string"},
                "size": {"type": "integer", "minimum": 1},
                "ratio": {"type": ["number", "null"]},
                "cold": {"type": "boolean"},
                "labels": {"type": "array", "items": {"type": "string"}},
                "nested": {"type": "object", "properties": {"deep": {"type": "integer"}}},
                "code": {"type": "string", "writeOnly": True, "minLength": 6},
                "api_key": {"type": "string", "maxLength": 40},
                "url": {"type": "string"},
            },
        }

    def validate_config(self, config: dict[str, Any]) -> tuple[bool, str | None]:
        if config.get("depot") == "crash":
            raise KeyError("depot")
        return config.get("depot") != "closed", "the depot is closed"

    async def connect(self, config: dict[str, Any]) -> Any:
        self._config = config
        await self._note(f"open {config['depot']}", "open")
        if config["depot"] == "burnt":
            raise OSError(f"no way to {config.get('url')} with {config.get('api_key')}")
        self.opened.append(self)

    async def disconnect(self) -> None:
        await self._note(f"close {(self._config or {}).get('depot')}", "close")

    async def get_connection(self) -> Any:
        await self._note("lend", "lend")
        return Lent()

    async def release_connection(self, connection: Any) -> None:
        assert isinstance(connection, Lent)
        await self._note("take back", "take back")

    async def _note(self, what: str, doing: str) -> None:
        self.log.append(what)
        if self.hanging == doing:
            self.hangs.set()
            await self.go_on.wait()
            self.log.append(f"{doing}: through")

    async def check_connection(self, connection: Any) -> None:
        assert isinstance(connection, Lent)
        self.log.append("check")
        if self.sick:
            raise GoneError(self.sick)

    def get_builtin_tasks(self) -> dict[str, Callable[..., Any]]:
        return {
            "parcel_put": self._put,
            "parcel_get": self._get,
            "parcel_fail": self._fail,
            "parcel_where": self._where,
            "parcel_echo": self._echo,
            "parcel_wait": self._wait,
        }

    async def _put(self, number: str, content: Any, connection: Any = None) -> dict[str, Any]:
        assert isinstance(connection, Lent)
        self.parcels[number] = content
        return {"number": number, "count": len(self.parcels)}

    async def _get(self, number: str, connection: Any = None) -> dict[str, Any]:
        return {"content": self.parcels[number], "rows": [{"n": number}]}

    async def _fail(self, message: str, times: int = 1000, connection: Any = None) -> Any:
        self.parcels["failures"] = self.parcels.get("failures", 0) + 1
        if self.parcels["failures"] <= times:
            raise RuntimeError(message)
        return {"after": self.parcels["failures"]}

    async def _where(self, connection: Any = None) -> dict[str, Any]:
        assert self._config is not None
        return {"depot": self._config["depot"]}

    def _echo(self, value: Any = None) -> dict[str, Any]:
        return {"value": value}

    async def _wait(self, connection: Any = None) -> None:
        self.waiting.set()
        await asyncio.Event().wait()


def parcels(folder: Path) -> ConnectionPluginRegistry:
    """A registry that knows parcels and nothing else; the plugin's log is empty."""
    Parcel.log.clear()
    Parcel.opened.clear()
    Parcel.hanging = Parcel.sick = ""
    Parcel.hangs, Parcel.go_on = asyncio.Event(), asyncio.Event()
    Parcel.waiting = asyncio.Event()
    registry = ConnectionPluginRegistry("nothing", [str(folder)])
    registry.register(Parcel())
    return registry


HEAD = """flow: Test
connections:
  depot: {type: parcel, depot: north, api_key: sk_verysecret, code: code-77}
"""

type Run = Callable[..., Any]


def runner(registry: ConnectionPluginRegistry, folder: Path) -> Run:
    """Runs steps, given as YAML, with the connection `depot`; own tasks by name."""

    async def ran(
        text: str, inputs: Mapping[str, Any] | None = None, head: str = HEAD, **tasks: Any
    ) -> dict[str, Any]:
        around = Surroundings(registry=registry, tasks=tasks)
        return await run_flow(Flow.parse(head + text, folder), inputs, around)

    return ran


@contextmanager
def forgotten(*names: str) -> Iterator[None]:
    """What the real registry learns of plugins in folders is gone at the end."""
    path = list(flowlang.connections.__path__)
    plugin_registry.discover_plugins()
    try:
        yield
    finally:
        flowlang.connections.__path__[:] = path
        plugin_registry._problems.clear()
        for name in names:
            plugin_registry._plugins.pop(name, None)
            home = f"{flowlang.connections.__name__}.{name}"
            for module in [each for each in sys.modules if f"{each}.".startswith(f"{home}.")]:
                del sys.modules[module]
