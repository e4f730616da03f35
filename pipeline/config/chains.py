"""The sections `links`, `storages`, `tracers`, `imports`, and `chains`, which refers to them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config.destinations import read_destination
from pipeline.config.environment import Missing, Unfilled, Where, Written, below
from pipeline.config.law import Law
from pipeline.config.law_section.steps import chain_law, check_envelopes, read_erase, read_requires
from pipeline.config.model import (
    LINK_RETRIES,
    MAX_ATTEMPTS,
    STORAGE_RETRIES,
    Chain,
    LinkStep,
    OnBroken,
    PluginSpec,
    RetryBackoff,
    StorageSpec,
)
from pipeline.config.sections import (
    ATTEMPTS,
    ON_BROKEN,
    RETRIES,
    SECONDS,
    SWITCH,
    TEXT,
    WEIGHT,
    Findings,
    Section,
    spelled,
    suggestion,
)
from pipeline.redis_client.keys import RESERVED_PREFIXES

type Lent = Mapping[str, Mapping[str, Any]]
"""The options that each connection lends to plugins."""

OF_CHAIN = "@"
"""Between the name of a storage and that of the chain which has options of its own for it."""
LAW_KEYS = ("verify", "decrypt_with", "custody", "egress")
"""What a chain may say about the law."""
RESERVED_LISTS = ("vcons",)
"""Redis keys of the service that are not lists of ids; with `RESERVED_PREFIXES`, no list's name."""


@dataclass(frozen=True, slots=True)
class Registry:
    """The plugins that chains may name."""

    links: Mapping[str, LinkStep]
    storages: Mapping[str, StorageSpec]
    tracers: Mapping[str, PluginSpec]
    law: Law | None = None


def read_links(links: Section, lent: Lent, law: Law | None = None) -> dict[str, LinkStep]:
    """Every link as defined, by name."""
    return {name: _link(name, entry, lent, law) for name, entry in links.sections()}


def read_storages(
    storages: Section, missing: Sequence[Missing], lent: Lent, law: Law | None = None
) -> dict[str, StorageSpec]:
    """Every storage by name; `missing` are the variables that the environment lacks."""
    return {name: _storage(name, entry, missing, lent, law) for name, entry in storages.sections()}


def read_tracers(tracers: Section, lent: Lent, law: Law | None = None) -> dict[str, PluginSpec]:
    """Every tracer by name."""
    return {name: _tracer(name, entry, lent, law) for name, entry in tracers.sections()}


def read_imports(imports: Section) -> dict[str, PluginSpec]:
    """Every import by name. An entry may be the module's name alone, as in older files."""
    return {name: _import(name, imports) for name in imports}


def _link(name: str, entry: Section, lent: Lent, law: Law | None) -> LinkStep:
    timeout = entry.limit("timeout")
    retries = entry.value("retries", RETRIES, LINK_RETRIES)
    destination = read_destination(name, entry)
    about_law = _law_of(entry, law)
    plugin = PluginSpec(**plugin_parts(name, entry, lent), **about_law)
    return LinkStep(name, plugin, timeout, retries, destination, plugin.requires)


def _storage(
    name: str, entry: Section, missing: Sequence[Missing], lent: Lent, law: Law | None
) -> StorageSpec:
    timeout = entry.limit("timeout")
    retries = entry.value("retries", RETRIES, STORAGE_RETRIES)
    unset = tuple(dict.fromkeys(m.name for m in missing if m.where[:2] == entry.where))
    own: dict[str, Any] = {
        "destination": read_destination(name, entry),
        **_law_of(entry, law),
    }
    parts = plugin_parts(name, entry, lent)
    return StorageSpec(**parts, **own, timeout=timeout, retries=retries, unset=unset)


def _tracer(name: str, entry: Section, lent: Lent, law: Law | None) -> PluginSpec:
    given = entry.raw("requires") is not None
    requires = read_requires(entry, law) if given else None
    return PluginSpec(**plugin_parts(name, entry, lent), requires=requires)


def _law_of(entry: Section, law: Law | None) -> dict[str, Any]:
    """What a link or storage says about the law; most say nothing."""
    if entry.raw("requires") is None and entry.raw("erase") is None:
        return {}
    return {"requires": read_requires(entry, law), "erase": read_erase(entry, law)}


def _chain_law(entry: Section, law: Law | None) -> dict[str, Any]:
    given = [key for key in LAW_KEYS if entry.raw(key) is not None]  # so that each is known
    return chain_law(entry, law) if given else {}


def _plugin(name: str, entry: Section, lent: Lent) -> PluginSpec:
    return PluginSpec(**plugin_parts(name, entry, lent))


