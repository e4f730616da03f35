"""Kept connections that are lost, or only busy, slow or used wrongly."""

import asyncio
import errno
from pathlib import Path

import pytest

from flowlang.exceptions import ConnectionError, FlowExecutionError, FlowValidationError
from tests.unit.support.flowlang_kept import WHERE, Kept, with_depot
from tests.unit.support.flowlang_plugins import GoneError, Parcel


@pytest.fixture
async def kept(tmp_path: Path) -> Kept:
    """With one connection, `depot`."""
    return await with_depot(tmp_path)


async def test_what_was_lost_is_opened_anew(kept: Kept) -> None:
    """A task that finds its connection broken costs its own run, the next one has a new one."""
    await kept.run(WHERE)
    Parcel.hanging = "lend"
    told = await kept.run(WHERE)
    assert "Connection 'depot' (parcel) did not lend within" in told["error"]
    Parcel.hanging = ""
    assert Parcel.log[-1] == "close north"
    assert (await kept.run(WHERE))["success"] is True
    assert Parcel.log.count("open north") == 2


LOST = [
    OSError("broken pipe"),
    TimeoutError(errno.ETIMEDOUT, "timed out"),
    EOFError(),
    ConnectionError("not open"),
]
UNCLEAR = [GoneError("whatever"), TimeoutError(), RuntimeError("closed"), FlowExecutionError("no")]
MISTAKES = [ValueError(), KeyError("a"), TypeError(), FlowValidationError("no")]


@pytest.mark.parametrize("sick", ["", "gone"])
@pytest.mark.parametrize("error", [*LOST, *UNCLEAR, *MISTAKES], ids=repr)
async def test_an_error_of_a_task_shows_whether_the_connection_is_lost(
    kept: Kept, error: Exception, sick: str
) -> None:
    """Also when the plugin has wrapped it; what may mean anything is left to the plugin's check."""
    Parcel.sick = sick
    plugin = await kept.connections.get_plugin("depot")
    with pytest.raises(FlowExecutionError):
        async with kept.connections.borrowed("depot"):
            raise FlowExecutionError("failed") from error
    lost = error in LOST or (error in UNCLEAR and sick == "gone")
    assert (await kept.connections.get_plugin("depot") is not plugin) is lost
    assert Parcel.log.count("check") == (error in UNCLEAR)


async def test_many_failures_are_one_check(kept: Kept) -> None:
    """And one that went well is believed for a second."""
    at_once = asyncio.Barrier(5)

    async def fail() -> None:
        async with kept.connections.borrowed("depot"):
            await at_once.wait()
            raise GoneError

    for now, checks in ((0.0, 1), (0.9, 1), (1.1, 2)):
        kept.now = now
        await asyncio.gather(*(fail() for _ in range(5)), return_exceptions=True)
        assert Parcel.log.count("check") == checks
    Parcel.sick, kept.now = "gone", 9.0
    await asyncio.gather(*(fail() for _ in range(5)), return_exceptions=True)
    assert Parcel.log.count("check") == 3
    assert Parcel.log.count("close north") == 1


async def test_a_timeout_on_a_busy_connection_does_not_replace_it(kept: Kept) -> None:
    """As long as another task uses it, the connection is not replaced."""
    async with kept.connections.borrowed("depot"):
        Parcel.hanging = "lend"
        told = await asyncio.gather(*(kept.run(WHERE) for _ in range(4)))
        assert {each["cause"] for each in told} == {
            "ConnectionTimeoutError: Connection 'depot' (parcel) did not lend within 0.05 s"
        }
        assert "did not lend" in str(await kept.connections.check("depot"))
    assert Parcel.log.count("open north") == 1
    assert "close north" not in Parcel.log


async def test_a_lost_one_is_closed_when_its_last_borrower_has_left(kept: Kept) -> None:
    """It is not closed while a task uses it."""
    async with kept.connections.borrowed("depot"):
        with pytest.raises(OSError, match="gone"):
            async with kept.connections.borrowed("depot"):
                raise OSError("gone")
        await kept.connections.get_plugin("depot")
        assert "close north" not in Parcel.log
    assert Parcel.log.count("close north") == 1


async def test_what_does_not_answer_is_replaced(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    """A check of those that are open finds it, before a task has to."""
    plugin = await kept.connections.get_plugin("depot")
    await kept.connections.check_open()
    assert await kept.connections.get_plugin("depot") is plugin
    Parcel.sick = "no answer"
    await kept.connections.check_open()
    assert "Failed to check 'depot' (parcel): no answer" in caplog.text
    assert await kept.connections.get_plugin("depot") is not plugin
