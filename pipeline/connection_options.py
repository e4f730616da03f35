"""Options that a guest has from a connection: `connection: crm` in the place of credentials."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from core.errors import GuestError
from pipeline.config_connections import ConnectionSpec
from pipeline.config_environment import Environment, Unfilled
from pipeline.config_section import suggestion

OPTION = "connection"
NEEDING = ("links.connection_task", "storage.connection")
"""The modules whose option is a connection's name and nothing else."""


def lendable(
    connections: Mapping[str, ConnectionSpec], environ: Mapping[str, str]
) -> dict[str, Mapping[str, Any]]:
    """What each connection can lend: all it is given, and the parts of its `url`.

    What needs a variable that is not there is left out.
    """
    return {name: _parts(Environment(environ), spec) for name, spec in connections.items()}


def _parts(environment: Environment, spec: ConnectionSpec) -> dict[str, Any]:
    given = {key: environment.fill(value) for key, value in spec.given.items() if key != "type"}
    there = {key: value for key, value in given.items() if not isinstance(value, Unfilled)}
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
    """What a guest that knows these options has from the connection it names, if it names one.

    `by_itself`: it uses connections by their names, and need not have anything from one.

    Raises:
        GuestError: when there are connections and none has this name, or it has nothing for this
            guest, and the option is not the guest's own either: it would go where its defaults
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
        raise GuestError(f"options.{OPTION}: no connection named {name!r}; {near}")
    lent = {key: value for key, value in connections[name].items() if key in known}
    # Numbers and switches, such as a timeout, are no way to anywhere.
    if not (own or by_itself or any(isinstance(value, str) for value in lent.values())):
        raise GuestError(
            f"options.{OPTION}: {name!r} has nothing that this module takes, or the environment"
            f" not what it needs; a module that uses it by itself has {OPTION!r} among its defaults"
        )
    return {key: value for key, value in lent.items() if key not in options}
