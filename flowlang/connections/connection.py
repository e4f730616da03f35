"""One connection: opened, lent to tasks, closed, none of which may take for ever."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.configuration import Prepared
from flowlang.exceptions import ConnectionError, ConnectionTimeoutError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How many seconds each step of a connection's life may take."""

    connect: float = 30.0
    acquire: float = 30.0
    release: float = 10.0
    disconnect: float = 10.0


class Connection:
    """A connection under its name in a configuration, with a plugin's object of its own."""

    def __init__(self, name: str, prepared: Prepared, patience: Patience) -> None:
        """Not open yet."""
        self.name = name
        self.type = prepared.type
        self.plugin = prepared.plugin
        self.secrets = prepared.secrets
        self._config = prepared.config
        self._patience = patience

    async def open(self) -> None:
        """Connect; what was half opened is closed again. Raises ConnectionError."""
        try:
            await self._timed(self.plugin.connect(self._config), self._patience.connect, "open")
        except Exception as error:
            await uninterrupted(self.close())
            if isinstance(error, ConnectionTimeoutError):
                raise
            raise ConnectionError(self._failed("connect", error)) from error
        except asyncio.CancelledError:
            await uninterrupted(self.close())
            raise

    async def close(self) -> None:
        """Disconnect; a failure is logged, as nobody could do anything about it."""
        try:
            await self._timed(self.plugin.disconnect(), self._patience.disconnect, "close")
        except Exception as error:  # noqa: BLE001 - the others must be closed as well
            logger.warning("%s", self._failed("disconnect", error))

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Any]:
        """What a task works with, taken back whatever happens. Raises ConnectionError."""
        try:
            each = await self._timed(self.plugin.get_connection(), self._patience.acquire, "lend")
        except ConnectionTimeoutError:
            raise
        except Exception as error:
            raise ConnectionError(self._failed("acquire", error)) from error
        try:
            yield each
        finally:
            if type(self.plugin).release_connection is not ConnectionPlugin.release_connection:
                await uninterrupted(self._take_back(each))

    async def _take_back(self, each: Any) -> None:
        try:
            await self._timed(
                self.plugin.release_connection(each), self._patience.release, "take back"
            )
        except Exception as error:  # noqa: BLE001 - the task's own outcome is what counts
            logger.warning("%s", self._failed("release", error))

    async def _timed(self, work: Awaitable[Any], seconds: float, doing: str) -> Any:
        try:
            async with asyncio.timeout(seconds) as limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
            raise ConnectionTimeoutError(self.name, seconds, doing) from None

    def _failed(self, doing: str, error: Exception) -> str:
        return f"Failed to {doing} '{self.name}' ({self.type}): {self.secrets.text(said(error))}"


def said(error: BaseException) -> str:
    """What an error says, or what it is called where it says nothing."""
    return str(error) or type(error).__name__


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Carry something out to its end, and only then be cancelled."""
    # Begun at once: most have nothing to wait for, and are over before the loop turns again.
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
