"""Parsing the pipeline's configuration: from a YAML document to frozen, cross-checked values.

Null sections, unknown keys and unused links are accepted, because older files have them. A mistake
that would otherwise appear only when a vCon is processed is an error. This module reads neither a
file nor the environment.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from pydantic import TypeAdapter

from core.errors import ConfigurationError
from flowlang.environment import as_references
from pipeline.config.broken import PARTS, set_aside
from pipeline.config.chains import (
    Registry,
    entries_named,
    plugin_parts,
    read_chains,
    read_imports,
    read_links,
    read_storages,
    read_tracers,
    storages_of_chains,
)
from pipeline.config.connections import (
    NEEDING,
    OPTION,
    lendable,
    read_connections,
    read_flows,
    read_plugin_folders,
)
from pipeline.config.destinations import share_destinations
from pipeline.config.environment import Environment, Missing, Where, Written
from pipeline.config.ingress_auth import read_ingress_auth
from pipeline.config.law import Law
from pipeline.config.law_section.reading import read_law
from pipeline.config.law_section.steps import read_requires
from pipeline.config.model import (
    REFUSE,
    Chain,
    HookSpec,
    LinkStep,
    OnBroken,
    OnError,
    PipelineConfig,
    PluginSpec,
    StorageSpec,
)
from pipeline.config.sections import Findings, Kind, Section, slip_of, suggestion

__all__ = ["Chain", "LinkStep", "PipelineConfig", "PluginSpec", "StorageSpec", "parse"]

CONNECTIONS = "connections"
ON_ERROR: Kind[OnError] = Kind(TypeAdapter(OnError), "continue or fail")
_NOTHING_WRITTEN: Written = {}
_SECTIONS = ("ingress_auth", "imports", "hooks", "links", "storages", "tracers", "law", "chains")


def parse(
    document: object,
    environ: Mapping[str, str],
    written: Written = _NOTHING_WRITTEN,
    *,
    strict: bool = False,
    weak_keys: bool = False,
    on_broken: OnBroken = REFUSE,
) -> PipelineConfig:
    """Parse a configuration document, with `${NAME}` filled from `environ`.

    `written`: the file's own text of values that YAML read as something else. `strict`: an unknown
    key is an error. `weak_keys`: ingress keys may be short. `on_broken`: that of chains which do
    not say otherwise.

    Raises:
        ConfigurationError: with all problems found, each beginning with its path.
    """
    environment, findings = Environment(environ), Findings(written=written, strict=strict)
    root = Section(_filled(document, environment), (), findings)
    config = _read(root, environment, weak_keys=weak_keys, on_broken=on_broken)
    used = _used(config)
    _report_unknown_connections(config, findings)
    _report_missing(environment.missing, used, findings)
    _note_unread(root, environment.strays)
    _note_unused(config, used, findings)
    if findings.problems:
        config = set_aside(config, findings)
    if findings.problems:
        raise ConfigurationError(findings.problems)
    filled = frozenset(environment.filled)
    return replace(config, notes=tuple(findings.notes), strict=strict, filled=filled)


def _filled(document: object, environment: Environment) -> object:
    try:
        if isinstance(document, Mapping):
            return {key: _filled_section(key, document[key], environment) for key in document}
        return environment.fill(document)
    except RecursionError:
        raise ConfigurationError(
            "the configuration contains itself: an alias (*name) inside its own anchor (&name)"
        ) from None


def _filled_section(key: str, section: object, environment: Environment) -> object:
    if key == CONNECTIONS:
        return as_references(section)
    return environment.fill(section, (key,))


def _read(
    root: Section, environment: Environment, *, weak_keys: bool, on_broken: OnBroken
) -> PipelineConfig:
    connections = read_connections(root.section(CONNECTIONS), environment)
    lent = lendable(connections)
    law = None if root.raw("law") is None else read_law(root.section("law"))
    links, storages = share_destinations(
        read_links(root.section("links"), lent, law),
        read_storages(root.section("storages"), environment.missing, lent, law),
        root.findings,
    )
    tracers = read_tracers(root.section("tracers"), lent, law)
    registry = Registry(links, storages, tracers, law)
    chains = read_chains(root.section("chains"), registry, on_broken)
    imports = read_imports(root.section("imports"))
    auth = read_ingress_auth(root.section("ingress_auth"), weak_keys=weak_keys)
    return PipelineConfig(
        chains=chains,
        on_broken=on_broken,
        links=registry.links,
        storages={**registry.storages, **storages_of_chains(chains.values())},
        tracers=registry.tracers,
        imports=imports,
        ingress_auth=auth.keys,
        ingress_keys=auth.details,
        hooks=None if root.raw("hooks") is None else _hooks(root.section("hooks"), law),
        connections=connections,
        connection_plugins=read_plugin_folders(root),
        flows=read_flows(root.section("flows")),
        law=law,
    )


def _hooks(hooks: Section, law: Law | None) -> dict[str, HookSpec]:
    """Modules that are called when vCons come in, are run, and are deleted, by name."""
    return {name: _hook(name, entry, law) for name, entry in hooks.sections()}


def _hook(name: str, entry: Section, law: Law | None) -> HookSpec:
    timeout = entry.limit("timeout")
    on_error = entry.value("on_error", ON_ERROR, "continue")
    requires = read_requires(entry, law)
    parts = plugin_parts(name, entry, {})
    return HookSpec(**parts, timeout=timeout, on_error=on_error, requires=requires)


def _used(config: PipelineConfig) -> frozenset[Where]:
    """The entries that enabled chains depend on, by the first two parts of their path."""
    chains = config.enabled_chains
    return frozenset(
        {("imports", name) for name in config.imports}
        | {("hooks", name) for name in config.hooks or ()}
        | {("ingress_auth", name) for name in config.ingress_lists}
        | {("chains", chain.name) for chain in chains}
        | {("law", part) for part in ("basis", "trust", "keys", "extensions", "ledger")}
        | {
            (part, name)
            for chain in chains
            for part in PARTS
            for name in entries_named(chain, part)
        }
    )


def _report_missing(missing: Sequence[Missing], used: Set[Where], findings: Findings) -> None:
    """A missing variable is a problem where an enabled chain needs it, elsewhere a note."""
    for where, text in ((m.where, f"the environment has no {m.name}") for m in missing):
        if where[0] not in _SECTIONS:
            continue
        if where[:2] in used or len(where) == 1:
            findings.problem(where, text)
        else:
            findings.note(where, f"{text}; nothing enabled needs it")


def _report_unknown_connections(config: PipelineConfig, findings: Findings) -> None:
    for section, specs in (
        ("links", [link.plugin for link in config.links.values()]),
        ("storages", config.storages.values()),
    ):
        for spec in specs:
            name = spec.options.get(OPTION)
            if spec.module in NEEDING and isinstance(name, str) and name not in config.connections:
                where = (section, spec.name, "options", OPTION)
                near = suggestion(name, config.connections)
                findings.problem(where, f"no connection named {name!r}; {near}")


def _note_unread(root: Section, strays: Sequence[Where]) -> None:
    if root.raw("followers"):
        root.findings.note(("followers",), "following other servers is not supported, ignored")
    root.note_unread()
    for where in strays:
        root.findings.note(where, "'${' begins no variable here and is left as it is")


def _note_unused(config: PipelineConfig, used: Set[Where], findings: Findings) -> None:
    for where in [("links", name) for name in config.links] + [
        ("tracers", name) for name in config.tracers
    ]:
        if where not in used:
            findings.note(where, "no enabled chain uses it, so its module is not loaded")
    _report_unread_lists(config, used, findings)


def _report_unread_lists(config: PipelineConfig, used: Set[Where], findings: Findings) -> None:
    """Keys for a list without a reader: a problem if its name is a slip from one with a reader."""
    read = {name for chain in config.chains.values() for name in chain.ingress_lists}
    for name in config.ingress_auth:
        where = ("ingress_auth", name)
        if name not in read and (near := slip_of(name, config.ingress_lists)):
            findings.problem(where, f"no chain reads this list; did you mean {near!r}?")
        elif where not in used:
            findings.note(where, "no enabled chain reads this list")
