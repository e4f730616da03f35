"""What a configuration changes against another one. Pure functions on values.

Options are compared as they are written in the files, with masks for secrets: `${NAME}` stays, and
equal secrets have equal masks.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import orjson

from pipeline.config.changes import losses
from pipeline.config.connections import OPTION
from pipeline.config.lists import claimed_lists
from pipeline.config.model import Chain, LinkStep, PipelineConfig, PluginSpec
from pipeline.redis_client import keys
from schemas.operator.configuration import MOST_ROWS, Change, KeyChange, ListChange

SECTIONS = ("links", "storages", "tracers", "imports", "connections")
"""Sections whose entries are compared by name."""
SINGLE = ("connection_plugins", "flows", "law")
"""Sections that are compared as a whole."""
MOST_DETAILS = 50
LONGEST_VALUE = 200
"""Characters of a value that is shown."""
_LISTED = ("storages", "tracers", "ingress_lists", "egress_lists", "extensions", "decrypt_with")
_SETTINGS = (
    "enabled",
    "timeout",
    "max_attempts",
    "retry_backoff",
    "allow_envelopes",
    "repeat_uncertain",
    "verify",
    "custody",
)

type Document = Mapping[str, Any]


def section_changes(before: Document, after: Document) -> list[Change]:
    """The entries of all sections but `chains` and `ingress_auth` that differ."""
    found: list[Change] = []
    for section in SECTIONS:
        old, new = _mapping(before.get(section)), _mapping(after.get(section))
        for name in _names(old, new):
            has = name in old, name in new
            found += _change(section, name, old.get(name), new.get(name), has)
    for section in SINGLE:
        has = section in before, section in after
        found += _change(section, section, before.get(section), after.get(section), has)
    return found[:MOST_ROWS]


def _change(
    section: str, name: str, old: object, new: object, has: tuple[bool, bool]
) -> Iterator[Change]:
    if has == (True, True):
        if details := list(value_changes(old, new)):
            yield _as_change(section, name, "changed", details)
    elif has == (False, True):
        yield _as_change(section, name, "added", list(value_changes({}, new)))
    elif has == (True, False):
        yield _as_change(section, name, "removed", [])


def _as_change(
    section: str, name: str, change: Literal["added", "removed", "changed"], details: list[str]
) -> Change:
    shown = details[:MOST_DETAILS]
    if (more := len(details) - len(shown)) > 0:
        shown.append(f"and {more} more")
    return Change(section=section, name=name, change=change, details=shown)


def value_changes(old: object, new: object, where: str = "") -> Iterator[str]:
    """A line for each value that differs: `options.tags: ["a"] -> ["b"]`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in _names(old, new):
            inside = f"{where}.{name}" if where else str(name)
            if name not in old:
                yield f"{inside}: {shown(new[name])} (new)"
            elif name not in new:
                yield f"{inside}: {shown(old[name])} (gone)"
            else:
                yield from value_changes(old[name], new[name], inside)
    elif _text(old) != _text(new):
        yield f"{where}: {shown(old)} -> {shown(new)}" if where else f"{shown(old)} -> {shown(new)}"


