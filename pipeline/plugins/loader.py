"""From a configuration to plugins that can be called: modules imported, contracts checked.

Everything is imported at load, never in the middle of a vCon, and only for enabled chains.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from core.errors import ConfigurationError, PluginFailedError
from core.observability.logs import without_secrets
from pipeline.config import model
from pipeline.config.model import STORAGE_RETRIES, limit_of
from pipeline.config.parser import Chain, LinkStep, PipelineConfig, PluginSpec, StorageSpec
from pipeline.plugins.contract import LINK, STORAGE, TRACER, Contract, Function, Plugin, plugin_in
from pipeline.plugins.importer import Modules
from pipeline.plugins.installer import Installer
from pipeline.plugins.modules_folder import invalidate_caches
from pipeline.plugins.options import Options, laid_over, unknown_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A plugin ready to be called, with its configured options over its default ones."""

    name: str
    options: Options = field(repr=False)
    is_async: bool
    only_through_lib: bool = False
    no_default_timeout: bool = False

    def fresh_options(self) -> Options:
        """A shallow copy of the options, for one call."""
        if not isinstance(self.options, BaseModel):
            return dict(self.options)
        frozen = self.options.model_config.get("frozen")
        return self.options if frozen else self.options.model_copy()


def seconds_of(timeout: float | None, loaded: Loaded) -> float | None:
    """How long one call may take; None: any time."""
    default = None if loaded.no_default_timeout else model.CALL_SECONDS
    return limit_of(timeout, default)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedLink(Loaded):
    """`run(vcon_uuid, link_name, opts)` returns a vCon uuid to go on with, or something falsy."""

    run: Function


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedStorage(Loaded):
    """`save`, `get` and `delete` take `(vcon_uuid, opts)`; `close` takes nothing.

    `timeout` is in seconds for one call, as configured; `retries` is how often a save is repeated.
    """

    save: Function
    get: Function | None = None
    delete: Function | None = None
    close: Function | None = None
    timeout: float | None = None
    retries: int = STORAGE_RETRIES

    @property
    def seconds(self) -> float | None:
        """How long one call may take; None: any time."""
        return seconds_of(self.timeout, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTracer(Loaded):
    """`run(in_vcon_uuid, out_vcon_uuid, tracer_name, links, link_index, options)`."""

    run: Function


@dataclass(frozen=True, slots=True)
class Plugins:
    """What the enabled chains of one configuration call, by what was configured."""

    links: Mapping[PluginSpec, LoadedLink] = field(default_factory=dict)
    storages: Mapping[PluginSpec, LoadedStorage] = field(default_factory=dict)
    tracers: Mapping[PluginSpec, LoadedTracer] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Remarks on their options for the operator, none of them an error."""

    def link(self, step: LinkStep) -> LoadedLink:
        """The link of a step, with the options it has in that chain."""
        return self.links[step.plugin]

    def storage(self, chain: Chain, name: str) -> LoadedStorage:
        """A storage that the chain writes to."""
        return self.storages[next(spec for spec in chain.storages if spec.name == name)]

    def tracers_of(self, chain: Chain) -> tuple[LoadedTracer, ...]:
        """The tracers of a chain, in order."""
        return tuple(self.tracers[spec] for spec in chain.tracers)


NOTHING = Installer(None)
"""Installs nothing: what is missing is an error."""


def load(config: PipelineConfig, installer: Installer = NOTHING) -> Plugins:
    """Import and check what the enabled chains need; `installer` brings what is missing.

    It blocks for as long as that takes.

    Raises:
        ConfigurationError: with every problem, its path, and the chains that want the plugin.
    """
    invalidate_caches()
    wanted = _wanted(config)
    pip_names = [spec.pip_name for _, spec in wanted if spec.pip_name]
    loader = _Loader(installer, pip_names, strict=config.strict)
    loaded: dict[str, dict[PluginSpec, Any]] = {section: {} for section in loader.sections}
    problems: defaultdict[str, list[str]] = defaultdict(list)
    notes: list[str] = []
    for (section, spec), chains in wanted.items():
        try:
            loaded[section][spec] = loader.sections[section](spec)
            notes += [f"{section}.{spec.name}.{each}" for each in loader.notes_on(spec)]
        except PluginFailedError as error:
            problems[f"{section}.{spec.name}: {error}"] += chains
    if problems:
        told = {without_secrets(text): who for text, who in problems.items()}
        raise ConfigurationError([_with_chains(text, who) for text, who in told.items()])
    return Plugins(loaded["links"], loaded["storages"], loaded["tracers"], tuple(notes))


def load_storage(spec: StorageSpec) -> LoadedStorage:
    """One storage, such as one that is only read from. It blocks for as long as the import does.

    Raises:
        PluginFailedError: when its module or its configuration does not allow it.
    """
    if spec.unset:
        raise PluginFailedError(
            f"storage {spec.name}: the environment has no {', '.join(spec.unset)}"
        )
    invalidate_caches()
    try:
        return _Loader(NOTHING).storage(spec)
    except PluginFailedError as error:
        raise PluginFailedError(f"storage {spec.name}: {error}") from error


def _wanted(config: PipelineConfig) -> dict[tuple[str, PluginSpec], list[str]]:
    """Each thing to load, once, with the chains that want it; imports come first, for nobody."""
    wanted: dict[tuple[str, PluginSpec], list[str]] = {
        ("imports", spec): [] for spec in config.imports.values()
    }
    for chain in config.enabled_chains:
        for need in dict.fromkeys(_needs(chain)):
            wanted.setdefault(need, []).append(chain.name)
    return wanted


def _needs(chain: Chain) -> Iterator[tuple[str, PluginSpec]]:
    yield from (("links", step.plugin) for step in chain.links)
    yield from (("storages", spec) for spec in chain.storages)
    yield from (("tracers", spec) for spec in chain.tracers)


def _with_chains(text: str, chains: list[str]) -> str:
    return (
        f"{text} (wanted by chains.{', chains.'.join(dict.fromkeys(chains))})" if chains else text
    )


class _Loader:
    """Loads plugins; within one load a module that is missing or fails is tried once."""

    def __init__(
        self, installer: Installer, pip_names: Iterable[str] = (), *, strict: bool = False
    ) -> None:
        self._modules = Modules(installer, pip_names)
        self._strict = strict
        self._notes: dict[PluginSpec, list[str]] = {}
        self.sections: dict[str, Callable[[Any], Any]] = {
            "imports": self._modules.get,
            "links": self.link,
            "storages": self.storage,
            "tracers": self.tracer,
        }

    def link(self, spec: PluginSpec) -> LoadedLink:
        # The place to rewrite links that have been renamed: module and options change together.
        plugin = self._plugin(spec, LINK)
        return LoadedLink(**_common(spec, plugin), **plugin.functions)

    def storage(self, spec: StorageSpec) -> LoadedStorage:
        plugin = self._plugin(spec, STORAGE)
        return LoadedStorage(
            **_common(spec, plugin),
            **plugin.functions,
            timeout=spec.timeout,
            retries=spec.retries,
        )

    def tracer(self, spec: PluginSpec) -> LoadedTracer:
        plugin = self._plugin(spec, TRACER)
        return LoadedTracer(**_common(spec, plugin), **plugin.functions)

    def notes_on(self, spec: PluginSpec) -> list[str]:
        """Remarks on the options of one that has been loaded."""
        return self._notes.pop(spec, [])

    def _plugin(self, spec: PluginSpec, contract: Contract) -> Plugin:
        plugin = plugin_in(self._modules.get(spec), contract)
        self._notes[spec] = unknown_options(plugin.default_options, spec, strict=self._strict)
        return plugin


def _common(spec: PluginSpec, plugin: Plugin) -> dict[str, Any]:
    return {
        "name": spec.name,
        "options": laid_over(plugin.default_options, spec, by_itself=plugin.uses_connections),
        "is_async": plugin.is_async,
        "only_through_lib": plugin.only_through_lib,
        "no_default_timeout": plugin.no_default_timeout,
    }
