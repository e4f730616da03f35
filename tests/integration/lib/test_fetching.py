"""Fetching URLs from vCons: refused addresses, limits and results."""

from __future__ import annotations

import contextlib
import contextvars
import gzip
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest

from core.settings import Settings
from lib import fetching, limits
from lib.fetching import FetchError, FetchRefusedError, fetch, is_public
from lib.vcon_server.host import receive_plugins
from pipeline.config import yaml_file
from pipeline.runs import call_scope


class Pages(ThreadingHTTPServer):
    """Serves what its tests need, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str | None]] = []
        self.redirect = ""
        self.encoding, self.content = "", b"RIFF!"
        self.over = threading.Event()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The URL of a page."""
        return f"http://{host}:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Pages

    def do_GET(self) -> None:
        """Answer by the path."""
        self.server.asked.append((self.path, self.headers["Host"], self.headers["Authorization"]))
        (self._trickle if self.path == "/trickle" else self._page)()

    def _page(self) -> None:
        self.send_response({"/moved": 302, "/missing": 404}.get(self.path, 200))
        if self.path == "/moved":
            self.send_header("Location", self.server.redirect)
        self.send_header("Content-Type", "Audio/WAV; rate=8000")
        self.send_header("Content-Length", str(len(self.server.content)))
        if self.server.encoding:
            self.send_header("Content-Encoding", self.server.encoding)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(self.server.content)

    def _trickle(self) -> None:
        """Send endless headers quickly, until the client disconnects."""
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.server.over.wait(0.02):
                self.wfile.write(b"X: y\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Nothing."""


@pytest.fixture
def pages() -> Iterator[Pages]:
    """A web server on loopback."""
    with Pages() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def configured(*, private: bool) -> None:
    """As at the start of a process, with or without ALLOW_PRIVATE_URLS."""
    told = {"allow_private_urls": private, "vcon_redis_expiry": 3600}
    given = Settings.model_construct(**told, egress_format_version="0.4.0-text")
    receive_plugins(given, yaml_file.document)


@pytest.fixture
def private_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With ALLOW_PRIVATE_URLS."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    # patched before a test may do so, and so restored after what that test replaces
    monkeypatch.setattr(limits, "_limits", limits.current())
    configured(private=True)
    yield
    configured(private=False)


@pytest.mark.usefixtures("private_allowed")
def test_what_is_there_comes_with_its_type(pages: Pages):
    """The content, and the media type without what follows it."""
    fetched = fetch(pages.url("/a.wav"))
    assert (fetched.content, fetched.media_type) == (b"RIFF!", "audio/wav")


@pytest.mark.usefixtures("private_allowed")
def test_a_server_that_never_ends_is_given_up(pages: Pages):
    """However little it keeps one waiting each time."""
    with pytest.raises(FetchError, match=r"127\.0\.0\.1 is too slow"):
        fetch(pages.url("/trickle"), seconds=0.3)


def test_loopback_is_refused_without_being_asked(pages: Pages):
    """By default this machine is refused, under any name."""
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"):
        with pytest.raises(FetchRefusedError, match="ALLOW_PRIVATE_URLS"):
            fetch(pages.url("/", host))
    assert pages.asked == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://x/", "//x/", "", "http://", "a\0b"]
)
def test_other_schemes_are_refused(url: str):
    """Also where private addresses are allowed."""
    with pytest.raises(FetchRefusedError):
        fetch(url, permits=lambda _: True)


def test_a_name_is_resolved_once_and_the_connection_goes_there(pages: Pages):
    """The name server is asked once, and the server still hears the name it was asked by."""
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    url = pages.url("/x", "partner.example")
    fetch(url, permits=lambda _: True, resolve=resolve)
    assert asked == ["partner.example"]
    assert pages.asked == [("/x", f"partner.example:{pages.server_port}", None)]


def test_one_private_address_among_several_is_refused(pages: Pages):
    """A name that has a public address besides is no way in."""
    with pytest.raises(FetchRefusedError):
        fetch(pages.url("/", "x.example"), resolve=lambda _h, _p: ["93.184.215.14", "10.0.0.1"])


@pytest.mark.parametrize("location", ["http://127.0.0.2:{port}/", "file:///etc/passwd"])
def test_a_redirect_is_looked_at_as_the_url_was(pages: Pages, location: str):
    """A permitted server cannot send anybody on to one that is not."""
    pages.redirect = location.format(port=pages.server_port)
    with pytest.raises(FetchRefusedError):
        fetch(pages.url("/moved"), permits=lambda address: str(address) == "127.0.0.1")
    assert [path for path, *_ in pages.asked] == ["/moved"]


