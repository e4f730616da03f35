"""The line that opens the WebSocket."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigurationError
from core.plugboard.handshake import (
    check_request_line,
    fingerprint,
    handshake_url,
    request_line_bytes,
)

URL = "ws://plugboard:4000/websocket"
TOKEN = "1-iQ0kccX4R8VQNAC_YjKjLeN1fz81mhIVuQaTndNF0"  # as long as real ones are
LIMIT = 9_998


def decoded(url: str) -> dict[str, str]:
    """The query as a form decoder reads it."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_the_url_is_written_so() -> None:
    """Token, actions and version, compact and with as little percent-encoding as is legal."""
    actions = {"Foo": {"description": "Does it: a/b, (c) & more?", "fields": {}}}
    assert handshake_url(URL, "t-_1", actions, "2.0.0") == (
        f"{URL}?token=t-_1&actions=%7B%22Foo%22:%7B%22description%22:%22Does+it:+a/b,+(c)+%26+more?"
        "%22,%22fields%22:%7B%7D%7D%7D&vsn=2.0.0"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(max_examples=50)
@given(actions=st.dictionaries(st.text(max_size=6), json_values, max_size=3), token=st.text())
def test_everything_decodes_to_what_it_was(actions: dict[str, Any], token: str) -> None:
    """A form decoder returns the same token and actions, for any characters."""
    query = parse_qs(
        urlsplit(handshake_url(URL, token, actions, "1.0.0")).query, keep_blank_values=True
    )
    assert query == {"token": [token], "actions": query["actions"], "vsn": ["1.0.0"]}
    assert json.loads(query["actions"][0]) == actions


def test_a_url_may_have_a_query_already() -> None:
    """What the operator put into WEBSOCKET_URL stays."""
    url = handshake_url(f"{URL}?region=eu", "t", {}, "2.0.0")
    assert decoded(url) == {"region": "eu", "token": "t", "actions": "{}", "vsn": "2.0.0"}


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("ws://h/websocket?a=b", "GET /websocket?a=b HTTP/1.1"),
        ("wss://user:password@h:99/w?a=b", "GET /w?a=b HTTP/1.1"),
        ("ws://h?a=b", "GET /?a=b HTTP/1.1"),
    ],
)
def test_the_limit_counts_the_request_line(url: str, line: str) -> None:
    """Method, target and version count; scheme, host and line end do not."""
    assert request_line_bytes(url) == len(line)


def test_the_limit_is_the_last_length_that_fits() -> None:
    """A line of exactly the limit passes, one byte more does not."""
    url = handshake_url(URL, TOKEN, {"A": "x"}, "2.0.0")
    size = request_line_bytes(url)
    assert check_request_line(url, size) == size
    with pytest.raises(ConfigurationError, match=f"would be {size} bytes") as raised:
        check_request_line(url, size - 1)
    assert "set ACTIONS" in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_a_fingerprint_is_that_of_the_published_values() -> None:
    """The order of keys does not count, anything else does; it is short enough to read out."""
    actions = {"A": {"description": "a", "fields": {"x": 1}}, "B": {}}
    same = {"B": {}, "A": {"fields": {"x": 1}, "description": "a"}}
    assert fingerprint(actions) == fingerprint(same)
    assert len(fingerprint(actions)) == 12
    others = ({"A": actions["A"]}, {**actions, "B": {"description": ""}}, {})
    assert len({fingerprint(each) for each in (actions, *others)}) == 4