def plugin_parts(name: str, entry: Section, lent: Lent) -> dict[str, Any]:
    """The fields of a `PluginSpec`; keys that are not read by now are unknown."""
    parts = {
        "name": name,
        "module": entry.required("module", TEXT, ""),
        "pip_name": entry.value("pip_name", TEXT, "") or None,
        "options": entry.options("options"),
        "connections": lent,
        "written": below(entry.findings.written, (*entry.where, "options")),
    }
    beside = entry.note_unread()
    if beside and not parts["options"]:
        text = f"options of a plugin are written below `options`, not beside it: {beside[0]}"
        entry.findings.note(entry.where, text)
    return parts


def _import(name: str, imports: Section) -> PluginSpec:
    if isinstance(imports.raw(name), str):
        return PluginSpec(name, imports.value(name, TEXT, ""))
    return _plugin(name, imports.section(name), {})


def read_chains(chains: Section, registry: Registry, on_broken: OnBroken) -> dict[str, Chain]:
    """Every chain by name; `on_broken` is that of chains which do not say otherwise."""
    found = {name: _chain(name, entry, registry, on_broken) for name, entry in chains.sections()}
    _check_readers(found.values(), chains.findings)
    return found


def _chain(name: str, entry: Section, registry: Registry, on_broken: OnBroken) -> Chain:
    chain = Chain(
        name=name,
        links=_links(entry, registry.links),
        storages=_storages(entry, registry.storages),
        tracers=_tracers(entry, registry.tracers),
        ingress_lists=_lists(entry, "ingress_lists"),
        egress_lists=_lists(entry, "egress_lists"),
        enabled=entry.value("enabled", SWITCH, default=True),
        timeout=entry.limit("timeout"),
        max_attempts=entry.value("max_attempts", ATTEMPTS, MAX_ATTEMPTS),
        retry_backoff=_backoff(entry),
        allow_envelopes=entry.value("allow_envelopes", SWITCH, default=False),
        extensions=_extensions(entry),
        weight=entry.value("weight", WEIGHT, 1),
        on_broken=entry.value("on_broken", ON_BROKEN, on_broken),
        repeat_uncertain=entry.value("repeat_uncertain", SWITCH, default=False) or None,
        **_chain_law(entry, registry.law),
    )
    _check_loop(chain, entry)
    if chain.allow_envelopes:
        check_envelopes(chain, entry)
    entry.note_unread()
    return chain


def _backoff(entry: Section) -> RetryBackoff:
    """`retry_backoff`: a mapping, or a number that stands for its `first`."""
    default = RetryBackoff()
    if isinstance(entry.raw("retry_backoff"), Mapping | None):
        given = entry.section("retry_backoff")
        first = given.value("first", SECONDS, None) or default.first
        longest = given.value("max", SECONDS, None) or max(default.max, first)
        given.note_unread()
    else:
        first = entry.value("retry_backoff", SECONDS, None) or default.first
        longest = max(default.max, first)
    if first > longest:
        entry.findings.problem((*entry.where, "retry_backoff"), "first must not be above max")
    return RetryBackoff(first, longest)


def _links(entry: Section, links: Mapping[str, LinkStep]) -> tuple[LinkStep, ...]:
    steps = (_step(where, item, links, entry.findings) for where, item in entry.entries("links"))
    return tuple(step for step in steps if step)


def _step(
    where: Where, item: object, links: Mapping[str, LinkStep], findings: Findings
) -> LinkStep | None:
    """A link's name, or `name: {options}` with the options that this chain overrides."""
    if not isinstance(item, Mapping):
        return _resolve(where, item, "link", links, findings)
    if len(item) != 1:
        findings.problem(where, "must be a link's name, or one name with its options below it")
        return None
    [(name, options)] = item.items()
    step = _resolve(where, name, "link", links, findings)
    changed = Section({"options": options}, where, findings).options("options")
    written = below(findings.written, (*where, name))
    return step and _changed(step, changed, written)


def _changed(step: LinkStep, options: Mapping[str, Any], written: Written) -> LinkStep:
    kept = {at: text for at, text in step.plugin.written.items() if at[0] not in options}
    laid = {**step.plugin.options, **options}
    return replace(step, plugin=replace(step.plugin, options=laid, written={**kept, **written}))


def _tracers(entry: Section, tracers: Mapping[str, PluginSpec]) -> tuple[PluginSpec, ...]:
    if entry.raw("tracers") is None:
        return tuple(tracers.values())
    return _named(entry, "tracers", "tracer", tracers)


def _storages(entry: Section, known: Mapping[str, StorageSpec]) -> tuple[StorageSpec, ...]:
    """The storages that a chain names; one with options below its name is a storage of its own."""
    found: dict[str, StorageSpec] = {}
    for where, item in entry.entries("storages"):
        name, options = item, None
        if isinstance(item, Mapping):
            if len(item) != 1:
                text = "must be a storage's name, or one name with its options below it"
                entry.findings.problem(where, text)
                continue
            [(name, options)] = item.items()
        spec = _resolve(where, name, "storage", known, entry.findings)
        if spec is not None and options is not None:
            spec = _with_options(spec, entry, where, options, known)
        if spec is not None:
            _note_repeated(where, spec.name, found, entry.findings)
            found[spec.name] = spec
    return tuple(found.values())


