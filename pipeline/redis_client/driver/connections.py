"""The driver's connections, with what the service adds to them.

- A pooled connection whose server has closed it is opened again before a command is sent over it.
  The driver leaves that out for RESP 3, and on the event loop it sees a close only once the loop
  has read it, so the first command after a restart of Redis failed.
- All connections of the process, of whichever pool, are of a *generation*. When one of them shows
  that its server is no longer the one to write to (it became a replica, it ended, the sentinels
  name another one), that generation is left: its idle connections are not used again, and those
  that wait for a reply are closed, so that blocking commands and subscriptions end at once.
"""

import asyncio
import contextlib
import select
import socket
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, override

import redis.asyncio
import redis.asyncio.connection
import redis.asyncio.sentinel
import redis.connection
import redis.sentinel

CLOSED = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class OpenConnections:
    """The connections of a process, and the generation in which new ones are opened."""

    def __init__(self) -> None:
        """`on_leave` is called, in any thread, each time that a generation is left."""
        self.generation = 0
        self.on_leave: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()

    def add(self, connection: Any) -> None:
        """Note a connection that has just been opened."""
        with self._lock:
            self._open.add(connection)

    def leave(self, generation: int) -> None:
        """Close the connections of a generation; without effect if it has been left already."""
        with self._lock:
            if generation != self.generation:
                return
            self.generation += 1
            left = [each for each in self._open if each.opened_in <= generation]
        for connection in left:
            connection.hang_up()
        self.on_leave()


if TYPE_CHECKING:
    _AsyncBase = redis.asyncio.connection.AbstractConnection
    _SyncBase = redis.connection.Connection
else:
    _AsyncBase = _SyncBase = object


class _Async(_AsyncBase):
    """A connection on an event loop."""

    def __init__(self, *, open_connections: OpenConnections, **options: Any) -> None:
        super().__init__(**options)
        self.all = open_connections
        self.opened_in = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poll = select.poll()

    @override
    async def _connect(self) -> None:
        self.opened_in = self.all.generation  # before it connects, as that may lead to the old one
        await super()._connect()  # type: ignore[no-untyped-call, safe-super]
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._poll.register(self._transport().get_extra_info("socket").fileno(), CLOSED)
        self.all.add(self)

    @override
    async def can_read(self) -> bool:
        if self.opened_in != self.all.generation or self._poll.poll(0):
            return True  # the pool opens it again
        return await super().can_read()

    def leave(self) -> None:
        """Leave the generation of this connection."""
        self.all.leave(self.opened_in)

    def hang_up(self) -> None:
        """Close the connection, from any thread; a reader gets an error."""
        if self._loop is not None and self._writer is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._transport().abort)

    def _transport(self) -> asyncio.WriteTransport:
        assert self._writer is not None, "only called while it is connected"
        return self._writer.transport


class _Sync(_SyncBase):
    """A connection in a thread."""

    def __init__(self, *, open_connections: OpenConnections, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self.all = open_connections
        self.opened_in = -1

    @override
    def _connect(self) -> Any:
        self.opened_in = self.all.generation
        opened = super()._connect()  # type: ignore[no-untyped-call]
        self.all.add(self)
        return opened

    @override
    def can_read(self, timeout: float = 0) -> bool:
        return self.opened_in != self.all.generation or super().can_read(timeout)

    def is_stale(self) -> bool:
        """Whether the server has closed the connection, or it is of a generation that was left."""
        opened: socket.socket | None = self._sock
        if opened is None:
            return False  # it is opened when a command is sent
        poll = select.poll()
        poll.register(opened.fileno(), CLOSED)
        return self.opened_in != self.all.generation or bool(poll.poll(0))

    def leave(self) -> None:
        """Leave the generation of this connection."""
        self.all.leave(self.opened_in)

    def hang_up(self) -> None:
        """End reads and writes of the thread that uses it, which closes it then."""
        opened: socket.socket | None = self._sock
        if opened is not None:
            with contextlib.suppress(OSError):  # not TLS's own, which changes the object
                socket.socket.shutdown(opened, socket.SHUT_RDWR)


class _AsyncTcp(_Async, redis.asyncio.Connection):
    pass


class _AsyncTls(_Async, redis.asyncio.SSLConnection):
    pass


class _AsyncUnix(_Async, redis.asyncio.UnixDomainSocketConnection):
    pass


class _AsyncPrimary(_Async, redis.asyncio.sentinel.SentinelManagedConnection):
    # the driver's makes a lost connection out of `READONLY`, for the whole batch
    read_response = redis.asyncio.Connection.read_response  # type: ignore[assignment]


class _AsyncTlsPrimary(_AsyncPrimary, redis.asyncio.sentinel.SentinelManagedSSLConnection):
    pass


class _SyncTcp(_Sync, redis.Connection):
    pass


class _SyncTls(_Sync, redis.SSLConnection):
    pass


class _SyncUnix(_Sync, redis.UnixDomainSocketConnection):
    pass


class _SyncPrimary(_Sync, redis.sentinel.SentinelManagedConnection):
    read_response = redis.Connection.read_response


class _SyncTlsPrimary(_SyncPrimary, redis.sentinel.SentinelManagedSSLConnection):
    pass


ASYNC = {"redis": _AsyncTcp, "rediss": _AsyncTls, "unix": _AsyncUnix}
SYNC = {"redis": _SyncTcp, "rediss": _SyncTls, "unix": _SyncUnix}
"""By the scheme of the address."""
ASYNC_PRIMARY = {"redis": _AsyncPrimary, "rediss": _AsyncTlsPrimary}
SYNC_PRIMARY = {"redis": _SyncPrimary, "rediss": _SyncTlsPrimary}
"""To the server that the sentinels name."""
