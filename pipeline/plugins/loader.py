"""Loading the plugins of a configuration: modules imported, contracts and options checked.

All modules of enabled chains are imported at load, none while a vCon is processed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from core.errors import ConfigurationError, PluginFailedError
from core.observability.redaction import KNOWN
from pipeline.config import model
from pipeline.config.broken import Broken
from pipeline.config.model import STORAGE_RETRIES, limit_of
from pipeline.config.parser import Chain, LinkStep, PipelineConfig, PluginSpec, StorageSpec
from pipeline.plugins.contract import (
    LINK,
    STORAGE,
    TRACER,
    Contract,
    Effect,
    Function,
    Plugin,
    is_pure,
    plugin_in,
)
from pipeline.plugins.hooks import NO_HOOKS, HookLoader, Hooks, hooks_wanted, notes_on_hooks
from pipeline.plugins.importer import Modules
from pipeline.plugins.installer import Installer
from pipeline.plugins.modules_folder import invalidate_caches
from pipeline.plugins.options import Options, laid_over, unknown_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A plugin that can be called, with its configured options over its defaults."""

    name: str
    options: Options = field(repr=False)
    is_async: bool
    only_through_lib: bool = False
    no_default_timeout: bool = False
    pure: bool = False
    """With these options, a call has no effect but on its vCon (`contract.is_pure`)."""
    effect: Effect | None = None
    """What a call changes outside; None if the plugin does not say."""

    def is_once(self, chain: Chain) -> bool:
        """Whether a step of this chain must not be repeated unseen."""
        return self.effect == "once" and not chain.repeat_uncertain

    def fresh_options(self) -> Options:
        """A shallow copy of the options, for one call."""
        if not isinstance(self.options, BaseModel):
            return dict(self.options)
        frozen = self.options.model_config.get("frozen")
        return self.options if frozen else self.options.model_copy()


