"""Blocking Redis connections, one for each thread.

The driver's pool and decorators take longer than the command itself. A thread of the worker's pool
lives long, so it keeps its connection. If that has been closed meanwhile, it is opened again, and a
command that may be repeated is sent again. Before another one it is checked that the connection is
open, which costs a call of the kernel.

Timeouts are socket options of the kernel. Python's own timeouts poll before each call, and each
poll releases and reacquires the interpreter lock, which with many threads costs more than all the
rest.
"""

import os
import socket
import struct
import threading
import time
from typing import Any

import redis
from redis.exceptions import ResponseError

from pipeline.redis_client.driver.repeatable import REFUSED
from pipeline.redis_client.errors import AWAY

SOON = 1.0
"""A command that failed after more seconds than this is not repeated."""


class ThreadConnections:
    """Sends packed commands over the calling thread's connection."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        """`pool` makes the connections, with the address and options of the process."""
        self._pool = pool
        self._mine = threading.local()
        self._all: list[Any] = []

    def reply(self, packed: bytes, *, may_repeat: bool) -> Any:
        """Send a packed command and return its reply.

        Raises:
            redis.exceptions.RedisError: the driver's own errors; the caller translates them.
            OSError: when Redis cannot be reached.
        """
        (reply,) = self.replies([packed], may_repeat=may_repeat)
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def replies(self, packed: list[bytes], *, may_repeat: bool) -> list[Any]:
        """Send packed commands in one write; error replies are returned in their places.

        Raises what `reply` raises if all commands fail together.
        """
        connection = self._connection()
        if connection.opened_in != connection.all.generation or (
            not may_repeat and connection.is_stale()
        ):
            connection.disconnect()
        if connection._sock is None:
            connection.connect()  # if it fails, there is nothing to repeat
        begun = time.monotonic()
        try:
            return self._exchange(connection, packed)
        except REFUSED:
            pass
        except AWAY:
            if not may_repeat or time.monotonic() - begun > SOON:
                raise
        connection.connect()
        return self._exchange(connection, packed)

    def _connection(self) -> Any:
        connection = getattr(self._mine, "connection", None)
        if connection is None or self._mine.process != os.getpid():
            connection = self._mine.connection = self._pool.make_connection()
            self._mine.process = os.getpid()  # a forked child must not use its parent's connection
            connection.register_connect_callback(self._connected)  # type: ignore[no-untyped-call]
            self._all.append(connection)
        return connection

    def _exchange(self, connection: Any, packed: list[bytes]) -> list[Any]:
        try:
            connection.send_packed_command([b"".join(packed)], check_health=False)
            return [_read(connection) for _ in packed]
        except (*AWAY, *REFUSED):  # after a failover the address leads to another server
            connection.leave()
            connection.disconnect()
            raise

    def _connected(self, connection: Any) -> None:
        opened = connection._sock
        if type(opened) is socket.socket and (seconds := opened.gettimeout()):  # not TLS
            waiting = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
            opened.settimeout(None)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, waiting)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, waiting)

    def close(self) -> None:
        """Close every thread's connection; a command in progress fails."""
        for connection in self._all:
            connection.disconnect()


def _read(connection: Any) -> Any:
    """The next reply, an error as a value; raises those that concern the connection."""
    try:
        return connection.read_response()
    except REFUSED:
        raise
    except ResponseError as error:
        return error
