"""Waits for conditions of the board, without polling."""

import asyncio
from collections.abc import Callable

Predicate = Callable[[], bool]


class Watch:
    """Predicates that are evaluated after each change of the board."""

    def __init__(self) -> None:
        self._waiters: dict[asyncio.Future[None], Predicate] = {}

    def changed(self) -> None:
        """Evaluate the predicates after a change."""
        for future, predicate in tuple(self._waiters.items()):
            if not future.done() and predicate():
                future.set_result(None)

    async def wait_for(self, predicate: Predicate, within: float) -> None:
        """Return as soon as the predicate holds; raises TimeoutError after `within` seconds."""
        if predicate():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[future] = predicate
        try:
            async with asyncio.timeout(within):
                await future
        finally:
            del self._waiters[future]
