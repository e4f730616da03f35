"""The open connections of the HTTP API: how many, how long each may take, what they do not read."""

import asyncio
from math import inf
from typing import NamedTuple, Protocol

from uvicorn.server import ServerState

from core.settings import Settings

SWEEP_SECONDS = 0.25
"""Time between two checks of all deadlines, at most; it is shorter for shorter limits."""
RECENT_SECONDS = 0.5
"""A connection that had a request so recently may have the next one on its way when we stop."""


class ServerLimits(NamedTuple):
    """What clients of the HTTP API can use of this process."""

    connections: int = 1000
    head_bytes: int = 65_536
    """For the request line and the headers; and again for trailers and the lines of chunks."""
    head_seconds: float = 10.0
    """For a head, and between two pieces of a body."""
    body_seconds: float = 60.0
    """For a body, and for taking each part of an answer."""
    keep_alive_seconds: float = 75.0
    unread_bytes: int = 256 * 1024 * 1024
    """Bytes of answers that clients have not taken, of all connections."""

    @classmethod
    def of(cls, settings: Settings) -> "ServerLimits":
        """The limits in the settings."""
        return cls(
            settings.api_max_connections,
            settings.api_max_head_bytes,
            settings.api_head_seconds,
            settings.api_body_seconds,
            settings.api_keep_alive_seconds,
            settings.api_max_request_memory,
        )


class Connection(Protocol):
    """A connection as this file sees it; `deadline` and `write_deadline` are of its clock."""

    deadline: float
    write_deadline: float
    idle_since: float

    @property
    def unread_bytes(self) -> int:
        """Bytes of answers that the client has not taken."""

    @property
    def is_idle(self) -> bool:
        """Whether it has no request in work and no part of one."""

    def pass_time(self, seconds: float) -> None:
        """So much time has passed; the connection may move its deadline."""

    def expire(self) -> None:
        """The deadline has passed."""

    def cut(self) -> None:
        """Close it now, without waiting for what is not sent yet."""

    def leave(self) -> None:
        """Close it when all is sent that was written."""


class Connections(ServerState):
    """All connections of one server.

    The clock of deadlines stands still while the event loop is blocked: bytes that have arrived in
    the meantime are read before a deadline can pass. So that each request does not need a timer, a
    periodic sweep compares the deadlines.
    """

    def __init__(self, limits: ServerLimits) -> None:
        super().__init__()
        self.limits = limits
        self.sweep_seconds = min(SWEEP_SECONDS, min(limits[2:5]) / 4)
        self.clock = 0.0
        self.stopping = False
        self.gone = asyncio.Event()
        """Set when the last connection is gone, while stopping."""
        self._open: set[Connection] = set()
        self._without_work: dict[Connection, None] = {}
        self._unread: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> bool:
        """Count a connection; the longest idle one gives way. False if all have requests in work.

        A connection that has sent only a part of a head counts as idle here, since its first byte.
        """
        if len(self._open) >= self.limits.connections:
            if not self._without_work:
                return False
            longest_idle = next(iter(self._without_work))
            longest_idle.cut()
            self.remove(longest_idle)
        self._open.add(connection)
        self.without_work(connection)
        return True

    def remove(self, connection: Connection) -> None:
        """The connection is closed."""
        self._open.discard(connection)
        self._without_work.pop(connection, None)
        self._unread.pop(connection, None)
        if self.stopping and not self._open:
            self.gone.set()

    def without_work(self, connection: Connection) -> None:
        """The connection has no request in work, from now on."""
        if connection in self._open:
            self._without_work[connection] = None
            connection.idle_since = self.clock

    def with_work(self, connection: Connection) -> None:
        """A request of the connection is in work."""
        self._without_work.pop(connection, None)

    def unread(self, connection: Connection) -> None:
        """The client does not take an answer; those who have not for longest are cut if need be."""
        self._unread[connection] = None
        held = sum(each.unread_bytes for each in self._unread)
        for each in [*self._unread]:
            if held <= self.limits.unread_bytes:
                return
            held -= each.unread_bytes
            del self._unread[each]
            each.cut()

    def read(self, connection: Connection) -> None:
        """The client has taken the answer."""
        self._unread.pop(connection, None)

    def after(self, seconds: float) -> float:
        """The deadline that passes after so many seconds, not sooner."""
        return self.clock + seconds + self.sweep_seconds

    def sweep(self) -> None:
        """Let one interval of the clock pass, and act on the deadlines that have passed."""
        self.clock += self.sweep_seconds
        for each in [*self._open]:
            each.pass_time(self.sweep_seconds)
            if self.clock >= each.write_deadline:
                each.write_deadline = inf
                each.cut()
            elif self.clock >= each.deadline:
                each.deadline = inf
                each.expire()
        if self.stopping:
            self._close_idle()

    def stop(self) -> None:
        """Close idle connections, now and later; other answers are the last of their connection."""
        self.stopping = True
        self._close_idle()
        if not self._open:
            self.gone.set()

    def _close_idle(self) -> None:
        for each in [*self._without_work]:
            if each.is_idle and self.clock - each.idle_since >= RECENT_SECONDS:
                each.leave()

    def cut_all(self) -> None:
        """Close every connection now."""
        for each in [*self._open]:
            each.cut()
