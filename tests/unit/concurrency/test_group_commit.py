"""Requests that wait share a batch; the limits of a batch and of those that wait."""

import asyncio
from collections.abc import Sequence

import pytest

from core.concurrency.group_commit import GroupCommit
from core.errors import InvalidError, UnavailableError


class Server:
    """Notes the batches; carries them out while `open` is set."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open, self.began = asyncio.Event(), asyncio.Event()

    async def commit(self, items: Sequence[int]) -> Sequence[int]:
        """Each item's result is its double."""
        self.batches.append(list(items))
        self.began.set()
        await self.open.wait()
        return [2 * item for item in items]


async def results(group: GroupCommit[int, int], server: Server, items: list[int]) -> list[int]:
    """Give items at once, the first of which holds the others up until all wait."""
    first = asyncio.ensure_future(group(items[0]))
    await server.began.wait()
    others = [asyncio.ensure_future(group(item)) for item in items[1:]]
    await asyncio.sleep(0)  # each of them waits now
    server.open.set()
    return await asyncio.gather(first, *others)


@pytest.mark.parametrize(
    ("how", "batches"),
    [
        ({}, [[1], [2, 3, 4, 5]]),
        ({"at_once": 3}, [[1], [2, 3, 4], [5]]),
        ({"weight": lambda item: item, "most_weight": 6}, [[1], [2, 3], [4], [5]]),
        ({"apart": lambda item: item % 2}, [[1], [2, 3], [4, 5]]),
    ],
)
async def test_what_waits_shares_a_batch(how: dict[str, object], batches: list[list[int]]) -> None:
    """Up to its limits, in the order in which it was given; each gets its own result."""
    server = Server()
    limits: dict[str, object] = {"seconds": 60, "at_once": 100, "most_waiting": 100} | how
    group = GroupCommit[int, int](server.commit, **limits)  # type: ignore[arg-type]
    assert await results(group, server, [1, 2, 3, 4, 5]) == [2, 4, 6, 8, 10]
    assert server.batches == batches


async def test_one_that_is_alone_does_not_wait() -> None:
    """It is carried out by itself, and so is the next one."""
    server = Server()
    server.open.set()
    group = GroupCommit(server.commit, seconds=60, at_once=9, most_waiting=9)
    assert [await group(1), await group(2)] == [2, 4]
    assert server.batches == [[1], [2]]


async def test_too_many_wait() -> None:
    """Further ones are refused, and those that wait are carried out."""
    server = Server()
    group = GroupCommit(server.commit, seconds=60, at_once=9, most_waiting=2)
    first = asyncio.ensure_future(group(1))
    await server.began.wait()
    waiting = [asyncio.ensure_future(group(item)) for item in (2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="2 vCons wait"):
        await group(4)
    server.open.set()
    assert await asyncio.gather(first, *waiting) == [2, 4, 6]


async def test_one_that_is_cancelled_makes_room() -> None:
    """Though the call at work does not end: its item is not kept."""
    server = Server()
    group = GroupCommit(server.commit, seconds=None, at_once=9, most_waiting=1)
    first = asyncio.ensure_future(group(1))
    await server.began.wait()
    gone = asyncio.ensure_future(group(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    other = asyncio.ensure_future(group(3))
    await asyncio.sleep(0)
    server.open.set()
    assert await asyncio.gather(first, other) == [2, 6]


async def test_an_error_is_that_of_its_batch_only() -> None:
    """All of the batch get it; the next batch is carried out."""

    async def commit(items: Sequence[int]) -> Sequence[int]:
        if 1 in items:
            raise UnavailableError("away")
        return items

    group = GroupCommit(commit, seconds=60, at_once=9, most_waiting=9)
    with pytest.raises(UnavailableError, match="away"):
        await group(1)
    assert await group(2) == 2


async def test_an_item_that_is_invalid_fails_alone() -> None:
    """The others of its batch are carried out."""

    async def commit(items: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0)  # the others come meanwhile
        if 3 in items:
            raise InvalidError("3 does not fit")
        return items

    group = GroupCommit(commit, seconds=60, at_once=9, most_waiting=9)
    calls = (group(item) for item in (1, 2, 3, 4))
    first, second, third, fourth = await asyncio.gather(*calls, return_exceptions=True)
    assert (first, second, fourth) == (1, 2, 4)
    assert isinstance(third, InvalidError)


async def test_no_answer_in_time() -> None:
    """The caller is told so, and is not waited for."""
    server = Server()
    group = GroupCommit(server.commit, seconds=0.01, at_once=9, most_waiting=9)
    with pytest.raises(UnavailableError, match="does not answer in time"):
        await group(1)
    server.open.set()


async def test_a_result_may_be_an_error() -> None:
    """Of its item only."""

    async def commit(items: Sequence[int]) -> Sequence[int | Exception]:
        return [KeyError(item) if item == 2 else item for item in items]

    group = GroupCommit[int, int](commit, seconds=None, at_once=9, most_waiting=9)
    first, second = await asyncio.gather(group(1), group(2), return_exceptions=True)
    assert first == 1
    assert isinstance(second, KeyError)


async def test_what_takes_long_does_not_hold_others_up() -> None:
    """Another call begins beside a slow one, and no third; items of one key stay in order."""
    open_, began, batches = asyncio.Event(), asyncio.Event(), []

    async def commit(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        if 1 in items:
            began.set()
            await open_.wait()
        return items

    group = GroupCommit[int, int](
        commit,
        seconds=None,
        at_once=9,
        most_waiting=9,
        apart=lambda item: item % 10,
        calls=2,
        slow_after=0,
    )
    slow = asyncio.ensure_future(group(1))
    await began.wait()
    same_key = asyncio.ensure_future(group(11))
    assert await asyncio.gather(group(2), group(3)) == [2, 3]
    assert await group(4) == 4
    assert not same_key.done()
    open_.set()
    assert await asyncio.gather(slow, same_key) == [1, 11]
    assert batches == [[1], [2, 3], [4], [11]]
    assert group.idle


async def test_a_group_that_may_be_divided_is() -> None:
    """Each item gets its own outcome as soon as it has one, though another one takes long."""
    open_ = asyncio.Event()

    async def commit(items: Sequence[int]) -> Sequence[int]:
        if len(items) > 1 or 3 in items:
            raise KeyError
        if 1 in items:
            await open_.wait()
        return items

    group = GroupCommit[int, int](
        commit,
        seconds=None,
        at_once=9,
        most_waiting=9,
        calls=2,
        splits=lambda error: isinstance(error, KeyError),
    )
    slow = asyncio.ensure_future(group(1))
    second, third = await asyncio.gather(group(2), group(3), return_exceptions=True)
    assert second == 2
    assert isinstance(third, KeyError)
    assert not slow.done()
    open_.set()
    assert await slow == 1


async def test_a_cancelled_call_leaves_the_others() -> None:
    """It is not carried out if it still waits."""
    server = Server()
    group = GroupCommit(server.commit, seconds=None, at_once=9, most_waiting=9)
    first = asyncio.ensure_future(group(1))
    await server.began.wait()
    gone, other = asyncio.ensure_future(group(2)), asyncio.ensure_future(group(3))
    await asyncio.sleep(0)
    first.cancel()
    gone.cancel()
    server.open.set()
    assert await other == 6
    assert server.batches == [[1], [3]]
