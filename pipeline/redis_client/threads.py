"""Redis for threads: one connection for each, and nothing between it and the wire.

The driver's own way, through its pool and decorators, takes longer than the command does. A thread
of the worker's pool lives long, so its connection does, too; one that has gone stale meanwhile is
replaced, and the command sent again: every command of ours may be repeated.

A thread waits in the kernel, for as long as the kernel is told. Python's own time-outs ask before
each call whether it would wait, and each time the thread lets go of the interpreter and must get it
back: with many threads that costs more than all the rest.
"""

import os
import socket
import struct
import threading
from typing import Any

import redis
from redis.exceptions import ReadOnlyError, ResponseError

from pipeline.redis_client.errors import AWAY


class ThreadConnections:
    """Sends packed commands over the calling thread's connection."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        """`pool` says where Redis is and how to speak with it."""
        self._pool = pool
        self._mine = threading.local()
        self._all: list[Any] = []

    def reply(self, packed: bytes) -> Any:
        """What Redis answers.

        Raises:
            redis.exceptions.RedisError: the driver's own errors; the caller translates them.
            OSError: when Redis cannot be reached.
        """
        connection = getattr(self._mine, "connection", None)
        if connection is not None and self._mine.process == os.getpid():
            try:
                return _exchange(connection, packed)
            except AWAY:
                connection.disconnect()
            except ReadOnlyError:
                connection.disconnect()
                raise
        else:
            connection = self._mine.connection = self._pool.make_connection()
            self._mine.process = os.getpid()  # one that forks must not use its parent's
            connection.register_connect_callback(self._connected)  # type: ignore[no-untyped-call]
            self._all.append(connection)
        try:
            return _exchange(connection, packed)
        except (*AWAY, ReadOnlyError):  # the master may be elsewhere by now
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
        """Close every thread's connection; threads that go on get an error or a new one."""
        for connection in self._all:
            connection.disconnect()


def _exchange(connection: Any, packed: bytes) -> Any:
    connection.send_packed_command([packed], check_health=False)
    reply = connection.read_response()
    if isinstance(reply, ResponseError):
        raise reply
    return reply
