"""Fetches URLs that stand in vCons; plugins use no other way.

The author of a vCon chooses its URLs, so they are untrusted and must not reach the operator's
network (server-side request forgery): only `http` and `https`, only public addresses unless
ALLOW_PRIVATE_URLS is set. A host name is resolved once and the connection goes to the checked
address, so that a name server cannot return one address for the check and another for the
connection. Redirects are checked the same way. URLs from the configuration are trusted and do not
need this module.

A vCon may have tens of thousands of dialogs whose servers answer just before the timeout. Besides
the limits of each fetch, all fetches of one link for one vCon therefore share a budget of requests,
bytes and seconds; seconds are also counted per host, so that a host that never answers uses up its
share once and not once per dialog.
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

from flowlang.connections.tls import web_trust
from lib import limits
from lib.web.client_library import httpx
from pipeline.runs.call_scope import kept

MAX_LOOKUPS = 32
"""The number of concurrent name lookups, including abandoned ones."""

type Found = Future[list[str]]

_lookup_slots = threading.BoundedSemaphore(MAX_LOOKUPS)


def addresses(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host.

    `getaddrinfo` cannot be interrupted, so it runs in a thread that is abandoned at the timeout.

    Raises:
        OSError: if the name cannot be resolved; TimeoutError after `seconds`.
        UnicodeError: if it is not a valid host name.
    """
    if not _lookup_slots.acquire(timeout=max(seconds, 0)):
        raise TimeoutError("too many name lookups in progress")
    found: Found = Future()
    threading.Thread(target=_resolve, args=(found, host, port), name="lookup", daemon=True).start()
    return found.result(max(seconds, 0))


def _resolve(found: Found, host: str, port: int) -> None:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found.set_result([str(info[4][0]) for info in infos])
    except (OSError, UnicodeError) as error:
        found.set_exception(error)
    finally:
        _lookup_slots.release()


class BudgetSpentError(RuntimeError):
    """The fetches of one link for one vCon have reached a limit."""


class Budget:
    """The requests, bytes and seconds used by one call of a plugin; thread-safe."""

    def __init__(self) -> None:
        self.limits = limits.current()
        self.requests = 0
        self.bytes = 0
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def request(self, host: str) -> Iterator[float]:
        """Count a request and its duration; yields the seconds left for it.

        Raises:
            BudgetSpentError: if no request or no time is left.
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
        """Count received bytes. Raises BudgetSpentError."""
        with self._lock:
            self.bytes += count
            if self.bytes > self.limits.fetch_bytes:
                raise BudgetSpentError(f"more than {self.limits.fetch_bytes} bytes for one vCon")


def current() -> Budget:
    """The budget of the current plugin call; a new one outside a call."""
    return kept(Budget)


MIB = 1024 * 1024
MAX_BYTES = 200 * MIB
MAX_REDIRECTS = 5
READ_TIMEOUT = 30.0
"""Seconds without a byte."""
LOOKUP_SECONDS = 10.0
"""The timeout of one name lookup."""

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Resolve = Callable[[str, int], list[str]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class FetchError(RuntimeError):
    """A URL was not fetched; the text has the cause and the host, but not the URL."""


class NotResolvedError(FetchError):
    """The host name cannot be resolved."""


class FetchRefusedError(FetchError):
    """The URL or the answer is not allowed; a repeat will not help."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The whole content, and its media type in lower case without parameters."""

    content: bytes
    media_type: str


def fetch(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = 60.0,
    most_bytes: int = MAX_BYTES,
    permits: Callable[[Address], bool] | None = None,
    resolve: Resolve | None = None,
) -> Fetched:
    """Fetch a URL from a vCon; blocks, so an `async` plugin calls it in a thread.

    `headers` are sent to the origin of `url` only, not to other origins after a redirect. `seconds`
    limits the whole fetch, including name lookups. Tests replace `permits` and `resolve`.

    Raises:
        FetchRefusedError: for another scheme, an address that is not public, compressed content,
            more than `most_bytes`, or an exhausted budget.
        FetchError: if the server cannot be reached, is too slow, or answers with an error.
    """
    rules = _Rules(permits or _permitted, resolve, most_bytes, current())
    deadline = time.monotonic() + seconds
    origin, given = _origin(_parsed(url)), dict(headers or {})
    for _ in range(MAX_REDIRECTS + 1):
        target = _parsed(url)
        outcome = _request(rules, target, given if _origin(target) == origin else {}, deadline)
        if isinstance(outcome, Fetched):
            return outcome
        url = _joined(target, outcome)
    raise FetchError(f"{target.host} redirects more than {MAX_REDIRECTS} times")


@dataclass(frozen=True, slots=True)
class _Rules:
    """The limits and replaceable parts of one fetch."""

    permits: Callable[[Address], bool]
    resolve: Resolve | None
    most: int
    budget: Budget


