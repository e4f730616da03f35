"""The sections `connections`, `connection_plugins` and `flows`.

What a connection is given stands there as it was written: its variables, but for those of its type,
are filled when it is opened, because its plugin may want a number where the environment has a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.config_environment import Environment
from pipeline.config_section import TEXT, Section
from pipeline.config_written import Written, below

FOLDER = "flows"


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A connection: its plugin's `type`, what it is given, and the tasks that callers may run."""

    name: str
    type: str
    given: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)
    expose: tuple[str, ...] = ()
    written: Written = field(default_factory=dict, repr=False, compare=False)
    """The places in `given` where YAML turned what is written into something else."""


@dataclass(frozen=True, slots=True)
class FlowsSpec:
    """Where flows lie, and which of them callers may run."""

    folder: str = FOLDER
    expose: tuple[str, ...] = ()


def read_connections(connections: Section, environ: Mapping[str, str]) -> dict[str, ConnectionSpec]:
    """Every connection by name."""
    return {
        name: ConnectionSpec(
            name,
            _type(entry, environ),
            {key: entry.raw(key) for key in entry if key != "expose"},
            _texts(entry, "expose"),
            below(entry.findings.written, entry.where),
        )
        for name, entry in connections.sections()
    }


def _type(entry: Section, environ: Mapping[str, str]) -> str:
    """Which tasks there are depends on it, so it must be known before anything is opened."""
    environment = Environment(environ)
    kind = environment.fill(entry.required("type", TEXT, ""))
    for missing in environment.missing:
        where = (*entry.where, "type")
        entry.findings.problem(where, f"the environment has no {missing.name}")
    return str(kind)


def read_plugin_folders(root: Section) -> tuple[str, ...]:
    """The folders that plugins are looked for in."""
    return _texts(root, "connection_plugins")


def read_flows(flows: Section) -> FlowsSpec:
    """Where flows are."""
    spec = FlowsSpec(flows.value("folder", TEXT, FOLDER), _texts(flows, "expose"))
    flows.note_unread()
    return spec


def _texts(section: Section, key: str) -> tuple[str, ...]:
    texts = []
    for where, entry in section.entries(key):
        if isinstance(entry, str) and entry:
            texts.append(entry)
        else:
            section.findings.text_wanted(where, "must be a text, not empty", entry)
    return tuple(texts)
