"""Waiting for elements without polling: one blocking connection for each watched list."""

import asyncio
from collections.abc import Iterable, Sequence

from core.concurrency.backoff import Backoff
from core.errors import UnavailableError
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.errors import OUTAGE_BACKOFF

BLOCK_SECONDS = 5.0
"""Seconds of one blocking command; short enough to notice a dead connection."""


class ListWatcher:
    """Wakes its worker when a list has an element.

    A blocking command takes no element, so it may stay in place while the worker is busy, and may
    return late. That saves a reconnect for each idle period.
    """

    def __init__(self, connection: RedisConnection, backoff: Backoff = OUTAGE_BACKOFF) -> None:
        """No list is watched before `watch` and `wait`.

        `backoff`: the waits between blocking commands that Redis refuses.
        """
        self._connection = connection
        self._backoff = backoff
        self._watchers: dict[str, asyncio.Task[None] | None] = {}
        self._paused: frozenset[str] = frozenset()
        self._fired = asyncio.Event()
        self.heard = False
        """Whether a list may have an element that came after `forget`."""

    def watch(self, lists: Sequence[str]) -> None:
        """Watch these lists from now on, and end the current `wait`."""
        for name in set(self._watchers) - set(lists):
            if watcher := self._watchers.pop(name):
                watcher.cancel()
        for name in lists:
            self._watchers.setdefault(name, None)
        self._hear()

    def pause(self, lists: Iterable[str]) -> None:
        """Do not watch these until the next call: claims skip them."""
        self._paused = frozenset(lists)
        for name in self._paused & self._watchers.keys():
            if watcher := self._watchers[name]:
                watcher.cancel()
                self._watchers[name] = None  # it is not done yet, and `wait` is to begin another

    def forget(self) -> None:
        """Ignore earlier elements; to be called before a claim."""
        self.heard = False
        self._fired.clear()

    def wake(self) -> None:
        """End the current `wait`."""
        self._fired.set()

    def _hear(self) -> None:
        self.heard = True
        self._fired.set()

    async def wait(self, at_most: float | None) -> bool:
        """Wait until a list has an element, or for `wake`; False after `at_most` seconds."""
        for name, watcher in self._watchers.items():
            if name not in self._paused and (watcher is None or watcher.done()):
                self._watchers[name] = asyncio.create_task(self._watch(name))
        try:
            async with asyncio.timeout(at_most):
                await self._fired.wait()
        except TimeoutError:
            return False
        self._fired.clear()
        return True

    async def _watch(self, name: str) -> None:
        attempt = 0
        while not await self._has_element(name):
            await asyncio.sleep(self._backoff.wait(attempt))
            attempt += 1
        self._hear()

    async def _has_element(self, name: str) -> bool:
        """Block until the list has an element; False when Redis refuses to block.

        Redis refuses at once without memory, and for a key of another type: the worker then claims
        after each pause, and that claim finds out whether Redis is unavailable.
        """
        try:
            while not await self._connection.wait_for_element(name, BLOCK_SECONDS):
                pass
        except (UnavailableError, CommandRefused):
            self._hear()
            return False
        return True

    def close(self) -> None:
        """Stop watching."""
        for watcher in self._watchers.values():
            if watcher is not None:
                watcher.cancel()
