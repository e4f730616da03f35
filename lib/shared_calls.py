"""Saves that wait for the same server share one call.

For storages whose server takes many vCons at once, such as an INSERT of several rows. `write` gets
the items that wait, and there is no delay: an item that comes while no call is at work is written
at once, by itself. Use it on the event loop, from an `async def save`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from core.concurrency.group_commit import GroupCommit

MOST_WAITING = 10_000
"""Items of one storage that may wait; a further one fails, and its save is repeated later."""


class SharedCalls[K: Hashable, T]:
    """Groups the items of each event loop and target, such as the storage's options."""

    def __init__(
        self,
        write: Callable[[K, Sequence[T]], Awaitable[Sequence[Exception | None]]],
        *,
        server: str,
        most_items: int,
        most_bytes: int,
        bytes_of: Callable[[T], int],
        name_of: Callable[[T], Hashable],
        splits: Callable[[Exception], bool] = lambda _: False,
        calls: int = 2,
    ) -> None:
        """`write` returns None or the exception for each item, or raises for all of them.

        A call gets at most `most_items`, and at most `most_bytes` by `bytes_of` unless one item is
        larger. Items with the same `name_of` are written one after the other. An exception of which
        `splits` is true fails no item: each is written again by itself. One call at a time is at
        work, and up to `calls` while those at work take long. `server` is for messages.
        """
        self._write = write
        self._limits: dict[str, Any] = {
            "seconds": None,
            "at_once": most_items,
            "most_waiting": MOST_WAITING,
            "apart": name_of,
            "weight": bytes_of,
            "most_weight": most_bytes,
            "calls": calls,
            "splits": splits,
            "server": server,
        }
        self._groups: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[K, GroupCommit[T, None]]
        ] = WeakKeyDictionary()

    async def __call__(self, target: K, item: T) -> None:
        """Write an item, together with others of the same target.

        If the caller is cancelled, the item may be written all the same; the others are.

        Raises:
            UnavailableError: `MOST_WAITING` items wait.
            Exception: what `write` raises, or returns for this item.
        """
        groups = self._groups.setdefault(asyncio.get_running_loop(), {})
        if target not in groups:
            groups[target] = self._group(target)
        group = groups[target]
        try:
            await group(item)
        finally:
            if group.idle and groups.get(target) is group:
                del groups[target]

    def _group(self, target: K) -> GroupCommit[T, None]:
        async def write(items: Sequence[T]) -> Sequence[Exception | None]:
            return await self._write(target, items)

        return GroupCommit(write, **self._limits)
