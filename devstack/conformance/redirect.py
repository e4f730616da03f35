"""Where a plugin's options point to, and the same options with another place instead.

A place is a URL, or an option `host` (`..._host`) with a `port` beside it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

PORTS = {
    "amqp": 5672,
    "http": 80,
    "https": 443,
    "mongodb": 27017,
    "mysql": 3306,
    "nats": 4222,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "sftp": 22,
    "ssh": 22,
    "tcp": 80,
    "ws": 80,
    "wss": 443,
}
"""The default ports of the schemes that are redirected."""
ENCRYPTED = {"https": "http", "wss": "ws"}
"""Schemes that the proxy speaks to the peer, while the plugin speaks the other to the proxy."""
PLACE = re.compile(r"[a-z][a-z0-9+]*://[^\s\"'<>]+", re.IGNORECASE)
HOST = re.compile(r"(.*_|)host(name)?")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a peer is; `tls`: the proxy encrypts what it sends there."""

    host: str
    port: int
    tls: bool = False


type Listen = Callable[[Upstream], tuple[str, int]]
"""Starts a proxy before an upstream; returns the address at which it listens."""


def redirected(value: Any, listen: Listen) -> Any:
    """A copy of options with every place replaced by that of a proxy."""
    if isinstance(value, str):
        return PLACE.sub(lambda found: _url(found.group(), listen), value)
    if isinstance(value, Mapping):
        return _mapping(value, listen)
    if isinstance(value, list | tuple):
        return [redirected(each, listen) for each in value]
    return value


def places(value: Any) -> list[Upstream]:
    """The places that options name."""
    found: list[Upstream] = []

    def note(upstream: Upstream) -> tuple[str, int]:
        found.append(upstream)
        return upstream.host, upstream.port

    redirected(value, note)
    return list(dict.fromkeys(found))


def _mapping(options: Mapping[str, Any], listen: Listen) -> dict[str, Any]:
    changed = {name: redirected(each, listen) for name, each in options.items()}
    for host, port in _pairs(options):
        where = Upstream(str(options[host]), int(options[port]))
        changed[host], changed[port] = listen(where)
    return changed


def _pairs(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The names of hosts and of the ports that belong to them."""
    for name, value in options.items():
        found = HOST.fullmatch(str(name).lower())
        if not found or not isinstance(value, str) or "://" in value or not value:
            continue
        port = next((each for each in options if str(each).lower() == f"{found[1]}port"), None)
        if port is not None and str(options[port]).isdigit():
            yield name, port


def _url(url: str, listen: Listen) -> str:
    parts = _parts(url)
    if parts is None or parts.hostname is None:
        return url
    scheme = parts.scheme.lower()
    port = parts.port or PORTS[_family(scheme)]
    host, listened = listen(Upstream(parts.hostname, port, scheme in ENCRYPTED))
    user, at, _ = parts.netloc.rpartition("@")
    scheme = ENCRYPTED.get(scheme, scheme)
    return parts._replace(scheme=scheme, netloc=f"{user}{at}{host}:{listened}").geturl()


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        known = _family(parts.scheme.lower()) in PORTS and (parts.port or True)
    except ValueError:  # an address of IPv6 without its bracket, a port that is no number
        return None
    return parts if known else None


def _family(scheme: str) -> str:
    return scheme.partition("+")[0]