def _with_options(
    spec: StorageSpec,
    entry: Section,
    where: Where,
    options: object,
    known: Mapping[str, StorageSpec],
) -> StorageSpec | None:
    """The storage `NAME@CHAIN`: with dead letters of its own, read and deleted from as others."""
    name = f"{spec.name}{OF_CHAIN}{entry.where[-1]}"
    if name in known:
        entry.findings.problem(where, f"{name!r} is a storage already; name one of them otherwise")
        return None
    changed = Section({spec.name: options}, where, entry.findings).options(spec.name)
    written = below(entry.findings.written, (*where, spec.name))
    kept = {at: text for at, text in spec.written.items() if at[0] not in changed}
    laid = {**spec.options, **changed}
    lacking = any(isinstance(value, Unfilled) for value in changed.values())
    unset = (*spec.unset, f"variable of {spelled(where)}") if lacking else spec.unset
    return replace(spec, name=name, options=laid, written={**kept, **written}, unset=unset)


def entries_named(chain: Chain, section: str) -> set[str]:
    """The entries of `links`, `storages` or `tracers` that a chain depends on."""
    names = {str(each.name) for each in getattr(chain, section)}
    return names | {name.removesuffix(f"{OF_CHAIN}{chain.name}") for name in names}


def storages_of_chains(chains: Iterable[Chain]) -> dict[str, StorageSpec]:
    """The storages by name that chains have by options of their own."""
    return {each.name: each for chain in chains for each in chain.storages}


def _named[T](entry: Section, key: str, kind: str, known: Mapping[str, T]) -> tuple[T, ...]:
    """The plugins that a list names, each once."""
    found: dict[str, T] = {}
    for where, name in entry.entries(key):
        if thing := _resolve(where, name, kind, known, entry.findings):
            _note_repeated(where, str(name), found, entry.findings)
            found[str(name)] = thing
    return tuple(found.values())


def _resolve[T](
    where: Where, name: object, kind: str, known: Mapping[str, T], findings: Findings
) -> T | None:
    if not isinstance(name, str):
        findings.text_wanted(where, f"must be the name of a {kind}", name)
    elif name not in known:
        findings.problem(where, f"no {kind} named {name!r}; {suggestion(name, known)}")
    else:
        return known[name]
    return None


def _note_repeated(where: Where, name: str, seen: Iterable[str], findings: Findings) -> None:
    if name in seen:
        findings.note(where, f"{name!r} is named twice, once is enough")


def _lists(entry: Section, key: str) -> tuple[str, ...]:
    """The usable list names below a key, each once."""
    found: dict[str, None] = {}
    for where, name in entry.entries(key):
        if problem := list_name_problem(name):
            entry.findings.text_wanted(where, problem, name)
        else:
            _note_repeated(where, str(name), found, entry.findings)
            found[str(name)] = None
    return tuple(found)


def _extensions(entry: Section) -> tuple[str, ...]:
    """The names below `extensions`, each once."""
    found: dict[str, None] = {}
    for where, name in entry.entries("extensions"):
        if not isinstance(name, str) or not name:
            entry.findings.problem(where, "must be the name of an extension, as vCons have it")
        else:
            _note_repeated(where, name, found, entry.findings)
            found[name] = None
    return tuple(found)


def list_name_problem(name: object) -> str | None:
    """Why no ingress or egress list may have this name; None if one may."""
    if not isinstance(name, str) or not name:
        return "a list's name must be a text, not empty"
    if "\n" in name:
        return "a list's name must be on one line"
    if name in RESERVED_LISTS:
        return f"{name!r} is used otherwise; choose another name"
    if name.startswith(RESERVED_PREFIXES):
        prefix = next(prefix for prefix in RESERVED_PREFIXES if name.startswith(prefix))
        return f"no list may begin with {prefix!r}; choose another name"
    return None


def _check_loop(chain: Chain, entry: Section) -> None:
    for name in chain.egress_lists:
        if name in chain.ingress_lists:
            text = f"{name!r} is also read by this chain, which would never end"
            entry.findings.problem((*entry.where, "egress_lists"), text)


def _check_readers(chains: Iterable[Chain], findings: Findings) -> None:
    """Only one enabled chain may read a list: of two, either could get a given id."""
    readers: defaultdict[str, list[str]] = defaultdict(list)
    for chain in chains:
        for name in chain.ingress_lists if chain.enabled else ():
            readers[name].append(chain.name)
    for name, (first, *others) in readers.items():
        for other in others:
            where = ("chains", other, "ingress_lists")
            reader = spelled(("chains", first))
            findings.problem(where, f"{name!r} is already read by {reader}")
