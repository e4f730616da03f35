"""Runs one plugin as a worker does, in the subject process."""

import contextlib
import hashlib
import inspect
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from core.errors import ConfigurationError, PluginFailedError
from devstack.conformance.cases import SECTIONS, Case
from devstack.conformance.watching import frames_of, trim_output
from lib.web import http_client
from pipeline.config.parser import parse
from pipeline.connections import registry
from pipeline.plugins.contract import LINK, STORAGE, TRACER, Contract, plugin_in
from pipeline.plugins.loader import Loaded, LoadedLink, LoadedStorage, LoadedTracer, load
from pipeline.redis_client import client, keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.calls import PluginCalls
from pipeline.runs.effects.keys import DIGITS, version
from pipeline.runs.plan import Progress, after_link

type Document = dict[str, Any]

NAME = "under_test"
"""The plugin's name in the configuration with which it is loaded."""
CONTRACTS: Mapping[str, Contract] = {"link": LINK, "storage": STORAGE, "tracer": TRACER}
ACCIDENTS = (TypeError, AttributeError, NameError, KeyError, IndexError, AssertionError)
"""Errors by which a plugin shows that its author did not think of the case."""

MOST_OF_ERROR = 100_000
"""Characters of an error that are looked at."""
MOST_PRINTED = 5_000_000
"""Bytes that are kept of what the plugin prints."""
MOST_LOGGED = 5_000_000
"""Characters of the log of one call that are looked at."""


@dataclass(slots=True)
class Facts:
    """What is known of a loaded plugin.

    `options`: the JSON schema of each option; empty without a model. `secrets`: the names of the
    options whose values are secret. `line`: that of its main function. `paths`: texts of its
    options that may be files or folders, absolute.
    """

    kind: str
    functions: list[str]
    is_async: bool
    file: str
    line: int
    folder: str
    options: dict[str, Any] = field(default_factory=dict)
    has_model: bool = False
    required: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    effect: str | None = None