def seconds_of(timeout: float | None, loaded: Loaded) -> float | None:
    """The time limit of one call; None: no limit."""
    default = None if loaded.no_default_timeout else model.CALL_SECONDS
    return limit_of(timeout, default)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedLink(Loaded):
    """`run(vcon_uuid, link_name, opts)` returns the uuid to continue with; falsy ends the run."""

    run: Function


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedStorage(Loaded):
    """`save`, `get` and `delete` take `(vcon_uuid, opts)`; `close` takes nothing.

    `timeout` is the configured limit of one call in seconds; a failed save is repeated `retries`
    times.
    """

    save: Function
    get: Function | None = None
    delete: Function | None = None
    close: Function | None = None
    together: Function | None = None
    """An async twin of a sync `save`, for callers on the event loop (`contract.Plugin`)."""
    timeout: float | None = None
    retries: int = STORAGE_RETRIES

    @property
    def seconds(self) -> float | None:
        """The time limit of one call; None: no limit."""
        return seconds_of(self.timeout, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTracer(Loaded):
    """`run(in_vcon_uuid, out_vcon_uuid, tracer_name, links, link_index, options)`."""

    run: Function


@dataclass(frozen=True, slots=True)
class Plugins:
    """The loaded plugins of the enabled chains of one configuration, by their specs."""

    links: Mapping[PluginSpec, LoadedLink] = field(default_factory=dict)
    storages: Mapping[PluginSpec, LoadedStorage] = field(default_factory=dict)
    tracers: Mapping[PluginSpec, LoadedTracer] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Remarks on them and their options for the operator, not errors."""
    hooks: Hooks = NO_HOOKS
    broken: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The problems of chains that are to be disabled for them, by chain."""

    def link(self, step: LinkStep) -> LoadedLink:
        """The link of a step, with its options in that chain."""
        return self.links[step.plugin]

    def storage(self, chain: Chain, name: str) -> LoadedStorage:
        """The chain's storage of this name."""
        return self.storages[next(spec for spec in chain.storages if spec.name == name)]

    def tracers_of(self, chain: Chain) -> tuple[LoadedTracer, ...]:
        """The tracers of a chain, in order."""
        return tuple(self.tracers[spec] for spec in chain.tracers)


NOTHING = Installer(None)
"""Installs nothing: a missing module is an error."""


def load(config: PipelineConfig, installer: Installer = NOTHING) -> Plugins:
    """Import and check the plugins of enabled chains; blocks during imports and installations.

    Raises:
        ConfigurationError: with all problems, each with its path and the chains concerned, but
            for those that only disable chains (`pipeline.config.broken`).
    """
    invalidate_caches()
    wanted = _wanted(config)
    pip_names = [spec.pip_name for _, spec in wanted if spec.pip_name]
    loader = _Loader(installer, pip_names, strict=config.strict)
    loader.install_missing(spec for _, spec in wanted)
    loaded: dict[str, dict[PluginSpec, Any]] = {section: {} for section in loader.sections}
    problems: defaultdict[str, list[str]] = defaultdict(list)
    loader.hooks.are_named = config.hooks is not None
    broken = Broken(config)
    notes: list[str] = []
    for (section, spec), chains in wanted.items():
        try:
            loaded[section][spec] = loader.sections[section](spec)
            notes += [f"{section}.{spec.name}.{each}" for each in loader.notes_on(spec)]
        except PluginFailedError as error:
            text = KNOWN.sentence(f"{section}.{spec.name}: {error}")
            if section == "hooks" or not broken.takes(text, chains):  # they are for every chain
                problems[text] += chains
    if problems:
        raise ConfigurationError([_with_chains(text, who) for text, who in problems.items()])
    kinds = loaded["links"], loaded["storages"], loaded["tracers"]
    notes += notes_on_hooks(config, loader.hooks)
    return Plugins(*kinds, (*broken.notes, *notes), loader.hooks.hooks, broken.texts)


def load_storage(spec: StorageSpec) -> LoadedStorage:
    """Load one storage, for example one that is only read from; blocks during the import.

    Raises:
        PluginFailedError: a variable of its options is missing, or its module cannot be loaded.
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


def load_links(
    config: PipelineConfig, names: Iterable[str], installer: Installer = NOTHING
) -> dict[str, dict[PluginSpec, LoadedLink | PluginFailedError]]:
    """The links of chains by chain; an error in the place of one that cannot be loaded.

    Other plugins are not imported; blocks during imports.
    """
    invalidate_caches()
    loader = _Loader(installer, strict=config.strict)

    def loaded(spec: PluginSpec) -> LoadedLink | PluginFailedError:
        try:
            return loader.link(spec)
        except PluginFailedError as error:
            return PluginFailedError(KNOWN.sentence(str(error)))

    chains = {name: config.chains[name] for name in names}
    return {
        name: {step.plugin: loaded(step.plugin) for step in chain.links}
        for name, chain in chains.items()
    }


def _wanted(config: PipelineConfig) -> dict[tuple[str, PluginSpec], list[str]]:
    """Each plugin to load, with the chains that name it; imports come first, without chains."""
    wanted: dict[tuple[str, PluginSpec], list[str]] = {
        ("imports", spec): [] for spec in config.imports.values()
    }
    wanted |= {("hooks", spec): [] for spec in hooks_wanted(config)}
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
    """Loads plugins; a module that is missing or fails is tried once per load."""

    def __init__(
        self, installer: Installer, pip_names: Iterable[str] = (), *, strict: bool = False
    ) -> None:
        self._modules = Modules(installer, pip_names)
        self._strict = strict
        self.hooks = HookLoader()
        self._notes: dict[PluginSpec, list[str]] = {}
        self.sections: dict[str, Callable[[Any], Any]] = {
            "imports": self._modules.get,
            "hooks": lambda spec: self.hooks.take(self._modules.get(spec), spec),
            "links": self.link,
            "storages": self.storage,
            "tracers": self.tracer,
        }

    def install_missing(self, specs: Iterable[PluginSpec]) -> None:
        """Install what several of these need together; see `Modules.install_missing`."""
        self._modules.install_missing(specs)

    def link(self, spec: PluginSpec) -> LoadedLink:
        # A renamed link would be translated here, module and options together.
        plugin = self._plugin(spec, LINK)
        return LoadedLink(**_common(spec, plugin), **plugin.functions)

    def storage(self, spec: StorageSpec) -> LoadedStorage:
        plugin = self._plugin(spec, STORAGE)
        return LoadedStorage(
            **_common(spec, plugin),
            **plugin.functions,
            together=plugin.together,
            timeout=spec.timeout,
            retries=spec.retries,
        )

    def tracer(self, spec: PluginSpec) -> LoadedTracer:
        plugin = self._plugin(spec, TRACER)
        return LoadedTracer(**_common(spec, plugin), **plugin.functions)

    def notes_on(self, spec: PluginSpec) -> list[str]:
        """Remarks on a loaded plugin and its options; returned once."""
        return self._notes.pop(spec, [])

    def _plugin(self, spec: PluginSpec, contract: Contract) -> Plugin:
        plugin = plugin_in(self._modules.get(spec), contract)
        unknown = unknown_options(plugin.default_options, spec, strict=self._strict)
        self._notes[spec] = [*plugin.notes, *unknown]
        return plugin


def _common(spec: PluginSpec, plugin: Plugin) -> dict[str, Any]:
    options = laid_over(plugin.default_options, spec, by_itself=plugin.uses_connections)
    return {
        "name": spec.name,
        "options": options,
        "is_async": plugin.is_async,
        "only_through_lib": plugin.only_through_lib,
        "no_default_timeout": plugin.no_default_timeout,
        "pure": is_pure(plugin.pure, options),
        "effect": plugin.effect,
    }
