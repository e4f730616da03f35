"""One call in the future."""

import asyncio

from core.plugboard.session import Timer


async def test_it_rings_at_its_time_and_once() -> None:
    """A time that has come rings at the next turn of the loop."""
    rung = asyncio.Event()
    rings: list[float] = []
    loop = asyncio.get_running_loop()

    def ring() -> None:
        rings.append(loop.time())
        rung.set()

    alarm, at = Timer(ring), loop.time()
    alarm.set(at)
    await rung.wait()
    await asyncio.sleep(0)
    assert len(rings) == 1
    assert rings[0] >= at


async def test_only_the_latest_time_counts() -> None:
    """Moved away, it does not ring at the time set before; None silences it."""
    rings: list[int] = []
    now = asyncio.get_running_loop().time()
    moved, silenced = Timer(lambda: rings.append(1)), Timer(lambda: rings.append(2))
    for alarm in (moved, silenced):
        alarm.set(now)
    moved.set(now + 1_000)
    silenced.set(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert rings == []
    moved.set(None)


async def test_it_can_be_set_again_from_its_own_ring() -> None:
    """Ringing forgets the time, so the same time can be set anew."""
    enough = asyncio.Event()
    rings: list[int] = []
    at = asyncio.get_running_loop().time()

    def ring() -> None:
        rings.append(1)
        if len(rings) == 3:
            enough.set()
        else:
            alarm.set(at)

    alarm = Timer(ring)
    alarm.set(at)
    await enough.wait()
    assert len(rings) == 3