def _request(
    rules: _Rules, target: httpx.URL, headers: dict[str, str], deadline: float
) -> Fetched | str:
    """The content of one URL, or the target of its redirect; counted in the budget."""
    try:
        with rules.budget.request(target.host) as seconds:
            until = min(deadline, time.monotonic() + seconds)
            addresses = _addresses(target, rules.permits, rules.resolve or _lookup(until))
            return _get(rules, target, addresses, headers, until)
    except BudgetSpentError as error:
        raise FetchRefusedError(f"{target.host}: {error}") from None


def refuse_private(url: str) -> None:
    """Check a URL that another system, such as a vendor, will fetch; blocks like `fetch`.

    A name that cannot be resolved here is accepted, since the other system may resolve it.

    Raises:
        FetchRefusedError: if `fetch` would raise it before connecting.
    """
    target = _parsed(url)
    try:
        with contextlib.suppress(NotResolvedError), current().request(target.host):
            _addresses(target, _permitted, _lookup(time.monotonic() + LOOKUP_SECONDS))
    except BudgetSpentError as error:
        raise FetchRefusedError(f"{target.host}: {error}") from None


def is_public(address: Address) -> bool:
    """Whether an address is public; for IPv6 with an embedded IPv4 address, whether that is."""
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
    return limits.current().allow_private_urls or is_public(address)


def _parsed(url: str) -> httpx.URL:
    try:
        target = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        raise FetchRefusedError("the URL is not valid") from None
    if target.scheme not in ("http", "https") or not target.host:
        raise FetchRefusedError("only http:// and https:// URLs with a host are fetched")
    if target.port is not None and not 0 < target.port < 65536:
        raise FetchRefusedError(f"the URL's port for {target.host} is not valid")
    return target


def _joined(target: httpx.URL, location: str) -> str:
    """The absolute URL of a redirect."""
    try:
        return str(target.join(location))
    except (httpx.InvalidURL, ValueError):
        raise FetchRefusedError(f"{target.host} redirects to an invalid URL") from None


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
    """A resolver that stops at the monotonic time `until`, at the latest after LOOKUP_SECONDS."""

    def resolve(host: str, port: int) -> list[str]:
        left = min(until - time.monotonic(), LOOKUP_SECONDS)
        return addresses(host, port, left)

    return resolve


def _get(
    rules: _Rules,
    target: httpx.URL,
    addresses: list[str],
    headers: dict[str, str],
    deadline: float,
) -> Fetched | str:
    """The content or the redirect, from the first address that accepts a connection."""
    for address in addresses:
        try:
            return _get_from(rules, address, target, headers, deadline)
        except httpx.ConnectError:
            continue
        except httpx.HTTPError as error:
            raise FetchError(f"{target.host}: {type(error).__name__}") from None
    raise FetchError(f"{target.host} cannot be reached")


def _get_from(
    rules: _Rules, address: str, target: httpx.URL, headers: dict[str, str], deadline: float
) -> Fetched | str:
    # httpx limits each wait for data, asyncio the whole exchange: a server may send slowly.
    left = max(deadline - time.monotonic(), 0)
    try:
        return asyncio.run(_within(left, _exchange(rules, address, target, headers)))
    except TimeoutError:
        raise FetchError(f"{target.host} is too slow") from None


async def _within[T](seconds: float, work: Coroutine[None, None, T]) -> T:
    async with asyncio.timeout(seconds):
        return await work


async def _exchange(
    rules: _Rules, address: str, target: httpx.URL, headers: dict[str, str]
) -> Fetched | str:
    sent = {**headers, "Host": target.netloc.decode("ascii"), "Accept-Encoding": "identity"}
    # trust_env: a proxy from the environment would bypass the check, .netrc would leak credentials
    async with (
        httpx.AsyncClient(
            trust_env=False, timeout=READ_TIMEOUT, verify=web_trust(trust_env=False)
        ) as client,
        client.stream(
            "GET",
            target.copy_with(host=address, userinfo=b""),
            headers=sent,
            extensions={"sni_hostname": target.host},
        ) as response,
    ):
        if response.has_redirect_location:
            return response.headers["location"]
        _check_head(response, target.host)
        content = b"".join([chunk async for chunk in _limited(response, rules, target.host)])
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Fetched(content, kind)


def _check_head(response: httpx.Response, host: str) -> None:
    """Refuse error answers and compressed content, which may expand to gigabytes."""
    if not response.is_success:
        raise FetchError(f"{host} answers {response.status_code}")
    encodings = response.headers.get("content-encoding", "").lower().replace(",", " ").split()
    if set(encodings) - {"identity"}:
        raise FetchRefusedError(f"{host} sends compressed content, which was not requested")


async def _limited(response: httpx.Response, rules: _Rules, host: str) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in response.aiter_raw():  # not decompressed
        received += len(chunk)
        rules.budget.read(len(chunk))
        if received > rules.most:
            raise FetchRefusedError(f"{host} sends more than {rules.most} bytes")
        yield chunk
