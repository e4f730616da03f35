"""The one way in which plugins fetch what a URL inside a vCon points to.

Whoever wrote the vCon chose the URL, so it must not lead into the operator's own network: only
`http` and `https`, only to public addresses (unless ALLOW_PRIVATE_URLS). A name is resolved once
and the connection goes to the address that was looked at, so that a name server cannot give one
address to the check and another to the connection. Every redirect is looked at in the same way.
URLs from the configuration are the operator's own business and need none of this.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from lib import limits
from pipeline.runs.call_scope import kept

# Asking the name server, for a limited time.
#
# `getaddrinfo` cannot be stopped: it runs in a thread of its own, which is left behind when the
# time is over. So many threads at most wait for a name server.

MOST_LOOKUPS = 32

type Found = Future[list[str]]

_places = threading.BoundedSemaphore(MOST_LOOKUPS)


def addresses(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host.

    Raises:
        OSError: when they cannot be had; TimeoutError within `seconds`.
        UnicodeError: when it is no name.
    """
    if not _places.acquire(timeout=max(seconds, 0)):
        raise TimeoutError("all name lookups are waiting")
    found: Found = Future()
    threading.Thread(target=_look, args=(found, host, port), name="lookup", daemon=True).start()
    return found.result(max(seconds, 0))


def _look(found: Found, host: str, port: int) -> None:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found.set_result([str(info[4][0]) for info in infos])
    except (OSError, UnicodeError) as error:
        found.set_exception(error)
    finally:
        _places.release()


# How much one link may fetch for one vCon: requests, bytes and seconds.
#
# A vCon may have tens of thousands of dialogs, each with a URL whose server answers just before
# its time is over. Each fetch is limited for itself; these limits hold for all of them together.
# Seconds are also counted for each host, so that a host that never answers costs its share once
# and not once for each dialog.


class BudgetSpentError(RuntimeError):
    """One link has fetched as much for one vCon as it may."""


class Budget:
    """What is left for one call of a plugin. Threads may share it."""

    def __init__(self) -> None:
        self.limits = limits.current()
        self.requests = 0
        self.bytes = 0
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def request(self, host: str) -> Iterator[float]:
        """Count a request and its time; gives the seconds that it may take.

        Raises:
            BudgetSpentError: when no request or no second is left.
        """
        left = self._begin(host)
        began = time.monotonic()
        try:
            yield left
        finally:
            with self._lock:
                spent = time.monotonic() - began
                self.seconds[host] = self.seconds.get(host, 0.0) + spent

    def _begin(self, host: str) -> float:
        with self._lock:
            if self.requests >= self.limits.fetch_requests:
                raise BudgetSpentError(
                    f"more than {self.limits.fetch_requests} requests for one vCon"
                )
            self.requests += 1
            left = self.limits.fetch_seconds - sum(self.seconds.values())
            if left <= 0:
                raise BudgetSpentError(f"more than {self.limits.fetch_seconds:g} s for one vCon")
            here = self.limits.fetch_host_seconds - self.seconds.get(host, 0.0)
            if here <= 0:
                raise BudgetSpentError(
                    f"more than {self.limits.fetch_host_seconds:g} s of one host"
                )
            return min(left, here)

    def read(self, count: int) -> None:
        """Count bytes that have come. Raises BudgetSpentError."""
        with self._lock:
            self.bytes += count
            if self.bytes > self.limits.fetch_bytes:
                raise BudgetSpentError(f"more than {self.limits.fetch_bytes} bytes for one vCon")


def current() -> Budget:
    """The budget of the call of a plugin that this code belongs to; a fresh one outside."""
    return kept(Budget)


