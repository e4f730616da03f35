"""One name of the configuration, and its connection: opened, counted, replaced when lost.

A slot opens its connection at first use. After a failed attempt it raises the same error for a
while instead of connecting again. It counts the users of each connection: one that is lost, or
whose configuration changed, is replaced at once and closed by its last user.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowlang.connections.configuration import prepare
from flowlang.connections.connection import Connection, Patience, message_of, uninterrupted
from flowlang.connections.loss import was_lost
from flowlang.connections.registry import ConnectionPluginRegistry
from flowlang.exceptions import ConnectionError
from flowlang.redaction import Secrets

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds without another attempt after a failure, doubled with each one, and their maximum."""
TRUST = 1.0
"""Seconds after a successful check during which failing tasks cause no other."""


@dataclass(frozen=True)
class Means:
    """What all slots need to open connections."""

    registry: ConnectionPluginRegistry
    patience: Patience
    clock: Callable[[], float]


class Slot:
    """Opens a connection when it is first used, counts who uses it, and replaces a lost one."""

    def __init__(self, name: str, given: Any, means: Means) -> None:
        """Open nothing yet."""
        self.given = given
        self.secrets = Secrets()
        self._name = name
        self._means = means
        self._users: dict[Connection, int] = {}
        self._connection: Connection | None = None
        self._opening, self._checking = asyncio.Lock(), asyncio.Lock()
        self._ended = False
        self._failures = 0
        self._not_before = 0.0
        self._well_until = 0.0
        self._why = ""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    async def opened(self) -> Connection | None:
        """The connection; None when this slot has been replaced by another configuration.

        Raises ConnectionError; for a while after a failure the same one, without an attempt.
        """
        if self._connection is not None:
            return self._connection
        async with self._opening:
            if self._connection is None and not self._ended:
                self._connection = await self._open()
            return self._connection

    async def _open(self) -> Connection | None:
        wait = self._not_before - self._means.clock()
        if wait > 0:
            raise ConnectionError(f"{self._why} (tried again in {wait:.0f} s)")
        try:
            prepared = prepare(self._name, self.given, self._means.registry)
            self.secrets.include(prepared.secrets)
            connection = Connection(self._name, prepared, self._means.patience)
            await connection.open()
        except ConnectionError as error:
            self._why = message_of(error)
            wait = min(FIRST_WAIT * 2**self._failures, LONGEST_WAIT)
            self._not_before = self._means.clock() + wait
            self._failures += 1
            raise
        self._failures = 0
        if self._ended:  # replaced while it was being opened, so it has no user that closes it
            await uninterrupted(connection.close())
            return None
        return connection

    def enter(self, connection: Connection) -> None:
        """Count one user more."""
        self._users[connection] = self._users.get(connection, 0) + 1

    async def leave(self, connection: Connection) -> None:
        """Count one user less; the last one of a connection that was replaced closes it."""
        self._users[connection] -= 1
        if not self._users[connection]:
            del self._users[connection]
            if self._connection is not connection:
                await uninterrupted(connection.close())

    async def failed(self, connection: Connection, error: Exception) -> None:
        """Replace the connection if an error means that it was lost; its last user closes it."""
        lost = was_lost(error)
        if lost is None:
            lost = await self._does_not_answer(connection)
        if lost and self._connection is connection:
            self._connection = None

    async def _does_not_answer(self, connection: Connection) -> bool:
        async with self._checking:  # tasks fail at once when a server is gone: one check for all
            if self._connection is not connection or self._means.clock() < self._well_until:
                return False
            try:
                await connection.check()
            except ConnectionError as error:
                return not error.busy
            self._well_until = self._means.clock() + TRUST
            return False

    async def give_up(self) -> None:
        """End this slot; its connection is closed at once, or by its last user."""
        self._ended = True
        connection, self._connection = self._connection, None
        if connection is not None and connection not in self._users:
            await uninterrupted(connection.close())

    async def close(self) -> None:
        """Close the connection even if in use; one that is being opened is closed when open."""
        self._ended = True
        open_now = {*self._users, self._connection} - {None}
        self._connection = None
        for connection in open_now:
            assert connection is not None
            await connection.close()
        async with self._opening:
            pass
