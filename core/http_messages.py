"""HTTP/1.1 as the health port speaks it: requests without a body, answers with a length."""

from http import HTTPStatus
from typing import NamedTuple

END_OF_HEAD = b"\r\n\r\n"
_VERSIONS = ("HTTP/1.0", "HTTP/1.1")


class Request(NamedTuple):
    """The head of one request."""

    method: str
    path: str
    headers: dict[str, str]
    """By name in lower case; of a repeated one the last."""
    version: str

    @property
    def keeps_open(self) -> bool:
        """Whether another request may follow; never behind a body, which is not read."""
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            return False
        asked = self.headers.get("connection", "").lower()
        return asked == "keep-alive" if self.version == "HTTP/1.0" else asked != "close"


class Answer(NamedTuple):
    """One response."""

    status: int
    content: bytes
    content_type: str = "application/json"

    def to_bytes(self, request: Request | None) -> bytes:
        """Its text; None stands for a request that could not be read, behind which nothing is."""
        connection = "keep-alive" if request and request.keeps_open else "close"
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
            f"Content-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.content)}\r\n"
            f"Connection: {connection}\r\n\r\n"
        )
        without_body = request is not None and request.method == "HEAD"
        return head.encode("latin-1") + (b"" if without_body else self.content)


def request_of(head: bytes) -> Request | None:
    """The request that a head says, up to the empty line; None: it is none of HTTP/1."""
    first, *lines = head.decode("latin-1").strip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in _VERSIONS:
        return None
    headers = (line.partition(":") for line in lines)
    named = {name.strip().lower(): value.strip() for name, _, value in headers}
    return Request(words[0], words[1], named, words[2])
