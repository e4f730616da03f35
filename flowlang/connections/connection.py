"""One connection: opened, lent to tasks and closed, each with a time limit."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.configuration import Prepared
from flowlang.contained import contained
from flowlang.exceptions import ConnectionError, ConnectionTimeoutError
from flowlang.limit import Limit

logger = logging.getLogger(__name__)

type Work = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Patience:
    """Time limits of the steps of a connection, in seconds."""

    connect: float = 30.0
    acquire: float = 30.0
    release: float = 10.0
    disconnect: float = 10.0
    check: float = 5.0


class Connection:
    """A connection under its name in a configuration, with a plugin's object of its own."""

    def __init__(self, name: str, prepared: Prepared, patience: Patience) -> None:
        """Do not open it yet."""
        self.name = name
        self.type = prepared.type
        self.plugin = prepared.plugin
        self.secrets = prepared.secrets
        self._config = prepared.config
        self._patience = patience
        self._lent = 0

    async def open(self) -> None:
        """Connect; after a failure, close what was opened. Raises ConnectionError."""
        try:
            connect = partial(self.plugin.connect, self._config)
            await self._asked(connect, self._patience.connect, "open", "connect")
        except BaseException:
            await uninterrupted(self.close())
            raise

    async def close(self) -> None:
        """Disconnect; a failure is logged, not raised, since no caller could handle it."""
        await self._tried(self.plugin.disconnect, self._patience.disconnect, "close", "disconnect")

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Any]:
        """Lend the plugin's connection to a task, and take it back at the end.

        Raises ConnectionError, with `busy` set when other tasks use this connection.
        """
        lend = self.plugin.get_connection
        try:
            each = await self._asked(lend, self._patience.acquire, "lend", "acquire")
        except ConnectionError as error:
            error.busy = self._lent > 0
            raise
        self._lent += 1
        try:
            yield each
        finally:
            try:
                if type(self.plugin).release_connection is not ConnectionPlugin.release_connection:
                    await uninterrupted(self._take_back(each))
            finally:
                self._lent -= 1

    async def _take_back(self, each: Any) -> None:
        release = partial(self.plugin.release_connection, each)
        await self._tried(release, self._patience.release, "take back", "release")

    async def check(self) -> None:
        """Borrow a connection and have the plugin check it. Raises ConnectionError."""
        async with self.lent() as each:
            check = partial(self.plugin.check_connection, each)
            await self._asked(check, self._patience.check, "answer", "check")

    async def _tried(self, work: Work, seconds: float, doing: str, failing: str) -> None:
        try:
            await self._asked(work, seconds, doing, failing)
        except ConnectionError as error:
            logger.warning("%s", error)

    async def _asked(self, work: Work, seconds: float, doing: str, failing: str) -> Any:
        """Await the plugin within the time limit. Raises ConnectionError with name, type, cause."""
        try:
            async with Limit(seconds) as limit:
                return await contained(work())
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired:
                raise ConnectionTimeoutError(self.name, seconds, doing, self.type) from None
            text = self.secrets.text(message_of(error))
            raise ConnectionError(
                f"Failed to {failing} '{self.name}' ({self.type}): {text}"
            ) from error


def message_of(error: BaseException) -> str:
    """An error's text, or its type's name where the text is empty."""
    return str(error) or type(error).__name__


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Finish the work even if cancelled meanwhile, and only then raise the cancellation."""
    # Eager: most work has nothing to wait for and ends before the loop's next iteration.
    task = asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
