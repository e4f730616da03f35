"""Redis and Postgres as code sees them that is killed in this process.

Messages are counted where they are sent, on all connections and in all threads. Message n and all
later ones are not sent: that is what the servers see of a process that is killed before it, or
after the answer to message n - 1. What the code still does (`finally`, error handlers, retries)
reaches no server. Statements that only read are not counted: to the servers a kill before one is
the kill before the next message that changes something. No proxies and no new connections are
needed, so that a point costs little.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, LiteralString

from sqlalchemy import Connection, event

from core.db.database import Database, Row
from core.db.driver.bounded_connection import BoundedConnection
from core.db.driver.pipelined import Pipelined
from core.settings import DatabaseSettings
from pipeline.redis_client.client import RedisConnection, Reply

READING = ("SELECT", "SET LOCAL")
"""How statements begin that change nothing; locks end with their process."""
READING_COMMANDS = ("SMEMBERS", "HKEYS", "SCRIPT")


class Killed(asyncio.CancelledError):
    """The process is dead: ends tasks and transactions without being handled as an error."""


class Kill:
    """Decides which message is not sent any more."""

    def __init__(self, before: int = 0) -> None:
        """`before`: the first message that is not sent; 0: none is kept back."""
        self._before = before
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self.messages = 0
        self.has_happened = False
        self.event = asyncio.Event()

    def message(self, *, counts: bool = True) -> None:
        """Called before each message; `counts`: it may change something.

        Raises:
            Killed: it must not be sent.
        """
        with self._lock:
            self.messages += counts
            if counts and self.messages == self._before:
                self.now()
            if self.has_happened:
                raise Killed

    def now(self) -> None:
        """No further message is sent."""
        self.has_happened = True
        self._loop.call_soon_threadsafe(self.event.set)


class MortalRedis(RedisConnection):
    """Counts the commands of the event loop; scripts are commands."""

    kill: Kill

    async def command(self, *words: Any) -> Reply:
        """Count and send a command."""
        self.kill.message(counts=words[0] not in READING_COMMANDS)
        return await super().command(*words)


class MortalDatabase(Database):
    """Counts statements, commits, and what is sent as one message."""

    kill: Kill

    def initialize(self, settings: DatabaseSettings | None = None) -> None:
        """Make the engine, and count what it sends."""
        super().initialize(settings)
        self._open: set[Any] = set()
        event.listen(self.engine, "begin", self._begun)
        event.listen(self.engine, "before_cursor_execute", self._statement)
        event.listen(self.engine, "commit", self._commit)
        event.listen(self.engine, "checkout", self._taken)
        event.listen(self.engine, "checkin", self._given_back)

    def _begun(self, connection: Connection) -> None:
        connection.info["changes"] = False

    def _statement(self, connection: Connection, _: Any, text: str, *_more: Any) -> None:
        changes = not text.lstrip().startswith(READING)
        connection.info["changes"] = connection.info.get("changes") or changes
        self.kill.message(counts=changes)

    def _commit(self, connection: Connection) -> None:
        self.kill.message(counts=connection.info["changes"])

    def _taken(self, connection: Any, *_: Any) -> None:
        self._open.add(connection)

    def _given_back(self, connection: Any, *_: Any) -> None:
        self._open.discard(connection)

    def at_once(
        self, statements: LiteralString, parameters: Mapping[str, object]
    ) -> list[list[Row]]:
        """One message."""
        self.kill.message()
        return super().at_once(statements, parameters)

    def in_pipeline(
        self, statements: Pipelined, parameters: Mapping[str, object]
    ) -> list[list[Row]]:
        """One message."""
        self.kill.message()
        return super().in_pipeline(statements, parameters)

    def connection_of_its_own(self) -> BoundedConnection:
        """One message; what is sent over it is known by what follows it."""
        self.kill.message()
        return super().connection_of_its_own()

    def bury(self) -> None:
        """End the transactions of abandoned coroutines, as Postgres does for a dead client."""
        if self._open:
            for connection in self._open:
                connection.close()
            self.initialize(self._settings)