def test_headers_stay_with_the_server_they_were_meant_for(pages: Pages):
    """Another origin that is redirected to does not get them."""
    pages.redirect = pages.url("/there", "other.example")
    fetch(
        pages.url("/moved"),
        headers={"Authorization": "mine"},
        permits=lambda _: True,
        resolve=lambda _h, _p: ["127.0.0.1"],
    )
    assert [given for *_, given in pages.asked] == ["mine", None]


@pytest.mark.usefixtures("private_allowed")
def test_what_goes_wrong_is_told_without_the_url(pages: Pages):
    """Loops, errors and sizes; a path may hold a key, so it is not repeated."""
    pages.redirect = "/moved"
    for path, words, options in (
        ("/moved", "redirects more than", {}),
        ("/missing", "answers 404", {}),
        ("/big", "more than 4 bytes", {"most_bytes": 4}),
    ):
        with pytest.raises(FetchError, match=words) as told:
            fetch(pages.url(path), **options)
        assert path not in str(told.value)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::a9fe:a9fe", False),
        ("::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses_are_told_from_others(address: str, public: bool):
    """Loopback, link-local, private, shared, multicast, and IPv6 that wraps such an IPv4."""
    assert is_public(ip_address(address)) is public


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity, br", "x-unheard-of"])
def test_compressed_content_is_refused_unread(pages: Pages, encoding: str):
    """A few bytes of it can hold gigabytes, and it was asked for as it is."""
    pages.encoding, pages.content = encoding, gzip.compress(bytes(64 * 1024 * 1024))
    tracemalloc.start()
    try:
        with pytest.raises(FetchRefusedError, match="compressed"):
            fetch(pages.url("/packed"))
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("private_allowed")
@pytest.mark.parametrize(
    "location", ["http://x.example:99999/", "http://x.example:0/", "http://x:port/", "http://[::1/"]
)
def test_a_redirect_to_an_odd_place_is_an_ordinary_failure(pages: Pages, location: str):
    """An invalid port is refused."""
    pages.redirect = location
    with pytest.raises(FetchError):
        fetch(pages.url("/moved"))


def test_a_name_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch):
    """The lookup is left behind; what waits for it goes on."""
    over = threading.Event()
    monkeypatch.setattr(fetching.socket, "getaddrinfo", lambda *_, **__: over.wait(60) and [])
    with pytest.raises(FetchError, match="cannot be resolved"):
        fetch("http://slow.example/", seconds=0.05)
    over.set()


@pytest.fixture
def small_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five requests and twelve bytes for each call of a plugin."""
    monkeypatch.setattr(
        limits, "_limits", replace(limits.current(), fetch_requests=5, fetch_bytes=12)
    )


def in_one_call(*steps: Callable[[], object]) -> list[object]:
    """What each step of one call of a plugin gives or raises."""

    def tried(step: Callable[[], object]) -> object:
        try:
            return step()
        except FetchError as error:
            return str(error)

    def call() -> list[object]:
        call_scope.begin()
        return [tried(step) for step in steps]

    return contextvars.copy_context().run(call)


@pytest.mark.usefixtures("private_allowed", "small_budget")
def test_one_link_asks_for_so_many_urls_of_one_vcon(pages: Pages):
    """Redirects count; the next call has a budget of its own."""
    missing = [partial(fetch, pages.url("/missing"))] * 7
    told = in_one_call(*missing)
    assert len(pages.asked) == 5
    assert all("5 requests for one vCon" in str(each) for each in told[5:])
    in_one_call(*missing[:1])
    assert len(pages.asked) == 6


@pytest.mark.usefixtures("private_allowed", "small_budget")
def test_one_link_fetches_so_many_bytes_for_one_vcon(pages: Pages):
    """Each answer has five, and twelve may come."""
    *_, last = in_one_call(*[partial(fetch, pages.url("/a.wav"))] * 3)
    assert "12 bytes for one vCon" in str(last)


@pytest.mark.usefixtures("private_allowed")
def test_a_host_that_never_ends_costs_its_seconds_once(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
):
    """Later dialogs at the same host are refused unasked, those at another are not."""
    monkeypatch.setattr(limits, "_limits", replace(limits.current(), fetch_host_seconds=1.0))
    slow, other = pages.url("/trickle"), pages.url("/a.wav", "localhost")
    told = in_one_call(*[partial(fetch, slow)] * 3, partial(fetch, other))
    assert "too slow" in str(told[0])
    assert all("1 s of one host" in str(each) for each in told[1:3])
    assert [path for path, *_ in pages.asked] == ["/trickle", "/a.wav"]


@pytest.mark.usefixtures("private_allowed")
def test_sync_links_in_one_go_and_async_ones_have_budgets_of_their_own():
    """A call of a plugin begins with nothing spent."""
    kept = [in_one_call(fetching.current, fetching.current) for _ in range(2)]
    assert kept[0][0] is kept[0][1]
    assert kept[0][0] is not kept[1][0]
