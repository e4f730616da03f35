"""Fetching what a URL inside a vCon points to: where nobody is sent, and what comes back."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest

from core.settings import Settings
from lib.fetching import FetchError, FetchRefusedError, fetch, is_public
from lib.host import receive_guests


class Pages(ThreadingHTTPServer):
    """Serves what its tests need, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str | None]] = []
        self.redirect = ""
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
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"RIFF!")

    def _trickle(self) -> None:
        """Headers without end, each of them soon, until nobody listens any more."""
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
    receive_guests(Settings.model_construct(**told, egress_format_version="0.4.0"))


@pytest.fixture
def private_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With ALLOW_PRIVATE_URLS."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
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
    """By default nobody is sent to this machine, by whatever name."""
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
