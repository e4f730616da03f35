"""Where options point to, and what is read of the requests that a plugin sends."""

from __future__ import annotations

from typing import Any

import pytest

from devstack.conformance.redirect import Upstream, places, redirected
from devstack.conformance.requests import Request, requests


def proxied(upstream: Upstream) -> tuple[str, int]:
    """A proxy's address."""
    return "127.0.0.1", 1


@pytest.mark.parametrize(
    ("options", "there", "changed"),
    [
        (
            {"url": "https://u:p@api.example/v1?a=b#c"},
            [Upstream("api.example", 443, tls=True)],
            {"url": "http://u:p@127.0.0.1:1/v1?a=b#c"},
        ),
        (
            {"db_host": "db", "db_port": "5432", "port": 1, "name": "host"},
            [Upstream("db", 5432)],
            {"db_host": "127.0.0.1", "db_port": 1, "port": 1, "name": "host"},
        ),
        (
            {"hosts": ["http://[::1]:9200", "mongodb://m"], "in": {"deep": "redis://r/0"}},
            [Upstream("::1", 9200), Upstream("m", 27017), Upstream("r", 6379)],
            {
                "hosts": ["http://127.0.0.1:1", "mongodb://127.0.0.1:1"],
                "in": {"deep": "redis://127.0.0.1:1/0"},
            },
        ),
        ({"text": "see http://a.example:x/ or urn:b, file:///c, host: d"}, [], None),
        ({"host": "", "port": 5}, [], None),
        ({"host": "db", "port": None, "n": 1.5, "on": True}, [], None),
        ({"url": "http://[::1"}, [], None),
    ],
)
def test_places_are_found_and_replaced(
    options: dict[str, Any], there: list[Upstream], changed: dict[str, Any] | None
) -> None:
    """URLs at any depth, and hosts with their ports; everything else stays."""
    assert places(options) == there
    assert redirected(options, proxied) == (changed or options)


def test_requests_are_read_from_what_passes() -> None:
    """Several on a connection, with lengths or in chunks; a part and other protocols are none."""
    post = b"POST /a HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: 2\r\n\r\nhi"
    chunks = b"PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    one, two, three = requests([post + chunks, post[:-1], b"\x00\x01\x02", b"", post])
    assert (one.method, one.target, one.key) == ("POST", "/a", "k")
    assert (two.method, two.key) == ("PUT", "")
    assert one.body == two.body
    assert three == one


@pytest.mark.parametrize(
    ("second", "repeats"),
    [
        (Request("POST", "/a", "k", "other"), True),
        (Request("POST", "/a", "", "body"), True),
        (Request("POST", "/a", "l", "other"), False),
        (Request("POST", "/b", "k", "body"), False),
        (Request("PATCH", "/a", "k", "body"), False),
    ],
)
def test_a_repetition_has_the_key_or_the_body(second: Request, *, repeats: bool) -> None:
    """At the same place, with the same method."""
    assert second.repeats(Request("POST", "/a", "k", "body")) is repeats
