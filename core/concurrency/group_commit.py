"""Calls that wait for a server share one call.

A call for each item costs the process more than the rest of the item's work. So items wait while a
call is at work, and the next call makes all that wait, up to its limits. An item that is alone does
not wait, and there is no fixed delay.

With `calls` over 1 a call that takes longer than `slow_after` does not hold the others up: another
call begins beside it. A quick server is thus asked by one call at a time, with as many items as
possible, and a slow item, or one that waits for a lock, delays only its own call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from typing import Any

from core.concurrency.aio import LoopTimeout
from core.errors import ConflictError, InvalidError, UnavailableError

type Commit[T, R] = Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]
type _Waiting[T, R] = tuple[T, asyncio.Future[R]]


def _weightless(_item: Any) -> int:
    return 0


def is_of_one_item(error: Exception) -> bool:
    """Whether the items of a batch that failed may succeed one by one."""
    return isinstance(error, InvalidError | ConflictError)


class GroupCommit[T, R]:
    """Carries items out in batches; use it on one event loop only."""

    def __init__(
        self,
        commit: Commit[T, R],
        *,
        seconds: float | None,
        at_once: int,
        most_waiting: int,
        apart: Callable[[T], Hashable] | None = None,
        weight: Callable[[T], int] = _weightless,
        most_weight: int = 1,
        calls: int = 1,
        slow_after: float = 0.1,
        splits: Callable[[Exception], bool] = is_of_one_item,
        server: str = "Postgres",
    ) -> None:
        """`commit` returns one result for each item of a batch, in their order, or its exception.

        A batch has at most `at_once` items, and stops before the item with which it would weigh
        more than `most_weight`. Items with the same `apart` are never carried out at the same time,
        and in the order in which they were given. Each caller waits for `seconds` at most. At most
        `calls` batches are at work; while one of them has been for less than `slow_after` seconds,
        no other begins. After an error of which `splits` is true the items of the batch are carried
        out one by one, with `calls` over 1 at the same time. `server` is for messages.
        """
        self._commit = commit
        self._seconds = seconds
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._apart = apart
        self._weight = weight
        self._most_weight = most_weight
        self._calls = calls
        self._slow_after = slow_after
        self._splits = splits
        self._server = server
        self._waiting: list[_Waiting[T, R]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._slow: set[asyncio.Task[None]] = set()
        self._busy: set[Hashable] = set()

    @property
    def idle(self) -> bool:
        """Whether no item waits and no call is at work."""
        return not self._running

    async def __call__(self, item: T) -> R:
        """The result of an item. After an error the item may have been carried out all the same.

        Raises:
            UnavailableError: too many items wait, or there is no result in time.
            Exception: what `commit` raises, or returns for this item.
        """
        if len(self._waiting) >= self._most_waiting:
            raise UnavailableError(
                f"{self._most_waiting} vCons wait for {self._server}; try again later"
            )
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        self._begin()
        try:
            if self._seconds is None:
                return await result
            async with LoopTimeout(self._seconds):
                return await result
        except TimeoutError:
            if self._seconds is None:  # the item's own
                raise
            raise UnavailableError(
                f"{self._server} does not answer in time; try again later"
            ) from None
        finally:
            if result.cancelled():  # the calls at work may take long, and the item may be large
                self._waiting = [each for each in self._waiting if each[1] is not result]

    def _begin(self) -> None:
        """Begin another call, unless one that is quick so far will take what waits."""
        if len(self._slow) == len(self._running) < self._calls:
            # The context is empty also for the loop's task factory, which notes tasks of plugins:
            # this one outlives the call that begins it.
            loop = asyncio.get_running_loop()
            self._running.add(Context().run(loop.create_task, self._run()))

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while batch := self._next():
                await self._make_timed(task, batch)
                if len(self._running) - 1 > len(self._slow):  # another one takes what waits
                    return
        finally:
            self._running.discard(task)

    async def _make_timed(self, task: asyncio.Task[None], batch: Sequence[_Waiting[T, R]]) -> None:
        keys = {self._key(item) for item, _ in batch}
        self._busy |= keys
        timer = None
        if self._calls > 1:
            timer = asyncio.get_running_loop().call_later(self._slow_after, self._note_slow, task)
        try:
            await self._make(batch)
        finally:
            if timer is not None:
                timer.cancel()
            self._slow.discard(task)
            self._busy -= keys

    def _note_slow(self, task: asyncio.Task[None]) -> None:
        self._slow.add(task)
        if self._waiting:
            self._begin()

    def _key(self, item: T) -> Hashable:
        return self._apart(item) if self._apart else None

    def _next(self) -> list[_Waiting[T, R]]:
        """The items of the next batch; they no longer wait."""
        waiting = [each for each in self._waiting if not each[1].done()]
        keys = set(self._busy) if self._apart else set()
        batch: list[_Waiting[T, R]] = []
        rest: list[_Waiting[T, R]] = []
        weight = 0
        for each in waiting:
            key = self._key(each[0])
            is_apart = self._apart is None or key not in keys
            weight += self._weight(each[0]) if is_apart else 0
            fits = len(batch) < self._at_once and weight <= self._most_weight
            if is_apart and (fits or not batch):
                batch.append(each)
            else:
                rest.append(each)
            keys.add(key)
        self._waiting = rest
        return batch

    async def _make(self, batch: Sequence[_Waiting[T, R]]) -> None:
        try:
            results = await self._commit([item for item, _ in batch])
            pairs = list(zip(batch, results, strict=True))
        except Exception as error:  # noqa: BLE001 -- it is raised where the results are awaited
            if len(batch) > 1 and self._splits(error):
                await self._make_one_by_one(batch)
            else:
                _fail(batch, error)
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        else:
            for (_, future), result in pairs:
                _settle(future, result)

    async def _make_one_by_one(self, batch: Sequence[_Waiting[T, R]]) -> None:
        if self._calls > 1:
            await asyncio.gather(*(self._make([each]) for each in batch))
            return
        for each in batch:
            await self._make([each])


def _settle[R](future: asyncio.Future[R], result: R | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _fail(batch: Sequence[tuple[Any, asyncio.Future[Any]]], error: Exception) -> None:
    for _, future in batch:
        _settle(future, error)