MIB = 1024 * 1024
MOST_BYTES = 200 * MIB
MOST_REDIRECTS = 5
LONGEST_WAIT = 30.0
"""Seconds without a byte."""
LOOKUP_SECONDS = 10.0
"""The most that a name server may take."""

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Resolve = Callable[[str, int], list[str]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_private_allowed = False


class FetchError(RuntimeError):
    """What a URL points to was not fetched; the text says why and names no more than the host."""


class NotResolvedError(FetchError):
    """No name server knows the host."""


class FetchRefusedError(FetchError):
    """The URL leads where nobody may be sent; trying again will not help."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: the whole content, and its media type in lower case without parameters."""

    content: bytes
    media_type: str


def allow_private_urls(*, allowed: bool) -> None:
    """Whether `fetch` may connect to private addresses in this process (ALLOW_PRIVATE_URLS)."""
    global _private_allowed  # noqa: PLW0603 -- set once at start, before any plugin is loaded
    _private_allowed = allowed


def fetch(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = 60.0,
    most_bytes: int = MOST_BYTES,
    permits: Callable[[Address], bool] | None = None,
    resolve: Resolve | None = None,
) -> Fetched:
    """Fetch what a URL inside a vCon points to; blocks, so an `async` plugin calls it in a thread.

    `headers` go to the origin of `url` only, not to where it redirects. `seconds` is the time for
    all of it, the name server's part included. All fetches of one link for one vCon share a budget
    (`lib.fetching`). `permits` and `resolve` take the place of the rule and the name server in
    tests.

    Raises:
        FetchRefusedError: for another scheme, an address that is not public, content that is
            compressed, more than `most_bytes`, or when the budget is spent.
        FetchError: when the server cannot be reached, is too slow, or answers with an error.
    """
    way = _Way(permits or _permitted, resolve, most_bytes, current())
    deadline = time.monotonic() + seconds
    origin, given = _origin(_parsed(url)), dict(headers or {})
    for _ in range(MOST_REDIRECTS + 1):
        target = _parsed(url)
        outcome = _asked(way, target, given if _origin(target) == origin else {}, deadline)
        if isinstance(outcome, Fetched):
            return outcome
        url = _joined(target, outcome)
    raise FetchError(f"{target.host} redirects more than {MOST_REDIRECTS} times")


@dataclass(frozen=True, slots=True)
class _Way:
    """By which rules a URL is fetched."""

    permits: Callable[[Address], bool]
    resolve: Resolve | None
    most: int
    budget: Budget


def _asked(way: _Way, target: httpx.URL, headers: dict[str, str], deadline: float) -> Fetched | str:
    """What one URL has, or where it redirects to, within the budget."""
    try:
        with way.budget.request(target.host) as seconds:
            until = min(deadline, time.monotonic() + seconds)
            addresses = _addresses(target, way.permits, way.resolve or _lookup(until))
            return _get(way, target, addresses, headers, until)
    except BudgetSpentError as error:
        raise FetchRefusedError(f"{target.host}: {error}") from None


def refuse_private(url: str) -> None:
    """Look at a URL that somebody else will fetch, such as a vendor; blocks like `fetch`.

    A name that cannot be resolved here may be one there, and is let through.

    Raises:
        FetchRefusedError: where `fetch` would raise it before it connects.
    """
    target = _parsed(url)
    try:
        with contextlib.suppress(NotResolvedError), current().request(target.host):
            _addresses(target, _permitted, _lookup(time.monotonic() + LOOKUP_SECONDS))
    except BudgetSpentError as error:
        raise FetchRefusedError(f"{target.host}: {error}") from None


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet's, also when it only wraps one of another kind."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(inside)
        if address.teredo or address.is_site_local or address.is_reserved:
            return False
    return address.is_global and not address.is_multicast


def _permitted(address: Address) -> bool:
    return _private_allowed or is_public(address)


def _parsed(url: str) -> httpx.URL:
    try:
        target = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        raise FetchRefusedError("the URL cannot be read") from None
    if target.scheme not in ("http", "https") or not target.host:
        raise FetchRefusedError("only http:// and https:// URLs with a host are fetched")
    if target.port is not None and not 0 < target.port < 65536:
        raise FetchRefusedError(f"{target.host} has no such port")
    return target


def _joined(target: httpx.URL, location: str) -> str:
    """Where a redirect leads."""
    try:
        return str(target.join(location))
    except (httpx.InvalidURL, ValueError):
        raise FetchRefusedError(f"{target.host} redirects to what is no URL") from None


def _origin(target: httpx.URL) -> tuple[str, str, int | None]:
    return target.scheme, target.host, target.port


def _addresses(
    target: httpx.URL, permits: Callable[[Address], bool], resolve: Resolve
) -> list[str]:
    port = target.port or (443 if target.scheme == "https" else 80)
    try:
        found = list(dict.fromkeys(resolve(target.host, port)))
    except (OSError, UnicodeError):
        raise NotResolvedError(f"{target.host} cannot be resolved") from None
    if not found or not all(
        permits(ipaddress.ip_address(each.partition("%")[0])) for each in found
    ):
        msg = f"{target.host} is not a public address; ALLOW_PRIVATE_URLS lifts this"
        raise FetchRefusedError(msg)
    return found


def _lookup(until: float) -> Resolve:
    """Ask the name server, until then and no longer than LOOKUP_SECONDS."""

    def resolve(host: str, port: int) -> list[str]:
        left = min(until - time.monotonic(), LOOKUP_SECONDS)
        return addresses(host, port, left)

    return resolve


def _get(
    way: _Way, target: httpx.URL, addresses: list[str], headers: dict[str, str], deadline: float
) -> Fetched | str:
    """What one URL has, or where it redirects to; the first address that answers counts."""
    for address in addresses:
        try:
            return _get_from(way, address, target, headers, deadline)
        except httpx.ConnectError:
            continue
        except httpx.HTTPError as error:
            raise FetchError(f"{target.host}: {type(error).__name__}") from None
    raise FetchError(f"{target.host} cannot be reached")


def _get_from(
    way: _Way, address: str, target: httpx.URL, headers: dict[str, str], deadline: float
) -> Fetched | str:
    # httpx limits each wait, asyncio all of them together: a byte now and then is not enough.
    left = max(deadline - time.monotonic(), 0)
    try:
        return asyncio.run(_within(left, _exchange(way, address, target, headers)))
    except TimeoutError:
        raise FetchError(f"{target.host} is too slow") from None


async def _within[T](seconds: float, work: Coroutine[None, None, T]) -> T:
    async with asyncio.timeout(seconds):
        return await work


async def _exchange(
    way: _Way, address: str, target: httpx.URL, headers: dict[str, str]
) -> Fetched | str:
    asked = {**headers, "Host": target.netloc.decode("ascii"), "Accept-Encoding": "identity"}
    # trust_env: a proxy or .netrc of the environment would go round the check or give away secrets
    async with (
        httpx.AsyncClient(trust_env=False, timeout=LONGEST_WAIT) as client,
        client.stream(
            "GET",
            target.copy_with(host=address, userinfo=b""),
            headers=asked,
            extensions={"sni_hostname": target.host},
        ) as response,
    ):
        if response.has_redirect_location:
            return response.headers["location"]
        _check_head(response, target.host)
        content = b"".join([chunk async for chunk in _at_most(response, way, target.host)])
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Fetched(content, kind)


def _check_head(response: httpx.Response, host: str) -> None:
    """Refuse errors, and compressed content: a few bytes of it can hold gigabytes."""
    if not response.is_success:
        raise FetchError(f"{host} answers {response.status_code}")
    encodings = response.headers.get("content-encoding", "").lower().replace(",", " ").split()
    if set(encodings) - {"identity"}:
        raise FetchRefusedError(f"{host} sends compressed content, which it was not asked for")


async def _at_most(response: httpx.Response, way: _Way, host: str) -> AsyncIterator[bytes]:
    seen = 0
    async for chunk in response.aiter_raw():  # never unpacked
        seen += len(chunk)
        way.budget.read(len(chunk))
        if seen > way.most:
            raise FetchRefusedError(f"{host} sends more than {way.most} bytes")
        yield chunk