def shown(value: object) -> str:
    """A value as JSON, cut."""
    text = _text(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _text(value: object) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def chain_changes(
    before: PipelineConfig, after: PipelineConfig, old: Document, new: Document
) -> list[Change]:
    """The chains that differ; `old` and `new` are the masked documents.

    A chain also differs if a link, storage or tracer that it uses does.
    """
    was, will = _mapping(old.get("chains")), _mapping(new.get("chains"))
    found = []
    for name in _names(before.chains, after.chains):
        if name not in after.chains:
            found.append(_as_change("chains", name, "removed", []))
        elif name not in before.chains:
            found.append(_as_change("chains", name, "added", _described(after.chains[name])))
        else:
            details = list(_of_chain(before.chains[name], after.chains[name]))
            details += _overridden(_mapping(was.get(name)), _mapping(will.get(name)))
            if details:
                found.append(_as_change("chains", name, "changed", details))
    return found[:MOST_ROWS]


def _described(chain: Chain) -> list[str]:
    parts = {"links": _link_names(chain), **{each: _part_names(chain, each) for each in _LISTED}}
    lines = [f"{name}: {', '.join(names)}" for name, names in parts.items() if names]
    return lines if chain.enabled else ["enabled: false", *lines]


def _of_chain(old: Chain, new: Chain) -> Iterator[str]:
    yield from _order("links", _link_names(old), _link_names(new))
    for name in _LISTED:
        yield from _order(name, _part_names(old, name), _part_names(new, name))
    for name in _SETTINGS:
        if getattr(old, name) != getattr(new, name):
            yield f"{name}: {getattr(old, name)} -> {getattr(new, name)}"
    yield from _changed_parts(old, new)


def _order(what: str, old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """What is added to and removed from names in their order, or their new order."""
    gone, added = Counter(old) - Counter(new), Counter(new) - Counter(old)
    yield from (f"{what}: {name} removed" for name in gone.elements())
    for at in _last(new, added):
        place = f"after {new[at - 1]}" if at else "first"
        yield f"{what}: {new[at]} added" + (f", {place}" if what == "links" else "")
    kept_old = [name for at, name in enumerate(old) if at not in _last(old, gone)]
    kept_new = [name for at, name in enumerate(new) if at not in _last(new, added)]
    if kept_old != kept_new and what == "links":
        yield f"{what}: order {', '.join(old)} -> {', '.join(new)}"


def _last(names: Sequence[str], wanted: Counter[str]) -> list[int]:
    """The places of so many of each name, of several the last ones."""
    left, found = Counter(wanted), list[int]()
    for at in reversed(range(len(names))):
        if left[names[at]]:
            left[names[at]] -= 1
            found.append(at)
    return found[::-1]


def _changed_parts(old: Chain, new: Chain) -> Iterator[str]:
    """The links, storages and tracers of both whose definition differs."""
    pairs = {step.name: step for step in old.links}
    for step in new.links:
        if (was := pairs.get(step.name)) is not None:
            yield from _changed_link(was, step)
    yield from _changed_specs("storage", old.storages, new.storages)
    yield from _changed_specs("tracer", old.tracers, new.tracers)
    limits = {storage.name: storage.destination for storage in old.storages}
    for storage in new.storages:
        if storage.destination != limits.get(storage.name, storage.destination):
            yield f"storage {storage.name}: its destination or limits differ"


def _changed_specs(
    kind: str, old: Sequence[PluginSpec], new: Sequence[PluginSpec]
) -> Iterator[str]:
    known = {spec.name: spec for spec in old}
    for spec in new:
        if (was := known.get(spec.name)) is not None:
            if not _same(was, spec):
                yield f"{kind} {spec.name}: its definition differs"
            yield from _demands(f"{kind} {spec.name}", was, spec)


def _changed_link(old: LinkStep, new: LinkStep) -> Iterator[str]:
    if not _same(old.plugin, new.plugin):
        yield f"link {new.name}: its definition differs"
    yield from _demands(f"link {new.name}", old.plugin, new.plugin)
    if (old.timeout, old.retries) != (new.timeout, new.retries):
        yield f"link {new.name}: its timeout or retries differ"
    if old.destination != new.destination:
        yield f"link {new.name}: its destination or limits differ"


def _demands(what: str, old: PluginSpec, new: PluginSpec) -> Iterator[str]:
    """What the law demands of a step, where that differs."""
    if old.requires != new.requires:
        yield f"{what}: requires: {old.requires or 'nothing'} -> {new.requires or 'nothing'}"
    if old.erase != new.erase:
        yield f"{what}: where its receiver is told of erasures differs"


def _same(one: PluginSpec, other: PluginSpec) -> bool:
    """Whether two definitions are equal, of the connections only the one that it uses."""
    old, new = ((each.module, each.pip_name, each.options, _lent(each)) for each in (one, other))
    return old == new


def _lent(spec: PluginSpec) -> object:
    name = spec.options.get(OPTION)
    return spec.connections.get(name) if isinstance(name, str) else None


def _overridden(old: Document, new: Document) -> Iterator[str]:
    """The options that a chain overrides for its links, and its `egress`, where these differ."""
    was, will = _overrides(old), _overrides(new)
    for name in _names(was, will):
        yield from value_changes(was.get(name, {}), will.get(name, {}), f"link {name}")
    yield from value_changes(_mapping(old.get("egress")), _mapping(new.get("egress")), "egress")


def _overrides(chain: Document) -> dict[str, object]:
    links = chain.get("links")
    items = links if isinstance(links, list) else []
    return {
        str(name): options
        for item in items
        if isinstance(item, Mapping)
        for name, options in item.items()
        if isinstance(options, Mapping)
    }


def list_changes(before: PipelineConfig, after: PipelineConfig) -> list[ListChange]:
    """The lists whose reader changes; the vCons that wait are not counted here.

    The list of requested runs (`RunChain`) of a chain counts where it loses its reader.
    """
    old, new = _readers(before), _readers(after)
    found = [
        ListChange(name=name, before=old.get(name), after=new.get(name))
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name) and (name in old or not name.startswith(keys.RUN_LIST))
    ]
    return found[:MOST_ROWS]


def _readers(config: PipelineConfig) -> dict[str, str]:
    """The chain that claims from each list."""
    chains = config.enabled_chains
    return {name: chain.name for chain in chains for name in claimed_lists(chain)}


def key_changes(before: PipelineConfig, after: PipelineConfig) -> list[KeyChange]:
    """How many ingress keys are added, revoked or changed, by list and label."""
    found: Counter[tuple[str, str, Literal["added", "revoked", "changed"]]] = Counter()
    for name in _names(before.ingress_auth, after.ingress_auth):
        old, new = before.ingress_auth.get(name, ()), after.ingress_auth.get(name, ())
        for key in (key for key in old if key not in new):
            found[name, _label(before, key), "revoked"] += 1
        for key in new:
            if key not in old:
                found[name, _label(after, key), "added"] += 1
            elif before.ingress_keys.get(key) != after.ingress_keys.get(key):
                found[name, _label(after, key), "changed"] += 1
    rows = [
        KeyChange(ingress_list=name, label=label, change=change, count=count)
        for (name, label, change), count in found.items()
    ]
    return rows[:MOST_ROWS]


def _label(config: PipelineConfig, key: str) -> str:
    known = config.ingress_keys.get(key)
    return known.label if known else "config.yml"


def restart_needs(before: PipelineConfig, after: PipelineConfig) -> list[str]:
    """What comes into force only when the service is restarted."""
    old = {spec.module: spec.pip_name for spec in used_modules(before)}
    new = {spec.module: spec.pip_name for spec in used_modules(after)}
    return [
        f"{module}: its package is another one (pip_name); a module that is imported already stays"
        for module, pip_name in new.items()
        if module in old and old[module] != pip_name
    ][:MOST_ROWS]


def confirmations(before: PipelineConfig, after: PipelineConfig) -> list[str]:
    """Why the change is held back until the file is seen twice."""
    return losses(before, after)[:MOST_ROWS]


def used_modules(config: PipelineConfig) -> dict[PluginSpec, list[str]]:
    """The plugins that a start imports, each with the entries that name it."""
    found: dict[PluginSpec, list[str]] = {}
    for spec in config.imports.values():
        found.setdefault(spec, []).append(f"imports.{spec.name}")
    for chain in config.enabled_chains:
        for section, specs in (
            ("links", [step.plugin for step in chain.links]),
            ("storages", chain.storages),
            ("tracers", chain.tracers),
        ):
            for spec in specs:
                places = found.setdefault(spec, [])
                if (place := f"{section}.{spec.name}") not in places:
                    places.append(place)
    return found


def _link_names(chain: Chain) -> list[str]:
    return [step.name for step in chain.links]


def _part_names(chain: Chain, part: str) -> list[str]:
    return [each if isinstance(each, str) else each.name for each in getattr(chain, part)]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(*documents: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for each in documents for name in each))
