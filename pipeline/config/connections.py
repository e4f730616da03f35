"""Options that a plugin has from a connection: `connection: crm` in the place of credentials."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from core.errors import PluginFailedError
from pipeline.config.environment import Environment, Unfilled, Written, below
from pipeline.config.sections import TEXT, Section, suggestion

# The sections `connections`, `connection_plugins` and `flows`.
#
# What a connection is given stands there as it was written: its variables, but for those of its
# type, are filled when it is opened, because its plugin may want a number where the environment
# has a text.

FOLDER = "flows"


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A connection: its plugin's `type`, what it is given, and the tasks that callers may run."""

    name: str
    type: str
    given: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)
    expose: tuple[str, ...] = ()
    written: Written = field(default_factory=dict, repr=False, compare=False)
    """The places in `given` whose value YAML read as another than the one written."""
    filled: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """`given` without `type`, its variables filled; a missing one leaves an `Unfilled`."""


@dataclass(frozen=True, slots=True)
class FlowsSpec:
    """Where flows lie, and which of them callers may run."""

    folder: str = FOLDER
    expose: tuple[str, ...] = ()


def read_connections(connections: Section, environment: Environment) -> dict[str, ConnectionSpec]:
    """Every connection by name.

    The values of the variables they use are added to `environment.filled`. A missing variable is
    reported for a type only: the others are reported when the connection is opened.
    """
    return {name: _connection(name, entry, environment) for name, entry in connections.sections()}


def _connection(name: str, entry: Section, environment: Environment) -> ConnectionSpec:
    given = {key: entry.raw(key) for key in entry if key != "expose"}
    own = Environment(environment.variables, filled=environment.filled)
    kind = own.fill(entry.required("type", TEXT, ""), ("type",))
    for missing in own.missing:
        where = (*entry.where, "type")
        entry.findings.problem(where, f"the environment has no {missing.name}")
    return ConnectionSpec(
        name,
        str(kind),
        given,
        _texts(entry, "expose"),
        below(entry.findings.written, entry.where),
        {key: own.fill(value, (name, key)) for key, value in given.items() if key != "type"},
    )


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


OPTION = "connection"
NEEDING = ("links.connection_task", "storage.connection")
"""The modules whose option is a connection's name and nothing else."""


def lendable(connections: Mapping[str, ConnectionSpec]) -> dict[str, Mapping[str, Any]]:
    """The options that each connection can lend: its own values, and the parts of its `url`.

    A value whose variable is missing is left out.
    """
    return {name: _parts(spec.filled) for name, spec in connections.items()}


def _parts(filled: Mapping[str, Any]) -> dict[str, Any]:
    there = {key: value for key, value in filled.items() if not isinstance(value, Unfilled)}
    return {**_of_url(there.get("url")), **there}


def _of_url(url: object) -> dict[str, Any]:
    if not isinstance(url, str):
        return {}
    try:
        parts = urlsplit(url)
        found = {
            "host": parts.hostname,
            "port": parts.port,
            "user": parts.username and unquote(parts.username),
            "username": parts.username and unquote(parts.username),
            "password": parts.password and unquote(parts.password),
            "database": unquote(parts.path.strip("/")),
        }
    except ValueError:  # no URL as others have it
        return {}
    return {key: value for key, value in found.items() if value not in (None, "")}


def borrowed(
    options: Mapping[str, Any],
    connections: Mapping[str, Mapping[str, Any]],
    known: Collection[str],
    *,
    by_itself: bool,
) -> dict[str, Any]:
    """What a plugin that knows these options has from the connection it names, if it names one.

    `by_itself`: it uses connections by their names, and need not have anything from one.

    Raises:
        PluginFailedError: when there are connections and none has this name, or it has nothing for
        this
            plugin, and the option is not the plugin's own either: it would go where its defaults
            lead, such as to localhost.
    """
    name = options.get(OPTION)
    if not isinstance(name, str) or not connections:
        return {}
    own = OPTION in known
    if name not in connections:
        if own:
            return {}
        near = suggestion(name, connections)
        raise PluginFailedError(f"options.{OPTION}: no connection named {name!r}; {near}")
    lent = {key: value for key, value in connections[name].items() if key in known}
    # Numbers and switches, such as a timeout, are no way to anywhere.
    if not (own or by_itself or any(isinstance(value, str) for value in lent.values())):
        raise PluginFailedError(
            f"options.{OPTION}: {name!r} has nothing that this module takes, or the environment"
            f" not what it needs; a module that uses it by itself has {OPTION!r} among its defaults"
        )
    return {key: value for key, value in lent.items() if key not in options}
