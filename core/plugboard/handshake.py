"""The URL of the WebSocket handshake, which carries the token and the published actions.

The Plugboard answers 414 to a request line above its limit. So the actions are compact JSON with as
few percent-encoded characters as possible.
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlsplit

import orjson

from core.errors import ConfigurationError

_SAFE = "!$'()*,-./:;?@_~"
"""Characters that a query may hold unencoded and a form decoder leaves unchanged."""


def handshake_url(websocket_url: str, token: str, actions: Mapping[str, Any], vsn: str) -> str:
    """The URL to connect to, with token, actions and serializer version in its query."""
    published = quote_plus(orjson.dumps(actions), safe=_SAFE)
    joint = "&" if urlsplit(websocket_url).query else "?"
    return f"{websocket_url}{joint}token={quote_plus(token)}&actions={published}&vsn={vsn}"


def fingerprint(actions: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits, equal for all replicas that publish the same actions.

    The order of keys does not matter, because the Plugboard compares decoded values.
    """
    text = orjson.dumps(actions, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:12]


def request_line_bytes(url: str) -> int:
    """Length of `GET <target> HTTP/1.1`, to which the Plugboard's limit applies."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}"
    return len(f"GET {target} HTTP/1.1".encode())


def check_request_line(url: str, limit: int) -> int:
    """Return the length of the request line in bytes.

    Raises:
        ConfigurationError: the length is above the limit.
    """
    size = request_line_bytes(url)
    if size > limit:
        msg = (
            f"ACTIONS: the handshake's request line would be {size} bytes, but the Plugboard reads "
            f"{limit}; set ACTIONS to the names this service shall offer"
        )
        raise ConfigurationError(msg)
    return size
