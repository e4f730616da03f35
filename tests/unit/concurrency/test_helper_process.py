"""The helper process: what is called there comes back, or fails in words, and never stays."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.concurrency.helper_process import TRIES, HelperLimits, HelperProcess
from core.errors import InvalidError, TooLargeError, UnavailableError

ROOT = Path(__file__).parents[3]
MEMORY = 512 * 1024 * 1024
PATIENCE = 60.0


@pytest.fixture
def helper() -> Iterator[HelperProcess]:
    """One that is closed in the end."""
    yield (process := HelperProcess())
    process.close()


def environment() -> set[str]:
    """The names of the variables."""
    return {*os.environ} - {"LC_CTYPE"}  # which Python sets


def is_refused() -> None:
    """A function that fails as a check of a vCon does."""
    raise InvalidError("The vCon is not valid: uuid", ["uuid"])


def dies_unless(path: Path) -> str:
    """Kill the process it runs in, but not the second time; what the path holds."""
    with path.open("a") as file:
        file.write("x")
    if len(path.read_text()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return path.read_text()


def says_and_waits(descriptor: int) -> None:
    """Tell another process of the own pid, and never return."""
    with open(f"/proc/{os.getppid()}/fd/{descriptor}", "w") as pipe:  # noqa: PTH123
        pipe.write("running\n")
    signal.pause()


def ended(pid: int) -> bool:
    """Whether a process ends, however long it takes."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], PATIENCE)[0])
    finally:
        os.close(watched)


async def test_it_runs_elsewhere(helper: HelperProcess) -> None:
    """One process for all calls, below the service, without its environment; none before."""
    assert helper.pid is None
    pid = await helper(os.getpid)
    assert pid == helper.pid != os.getpid()
    assert await helper(os.getpid) == pid
    assert await helper(os.nice, 0) > os.nice(0)
    assert not os.environ.keys() & await helper(environment)


async def test_what_it_raises_is_raised_here(helper: HelperProcess) -> None:
    """With all that the exception holds; and the helper goes on."""
    with pytest.raises(InvalidError, match="not valid: uuid") as refused:
        await helper(is_refused)
    pid = helper.pid
    assert refused.value.problems == ["uuid"]
    assert await helper(os.getpid) == pid


async def test_a_helper_that_ends_in_the_middle_is_replaced(
    helper: HelperProcess, tmp_path: Path
) -> None:
    """And the call is made again."""
    assert await helper(dies_unless, tmp_path / "calls") == "xx"


async def test_a_call_that_ends_every_helper_is_refused(helper: HelperProcess) -> None:
    """As often as that was tried; the next one is not affected."""
    with pytest.raises(UnavailableError, match="try again later"):
        await helper(os._exit, 1)
    assert TRIES == 2
    assert await helper(int, "1") == 1


async def test_a_call_has_its_time() -> None:
    """Then the helper is ended with it."""
    helper = HelperProcess(HelperLimits(seconds=0.5))
    with pytest.raises(TooLargeError, match=r"longer than 0\.5 s \(LARGE_DOCUMENT_SECONDS\)"):
        await helper(signal.pause)
    assert helper.pid is None
    helper.close()


async def test_a_call_has_its_memory() -> None:
    """A larger one is refused, and the helper goes on."""
    helper = HelperProcess(HelperLimits(memory=MEMORY))
    with pytest.raises(TooLargeError, match=rf"more than {MEMORY} bytes \(LARGE_DOCUMENT_MEMORY\)"):
        await helper(bytes, 2 * MEMORY)
    assert len(await helper(bytes, 100)) == 100
    helper.close()


async def test_calls_wait_for_each_other_and_a_cancelled_one_ends_its_helper(
    helper: HelperProcess,
) -> None:
    """Work that is of no more use holds up none of those that wait."""
    pid = await helper(os.getpid)
    reading, writing = os.pipe()
    stuck = asyncio.create_task(helper(says_and_waits, writing))
    assert await asyncio.to_thread(os.read, reading, 100) == b"running\n"
    waiting = [asyncio.create_task(helper(int, text)) for text in "123"]
    stuck.cancel()
    assert await asyncio.gather(*waiting) == [1, 2, 3]
    assert ended(pid)
    os.close(reading)
    os.close(writing)


async def test_close_ends_it_during_a_call(helper: HelperProcess) -> None:
    """The call under way is refused, and so is every later one; nothing is started again."""
    pid = await helper(os.getpid)
    reading, writing = os.pipe()
    stuck = asyncio.create_task(helper(says_and_waits, writing))
    assert await asyncio.to_thread(os.read, reading, 100) == b"running\n"
    helper.close()
    for call in (stuck, helper(int, "1")):
        with pytest.raises(UnavailableError):
            await call
    assert ended(pid)
    assert helper.pid is None
    os.close(reading)
    os.close(writing)


async def test_a_helper_that_is_just_being_started_can_be_ended(helper: HelperProcess) -> None:
    """By a caller that is cancelled, and by the end of the service: none is left behind."""
    started = asyncio.create_task(helper(signal.pause))
    await asyncio.sleep(0)
    started.cancel()
    assert await helper(int, "1") == 1
    stopped = HelperProcess()
    started = asyncio.create_task(stopped(signal.pause))
    await asyncio.sleep(0)
    stopped.close()
    with pytest.raises(UnavailableError):
        await started
    assert stopped.pid is None


PARENT = """
import asyncio, os, signal
from core.concurrency.helper_process import HelperProcess

async def main():
    print(await HelperProcess()(os.getpid), flush=True)
    signal.pause()

asyncio.run(main())
"""


def test_it_ends_with_the_service_that_is_killed() -> None:
    """No process is left behind, though nothing could be done in the end."""
    service = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert service.stdout is not None
    pid = int(service.stdout.readline())
    service.kill()
    service.wait()
    service.stdout.close()
    assert ended(pid)
