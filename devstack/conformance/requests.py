"""The HTTP requests in what a plugin has sent to the proxy."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import h11

ENDS = (type(h11.NEED_DATA), type(h11.PAUSED), h11.ConnectionClosed)
"""Events after which there is no further request; the last one would come again and again."""
KEYS = ("idempotency-key", "webhook-id", "x-idempotency-key")
"""Headers by which a receiver knows a repetition."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `key`: that of a header among `KEYS`, `body`: the digest of the body."""

    method: str
    target: str
    key: str
    body: str

    @property
    def changes(self) -> bool:
        """Whether its method may change something."""
        return self.method not in ("GET", "HEAD", "OPTIONS")

    def repeats(self, other: "Request") -> bool:
        """Whether a receiver may take it as the other one again."""
        same_place = (self.method, self.target) == (other.method, other.target)
        if not same_place:
            return False
        by_key = bool(self.key) and self.key == other.key
        return by_key or self.body == other.body or self.method in ("PUT", "DELETE")


def requests(streams: Iterable[bytes]) -> list[Request]:
    """The complete requests of each connection; what is not HTTP has none."""
    return [each for stream in streams for each in _requests(stream)]


def _requests(stream: bytes) -> Iterator[Request]:
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=1024 * 1024)
    reader.receive_data(stream)
    head, body = None, hashlib.sha256()
    try:
        while not isinstance(event := reader.next_event(), ENDS):
            if isinstance(event, h11.Request):
                head, body = event, hashlib.sha256()
            elif isinstance(event, h11.Data):
                body.update(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                yield _request(head, body.hexdigest())
                _next(reader)
    except h11.RemoteProtocolError:
        return


def _next(reader: h11.Connection) -> None:
    """Answer, as far as the reader is concerned, so that it reads the next request."""
    reader.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
    reader.send(h11.EndOfMessage())
    if reader.our_state is h11.DONE:
        reader.start_next_cycle()


def _request(head: h11.Request, body: str) -> Request:
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in head.headers}
    key = next((headers[name] for name in KEYS if name in headers), "")
    return Request(head.method.decode(), head.target.decode("latin-1"), key, body)