@dataclass(slots=True)
class Ran:
    """One call: what it returned or raised, and the vCon afterwards as it is in Redis.

    `frames`: file and line of the error's frames. `late`: it ran longer than it was given.
    `log_places`: file, line and text of each line of the log.
    """

    returned: str = ""
    goes_on: bool = False
    error: str = ""
    accident: bool = False
    late: bool = False
    frames: list[tuple[str, int]] = field(default_factory=list)
    vcon: Document | None = None
    saved: Document | None = None
    log: str = ""
    log_places: list[tuple[str, int, str]] = field(default_factory=list)

    def as_plain(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


class KeptLog(logging.Handler):
    """Keeps the texts of all lines, with their fields, unredacted."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.lines: list[str] = []
        self.places: list[tuple[str, int, str]] = []
        self._plain = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        extra = {name: each for name, each in vars(record).items() if name not in self._plain}
        with contextlib.suppress(Exception):  # a line that cannot be formatted
            self.lines.append(f"{self.format(record)} {extra or ''}")
            self.places.append((record.pathname, record.lineno, self.lines[-1]))

    def take(self) -> str:
        """The lines since the last call."""
        text = "\n".join(self.lines)[:MOST_LOGGED]
        self.lines.clear()
        self.places = []
        return text


class Host:
    """Loads the plugin, calls it, closes it."""

    def __init__(self, case: Case, redis_url: str) -> None:
        self.case, self._url = case, redis_url
        self.log = KeptLog()
        self.redis: RedisConnection
        self._version = ""
        vars(import_module("lib.effects"))["key_of_step"] = self._key
        self._calls: PluginCalls
        self._loaded: Loaded

    def _key(self, *parts: object) -> str:
        """The effect key outside of a run: the same for a repetition on the same vCon."""
        words = json.dumps([self._version, *map(str, parts)])
        return hashlib.sha256(words.encode()).hexdigest()[:DIGITS]

    async def open(self) -> None:
        """Connect to Redis; made again in a process that was forked."""
        self.redis = RedisConnection(self._url)
        client.install(self.redis)
        self._calls = PluginCalls(1, client.installed())

    def load(self) -> Facts:
        """Load the plugin as a chain does.

        Raises:
            ConfigurationError: it breaks its contract, or refuses its options.
        """
        self._loaded = self.reloaded(self.case.options)
        return self._facts(sys.modules[self.case.module])

    def reloaded(self, options: Mapping[str, Any]) -> Loaded:
        """The plugin with other options."""
        section = SECTIONS[self.case.kind]
        chain: dict[str, list[str]] = {"links": [], "storages": [], "tracers": [], section: [NAME]}
        plugin = {NAME: {"module": self.case.module, "options": dict(options)}}
        raw: dict[str, Any] = {section: plugin, "chains": {"main": chain}}
        raw |= {"connections": dict(self.case.connections)} if self.case.connections else {}
        raw |= {"flows": dict(self.case.flows)} if self.case.flows else {}
        config = parse(raw, {})
        plugins = load(config)
        registry.install(config)
        found: Loaded = next(iter(getattr(plugins, section).values()))
        return found

    def _facts(self, module: ModuleType) -> Facts:
        contract = CONTRACTS[self.case.kind]
        plugin = plugin_in(module, contract)
        file = inspect.getsourcefile(module) or ""
        code = getattr(inspect.unwrap(plugin.functions[contract.needed]), "__code__", None)
        facts = Facts(
            kind=self.case.kind,
            functions=sorted(plugin.functions),
            is_async=plugin.is_async,
            file=getattr(code, "co_filename", file),
            line=getattr(code, "co_firstlineno", 1),
            folder=str(Path(file).parent) if hasattr(module, "__path__") else "",
            paths=[*_paths(self._loaded.options), *_paths(self.case.connections)],
            effect=plugin.effect,
        )
        if not isinstance(plugin.default_options, Mapping):
            schema = plugin.default_options.model_json_schema(by_alias=True)
            facts.has_model, facts.options = True, schema.get("properties", {})
            facts.required = list(schema.get("required", ()))
            secret = [name for name, each in facts.options.items() if _is_secret(each)]
            facts.secrets = secret
        return facts

    def place(self) -> list[tuple[str, int]]:
        """File and line of the function that is called, or those by which the import fails."""
        try:
            module = import_module(self.case.module)
        except BaseException as error:  # noqa: BLE001 -- importing a plugin may raise anything
            return frames_of(error)
        function = getattr(module, CONTRACTS[self.case.kind].needed, None)
        code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
        file = getattr(code, "co_filename", inspect.getsourcefile(module) or "")
        return [(file, getattr(code, "co_firstlineno", 1))]

    async def put(self, document: Document) -> None:
        """Store a vCon as it is."""
        text = json.dumps(document, ensure_ascii=False)
        await self.redis.command("JSON.SET", keys.vcon(document["uuid"]), "$", text)

    async def read(self, uuid: str) -> Document | None:
        """The vCon in Redis."""
        text = await self.redis.command("JSON.GET", keys.vcon(uuid))
        found: Document | None = None if text is None else json.loads(text)
        return found

    async def forget(self, uuid: str) -> None:
        """Remove a vCon."""
        await self.redis.command("DEL", keys.vcon(uuid))

    async def run(self, uuid: str, seconds: float, loaded: Loaded | None = None) -> Ran:
        """Call the plugin once for a vCon that is in Redis or not."""
        plugin, ran = loaded or self._loaded, Ran()
        self.log.take()
        self._version = version(await self.read(uuid))
        try:
            returned = await self._call(plugin, uuid, seconds)
            ran.returned = repr(returned)[:100]
            ran.goes_on = bool(returned) or self.case.kind != "link"
            if self.case.kind == "link":  # as its worker judges it
                ran.error = after_link(Progress(uuid), returned).error or ""
        except Exception as error:  # noqa: BLE001 -- a plugin may raise anything
            _describe(ran, error)
        ran.vcon = await self.read(uuid)
        ran.saved = None if ran.error else await self.saved(uuid, seconds, plugin)
        trim_output(MOST_PRINTED)
        ran.log_places = self.log.places
        ran.log = self.log.take()
        return ran

    async def saved(
        self, uuid: str, seconds: float, loaded: Loaded | None = None
    ) -> Document | None:
        """What a storage with `get` has of a vCon; None also if it fails."""
        plugin, found = loaded or self._loaded, None
        if isinstance(plugin, LoadedStorage) and plugin.get is not None:
            with contextlib.suppress(Exception):
                found = await self._asked(plugin, plugin.get, seconds, uuid)
        return found

    async def _call(self, plugin: Loaded, uuid: str, seconds: float) -> Any:
        if isinstance(plugin, LoadedStorage):
            return await self._asked(plugin, plugin.save, seconds, uuid)
        if isinstance(plugin, LoadedTracer):
            words = (uuid, uuid, NAME, ["a_link"], 0)
            return await self._asked(plugin, plugin.run, seconds, *words)
        assert isinstance(plugin, LoadedLink)
        return await self._asked(plugin, plugin.run, seconds, uuid, NAME)

    async def _asked(
        self, plugin: Loaded, function: Callable[..., Any], seconds: float, *words: Any
    ) -> Any:
        return await self._calls.call(
            function,
            *words,
            plugin.fresh_options(),
            is_async=plugin.is_async,
            timeout=seconds,
            plugin={self.case.kind: NAME},
        )

    async def close(self) -> None:
        """Close what a worker closes at its end."""
        if isinstance(self._loaded, LoadedStorage):
            await self._calls.close_storages([self._loaded])
        await http_client.close()
        await registry.installed().close()


def _describe(ran: Ran, error: Exception) -> None:
    ran.error = _text(error)
    ran.frames = frames_of(error)
    ran.accident = isinstance(error, ACCIDENTS)
    ran.late = (
        isinstance(error, TimeoutError)
        and ran.error.endswith(" s")
        and ("did not end within" in ran.error)
    )


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:MOST_OF_ERROR]
    except Exception:  # noqa: BLE001 -- its text may raise anything
        return type(error).__name__


def _paths(options: Mapping[str, Any] | BaseModel) -> Iterator[str]:
    values = options.model_dump() if isinstance(options, BaseModel) else options
    for each in values.values():
        if isinstance(each, Mapping):
            yield from _paths(each)
        elif isinstance(each, str | Path) and each and "://" not in str(each):
            yield str(Path(each).absolute())


def _is_secret(field: Mapping[str, Any]) -> bool:
    return bool(field.get("writeOnly")) or field.get("format") == "password"


def kind_in(module: ModuleType) -> str | None:
    """The kind of plugin that a module has; None if it fits no contract."""
    for kind, contract in CONTRACTS.items():
        with contextlib.suppress(PluginFailedError):
            plugin_in(module, contract)
            return kind
    return None


def refusal(host: Host, options: Mapping[str, Any]) -> str | None:
    """The error with which the plugin refuses these options at the start; None: it takes them."""
    try:
        host.reloaded(options)
    except ConfigurationError as error:
        return str(error)
    return None


def unreadable(module: str) -> str:
    """Why a module cannot be read, in one line; "" if it can, or fails by what it does."""
    try:
        spec = find_spec(module)
        if spec is not None and isinstance(spec.loader, InspectLoader):
            spec.loader.get_code(module)
    except SyntaxError as error:
        return f"{module} is no Python: {error.msg}, at {error.filename}:{error.lineno}"
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            return ""
        spec = None
    except Exception:  # noqa: BLE001 -- the package of a module may raise anything
        return ""
    remedy = "is its folder the present one or in PYTHONPATH?"
    return "" if spec else f"no module named {module!r}; {remedy}"
