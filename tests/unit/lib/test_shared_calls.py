"""Saves of one target share calls; those of others do not."""

import asyncio
from collections.abc import Sequence

import pytest

from lib.shared_calls import SharedCalls

type Calls = list[tuple[str, list[str]]]


def shared(calls: Calls, **limits: int) -> SharedCalls[str, str]:
    """Notes its calls; refuses items that begin with `bad`."""

    async def write(target: str, items: Sequence[str]) -> list[Exception | None]:
        calls.append((target, list(items)))
        return [ValueError(item) if item.startswith("bad") else None for item in items]

    return SharedCalls(
        write,
        server="the server",
        most_items=limits.get("most_items", 100),
        most_bytes=limits.get("most_bytes", 100),
        bytes_of=len,
        name_of=lambda item: item,
    )


@pytest.mark.parametrize(
    ("limits", "groups"),
    [
        ({}, [["aaa", "bbb", "ccc"]]),
        ({"most_items": 2}, [["aaa", "bbb"], ["ccc"]]),
        ({"most_bytes": 7}, [["aaa", "bbb"], ["ccc"]]),
        ({"most_bytes": 1}, [["aaa"], ["bbb"], ["ccc"]]),
    ],
)
async def test_items_share_calls_up_to_their_limits(
    limits: dict[str, int], groups: list[list[str]]
) -> None:
    """In the order in which they came; one that is larger than the limit goes alone."""
    calls: Calls = []
    save = shared(calls, **limits)
    await asyncio.gather(*(save("x", item) for item in ("aaa", "bbb", "ccc")))
    assert calls == [("x", group) for group in groups]


async def test_each_target_has_calls_of_its_own() -> None:
    """And is forgotten once nothing waits."""
    calls: Calls = []
    save = shared(calls)
    await asyncio.gather(save("x", "a"), save("y", "a"), save("x", "b"))
    assert calls == [("x", ["a", "b"]), ("y", ["a"])]
    assert [*save._groups.values()] == [{}]


async def test_the_same_name_is_written_twice_in_order() -> None:
    """Never within one call."""
    calls: Calls = []
    save = shared(calls)
    await asyncio.gather(save("x", "a"), save("x", "a"), save("x", "b"))
    assert calls == [("x", ["a", "b"]), ("x", ["a"])]


async def test_a_refused_item_fails_alone() -> None:
    """With its own exception."""
    save = shared([])
    results = await asyncio.gather(save("x", "a"), save("x", "bad"), return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], ValueError)


def test_each_event_loop_has_groups_of_its_own() -> None:
    """As after a fork, or in a script."""
    calls: Calls = []
    save = shared(calls)
    for _ in range(2):
        asyncio.run(save("x", "a"))
    assert calls == [("x", ["a"])] * 2
