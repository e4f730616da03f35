"""The sections `connections`, `connection_plugins` and `flows`, and options from connections.

The values of a connection are kept as written. FlowLang fills their variables when it opens the
connection, because the plugin's schema may want a number where the environment has a text. Only the
type is needed before.

A link or storage may name a connection in its option `connection` instead of repeating credentials:
it is lent the connection's values for the options that it knows (`borrowed`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from core.errors import PluginFailedError
from pipeline.config.environment import Environment, Unfilled, Written, below
from pipeline.config.sections import TEXT, Section, suggestion

FOLDER = "flows"
OPTION = "connection"
NEEDING = ("links.connection_task", "storage.connection")
"""The modules whose option `connection` is always the name of a connection."""


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A connection: its plugin's `type`, its values, and the tasks that requests may run."""

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
    """The folder of flows, and the flows that requests may run."""

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
    """The folders that are searched for connection plugins."""
    return _texts(root, "connection_plugins")


def read_flows(flows: Section) -> FlowsSpec:
    """Read the section `flows`."""
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
    except ValueError:  # not a URL
        return {}
    return {key: value for key, value in found.items() if value not in (None, "")}


def borrowed(
    options: Mapping[str, Any],
    connections: Mapping[str, Mapping[str, Any]],
    known: Collection[str],
    *,
    by_itself: bool,
) -> dict[str, Any]:
    """The options that a plugin is lent by the connection it names, if it names one.

    `known` are the plugin's options. `by_itself`: the plugin uses connections by name and need not
    be lent anything.

    Raises:
        PluginFailedError: no connection has this name, or the connection lends no text, and the
            option is not the plugin's own. The plugin would use its defaults, for example
            localhost.
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
    # A number or a switch, such as a timeout, says no place to connect to.
    if not (own or by_itself or any(isinstance(value, str) for value in lent.values())):
        raise PluginFailedError(
            f"options.{OPTION}: {name!r} has nothing that this module takes, or the environment"
            f" not what it needs; a module that uses it by itself has {OPTION!r} among its defaults"
        )
    return {key: value for key, value in lent.items() if key not in options}
