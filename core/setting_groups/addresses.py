"""Addresses in the settings, and what is wrong with one that cannot be used.

`REDIS_URL` is of three kinds: one server (`redis://`, `rediss://` with TLS, `unix://`), an address
behind which the server may change, which is written in the same way, and a primary that sentinels
lead to (`redis+sentinel://`, `rediss+sentinel://`).
"""

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

PLAIN = ("redis", "rediss", "unix")
SENTINEL = ("redis+sentinel", "rediss+sentinel")
SENTINEL_PORT = 26379
MOST_SENTINELS = 32
MOST_DATABASE = 2**31 - 1
_SHAPE = "redis+sentinel://[user:password@]host:26379,host:26379/name-of-the-primary/0"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A checked address; `str` and `repr` have no password."""

    plain_url: str
    """For the driver; behind sentinels it lacks the host, which they know."""
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    """The name that the sentinels have for the primary."""

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.plain_url.startswith("rediss")

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """Host and port, or the path of a socket, or the primary's name and its sentinels."""
        if self.sentinels:
            hosts = ", ".join(f"{host}:{port}" for host, port in self.sentinels)
            return f"{self.service} of the sentinels {hosts}"
        parts = urlsplit(self.plain_url)
        return f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path


def read_address(value: str) -> RedisAddress:
    """Check a value of `REDIS_URL`.

    Raises:
        ValueError: it cannot be used; the text does not quote it, as it may have a password.
    """
    value = value.strip()
    parts = checked_url(value, *PLAIN, *SENTINEL)
    return _of_sentinels(parts) if parts.scheme in SENTINEL else RedisAddress(value)


def checked_url(value: str, *schemes: str) -> SplitResult:
    """The parts of a URL that has one of the schemes.

    Raises:
        ValueError: it cannot be connected to; the text does not quote it.
    """
    parts = _split(value)
    if parts.scheme not in schemes:
        msg = f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
        raise ValueError(msg)
    if parts.fragment or "#" in value:
        msg = "must not hold a #; in a password write %23"
        raise ValueError(msg)
    if parts.scheme not in ("unix", *SENTINEL) and not _names_a_server(parts):
        msg = "must name a host and, if any, a port number up to 65535"
        raise ValueError(msg)
    return parts


def password_of(value: str) -> str:
    """The password in an address, decoded; empty if there is none."""
    try:
        return unquote(urlsplit(value).password or "")
    except ValueError:
        return ""


def _split(value: str) -> SplitResult:
    try:
        return urlsplit(value)
    except ValueError:  # its text may quote the password
        msg = "is no URL: check its brackets, and write @, / and # in a password as %40, %2F, %23"
        raise ValueError(msg) from None


def _names_a_server(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text quotes the port, which may be part of a password
        return False


def _of_sentinels(parts: SplitResult) -> RedisAddress:
    user, _, hosts = parts.netloc.rpartition("@")
    sentinels = tuple(_sentinel(each) for each in hosts.split(",") if each)
    if not sentinels or len(sentinels) > MOST_SENTINELS:
        msg = f"must name 1 to {MOST_SENTINELS} sentinels: {_SHAPE}"
        raise ValueError(msg)
    service, _, database = parts.path.removeprefix("/").partition("/")
    if not service:
        msg = f"must name the primary as the sentinels do: {_SHAPE}"
        raise ValueError(msg)
    if "db" in dict(parse_qsl(parts.query)) or not _is_database(database):
        msg = f"must end with the number of a database, or with the primary's name: {_SHAPE}"
        raise ValueError(msg)
    scheme = parts.scheme.removesuffix("+sentinel")
    query = f"?{parts.query}" if parts.query else ""
    plain = f"{scheme}://{f'{user}@' if user else ''}sentinels/{database or 0}{query}"
    return RedisAddress(plain, sentinels, unquote(service))


def _is_database(text: str) -> bool:
    if not text:
        return True
    return text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= MOST_DATABASE


def _sentinel(text: str) -> tuple[str, int]:
    """Host and port of one sentinel; an address of IPv6 is in brackets."""
    parts = _split(f"//{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0:
        msg = "must name each sentinel as host or host:port, with ports from 1 to 65535"
        raise ValueError(msg)
    return host, port or SENTINEL_PORT
