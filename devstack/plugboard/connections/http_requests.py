"""HTTP requests as values, and the limits of their head's lines."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from devstack.plugboard.settings import PlugboardSettings

# The real server answers these below HTTP/1.1 and without a body, and hangs up.
REQUEST_LINE_TOO_LONG = b"HTTP/1.0 414 Request-URI Too Long\r\nconnection: close\r\n\r\n"
HEADER_LINE_TOO_LONG = b"HTTP/1.0 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A whole request; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    oversized: bool = False
    """The body passed the limit and was thrown away."""
    from_loopback: bool = True

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The decoded query; the last value of a repeated name."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


def oversized_line(head: bytes, settings: PlugboardSettings) -> bytes | None:
    """The raw refusal of a head, complete or not, with a line past its limit; else None."""
    request_line, *fields = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
    if len(request_line.rstrip(b"\r")) > settings.longest_request_line:
        return REQUEST_LINE_TOO_LONG
    if any(len(line) >= settings.header_line_limit for line in fields):
        return HEADER_LINE_TOO_LONG
    return None


def form(text: str) -> dict[str, Any]:
    """Decode urlencoded pairs, where `a[b]=1` is `{"a": {"b": "1"}}` and `a[]=1` a list."""
    decoded: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        decoded[first] = _nested(decoded.get(first), rest, value)
    return decoded


def _nested(old: Any, path: list[str], value: str) -> Any:
    if not path:
        return value
    if path[0] == "":
        return [*(old if isinstance(old, list) else []), _nested(None, path[1:], value)]
    branch = old if isinstance(old, dict) else {}
    return {**branch, path[0]: _nested(branch.get(path[0]), path[1:], value)}
