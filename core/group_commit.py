"""Requests that wait for Postgres share a transaction.

A transaction for each request costs the process more than the rest of the request. So requests wait
while a call is at work, and the next call makes all that wait, up to its limits. A request that is
alone does not wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from typing import Any

from core.aio import LoopTimeout
from core.errors import ConflictError, InvalidError, UnavailableError

type Commit[T, R] = Callable[[Sequence[T]], Awaitable[Sequence[R]]]


def _weightless(_item: Any) -> int:
    return 0


class GroupCommit[T, R]:
    """Carries items out in batches, one batch at a time; use it on one event loop only."""

    def __init__(
        self,
        commit: Commit[T, R],
        *,
        seconds: float,
        at_once: int,
        most_waiting: int,
        apart: Callable[[T], Hashable] | None = None,
        weight: Callable[[T], int] = _weightless,
        most_weight: int = 1,
    ) -> None:
        """`commit` returns one result for each item of a batch, in their order.

        A batch has at most `at_once` items, and stops before the item with which it would weigh
        more than `most_weight`. Items with the same `apart` are never in one batch. Each caller
        waits for `seconds` at most. After `InvalidError` or `ConflictError` the items of the batch
        are carried out one by one.
        """
        self._commit = commit
        self._seconds = seconds
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._apart = apart
        self._weight = weight
        self._most_weight = most_weight
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._work: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        """The result of an item. After an error the item may have been carried out all the same.

        Raises:
            UnavailableError: too many items wait, or there is no result in time.
            Exception: what `commit` raises.
        """
        if len(self._waiting) >= self._most_waiting:
            raise UnavailableError(f"{self._most_waiting} vCons wait for Postgres; try again later")
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, result))
        if self._work is None:
            self._work = loop.create_task(self._run(), context=Context())
        try:
            async with LoopTimeout(self._seconds):
                return await result
        except TimeoutError:
            raise UnavailableError("Postgres does not answer in time; try again later") from None

    async def _run(self) -> None:
        try:
            while batch := self._next():
                await self._make(batch)
        finally:
            self._work = None

    def _next(self) -> list[tuple[T, asyncio.Future[R]]]:
        """The items of the next batch; they no longer wait."""
        self._waiting = [each for each in self._waiting if not each[1].done()]
        keys: set[Hashable] = set()
        batch: list[tuple[T, asyncio.Future[R]]] = []
        rest: list[tuple[T, asyncio.Future[R]]] = []
        weight = 0
        for each in self._waiting:
            key = self._apart(each[0]) if self._apart else object()
            weight += self._weight(each[0])
            fits = len(batch) < self._at_once and weight <= self._most_weight
            if key not in keys and (fits or not batch):
                batch.append(each)
                keys.add(key)
            else:
                rest.append(each)
        self._waiting = rest
        return batch

    async def _make(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._commit([item for item, _ in batch])
            pairs = list(zip(batch, results, strict=True))
        except Exception as error:  # noqa: BLE001 -- it is raised where the results are awaited
            if isinstance(error, InvalidError | ConflictError) and len(batch) > 1:
                for each in batch:
                    await self._make([each])
            else:
                _fail(batch, error)
        else:
            for (_, future), result in pairs:
                if not future.done():
                    future.set_result(result)


def _fail(batch: Sequence[tuple[Any, asyncio.Future[Any]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
