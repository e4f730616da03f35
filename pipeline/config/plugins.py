"""The sections that name modules (`links`, `storages`, `tracers`, `imports`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.config.environment import Missing
from pipeline.config.model import LINK_RETRIES, STORAGE_RETRIES, LinkStep, PluginSpec, StorageSpec
from pipeline.config.sections import RETRIES, TEXT, Section
from pipeline.config.yaml_spelling import below

type Lent = Mapping[str, Mapping[str, Any]]
"""What each connection can lend to plugins."""


def read_links(links: Section, lent: Lent) -> dict[str, LinkStep]:
    """Every link as defined, by name."""
    return {name: _link(name, entry, lent) for name, entry in links.sections()}


def read_storages(
    storages: Section, missing: Sequence[Missing], lent: Lent
) -> dict[str, StorageSpec]:
    """Every storage by name; each knows which of its variables are `missing`."""
    return {name: _storage(name, entry, missing, lent) for name, entry in storages.sections()}


def read_tracers(tracers: Section, lent: Lent) -> dict[str, PluginSpec]:
    """Every tracer by name."""
    return {name: _plugin(name, entry, lent) for name, entry in tracers.sections()}


def read_imports(imports: Section) -> dict[str, PluginSpec]:
    """Every import by name. An entry may be just the module's name, as in older files."""
    return {name: _import(name, imports) for name in imports}


def _link(name: str, entry: Section, lent: Lent) -> LinkStep:
    timeout = entry.limit("timeout")
    retries = entry.value("retries", RETRIES, LINK_RETRIES)
    return LinkStep(name, _plugin(name, entry, lent), timeout, retries)


def _storage(name: str, entry: Section, missing: Sequence[Missing], lent: Lent) -> StorageSpec:
    timeout = entry.limit("timeout")
    retries = entry.value("retries", RETRIES, STORAGE_RETRIES)
    unset = tuple(dict.fromkeys(m.name for m in missing if m.where[:2] == entry.where))
    return StorageSpec(
        **_plugin_parts(name, entry, lent), timeout=timeout, retries=retries, unset=unset
    )


def _plugin(name: str, entry: Section, lent: Lent) -> PluginSpec:
    return PluginSpec(**_plugin_parts(name, entry, lent))


def _plugin_parts(name: str, entry: Section, lent: Lent) -> dict[str, Any]:
    parts = {
        "name": name,
        "module": entry.required("module", TEXT, ""),
        "pip_name": entry.value("pip_name", TEXT, "") or None,
        "options": entry.options("options"),
        "connections": lent,
        "written": below(entry.findings.written, (*entry.where, "options")),
    }
    entry.note_unread()
    return parts


def _import(name: str, imports: Section) -> PluginSpec:
    if isinstance(imports.raw(name), str):
        return PluginSpec(name, imports.value(name, TEXT, ""))
    return _plugin(name, imports.section(name), {})
