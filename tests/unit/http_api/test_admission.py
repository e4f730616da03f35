"""The places of requests in work."""

import asyncio

import pytest

from core.errors import UnavailableError
from http_api.serving.admission import WAITING_FOR_EACH, Admission

PATIENCE = 60.0


async def test_places_are_given_in_the_order_of_arrival() -> None:
    """As many as there are are taken at once; the next one gets what is given back."""
    admission, order = Admission(2, PATIENCE), []
    ends = [asyncio.Event() for _ in range(4)]

    async def request(number: int) -> None:
        with admission.place() as place:
            await place.take()
            await place.take()  # once more is no second place
            order.append(number)
            await ends[number].wait()

    requests = [asyncio.create_task(request(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert (order, admission.taken, admission.waiting) == ([0, 1], 2, 2)
    for number in range(4):
        ends[number].set()
        await requests[number]
    assert order == [0, 1, 2, 3]
    assert (admission.taken, admission.waiting) == (0, 0)


async def test_a_request_without_a_place_gives_none_back() -> None:
    """Such as one that was refused before."""
    admission = Admission(1)
    with admission.place():
        pass
    assert admission.taken == 0


async def test_so_many_wait_and_no_more() -> None:
    """The next one is refused immediately."""
    admission = Admission(1, PATIENCE)
    await admission.enter()
    waiting = [asyncio.create_task(admission.enter()) for _ in range(WAITING_FOR_EACH)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="wait"):
        await admission.enter()
    for _ in waiting:
        admission.leave()
    await asyncio.gather(*waiting)


async def test_waiting_has_an_end() -> None:
    """The request is refused, and does not wait any more."""
    admission = Admission(1, wait_seconds=0.01)
    await admission.enter()
    with pytest.raises(UnavailableError, match="too long"):
        await admission.enter()
    assert (admission.taken, admission.waiting) == (1, 0)


@pytest.mark.parametrize("is_its_turn", [False, True])
async def test_a_request_that_is_cancelled_keeps_no_place(is_its_turn: bool) -> None:
    """Neither while it waits, nor when its turn came at the same moment."""
    admission = Admission(1, PATIENCE)
    await admission.enter()
    cancelled, other = [asyncio.create_task(admission.enter()) for _ in range(2)]
    await asyncio.sleep(0)
    if is_its_turn:
        admission.leave()
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    if not is_its_turn:
        admission.leave()
    async with asyncio.timeout(PATIENCE):
        await other
    admission.leave()
    assert (admission.taken, admission.waiting) == (0, 0)
