"""The line that opens the WebSocket: token and published actions, within the Plugboard's limit.

The Plugboard reads the request line up to a limit and answers a longer one with a bare 414. So the
actions go as compact JSON with only those characters percent-encoded that must be.
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlsplit

import orjson

from core.errors import ConfigurationError

_SAFE = "!$'()*,-./:;?@_~"
"""Characters a query may hold as they are and that mean nothing to a form decoder."""


def handshake_url(websocket_url: str, token: str, actions: Mapping[str, Any], vsn: str) -> str:
    """The URL to connect to."""
    published = quote_plus(orjson.dumps(actions), safe=_SAFE)
    joint = "&" if urlsplit(websocket_url).query else "?"
    return f"{websocket_url}{joint}token={quote_plus(token)}&actions={published}&vsn={vsn}"


def fingerprint(actions: Mapping[str, Any]) -> str:
    """Twelve digits that are the same for every replica that publishes these actions.

    The Plugboard compares decoded values, so the order of keys does not count.
    """
    text = orjson.dumps(actions, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:12]


def request_line_bytes(url: str) -> int:
    """Length of `GET <target> HTTP/1.1`, which is what the limit counts."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}"
    return len(f"GET {target} HTTP/1.1".encode())


def check_request_line(url: str, limit: int) -> int:
    """The length of the request line in bytes.

    Raises:
        ConfigurationError: when it is over the limit.
    """
    size = request_line_bytes(url)
    if size > limit:
        msg = (
            f"ACTIONS: the handshake's request line would be {size} bytes, but the Plugboard reads "
            f"{limit}; set ACTIONS to the names this service shall offer"
        )
        raise ConfigurationError(msg)
    return size
