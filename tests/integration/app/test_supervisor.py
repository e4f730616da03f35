"""Worker processes are kept running, and end with the process that keeps them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.supervisor import KILL_AFTER, Secrets, Supervisor, Suspects, SuspectWorkerPolicy

PATIENCE = 60.0  # seconds; a ceiling, reached only when something is broken
ROOT = Path(__file__).parents[3]
STUB = [sys.executable, "-I", "-S", str(Path(__file__).with_name("worker_stub.py"))]
KEEPER = """
import asyncio, sys
from app.supervisor import Supervisor
async def died(worker): pass
asyncio.run(Supervisor(sys.argv[1:], 2, died, environment={}).run())
"""


@dataclass
class Stub:
    """One worker, as it introduced itself; `lines` is what it says, and `""` when it is gone."""

    worker_id: str
    pid: int
    session: int
    lines: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def says(self) -> str:
        """What it says next."""
        async with asyncio.timeout(PATIENCE):
            return await self.lines.get()


class Office:
    """Records the connections of workers, and the deaths that the supervisor reports."""

    def __init__(self) -> None:
        self.stubs: asyncio.Queue[Stub] = asyncio.Queue()
        self.dead: asyncio.Queue[str] = asyncio.Queue()
        self.hurry = asyncio.Event()
        self.ended: list[int] = []
        self.keeping: list[asyncio.Task[None]] = []
        self.port = 0

    async def called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A worker calls in and says what it hears until it is gone."""
        _, worker_id, pid, session = (await reader.readline()).decode().split()
        stub = Stub(worker_id, int(pid), int(session))
        self.stubs.put_nowait(stub)
        while line := (await reader.readline()).decode():
            stub.lines.put_nowait(line.strip())
        stub.lines.put_nowait("")
        writer.close()

    async def died(self, worker_id: str) -> None:
        """The supervisor says that a worker is gone."""
        self.dead.put_nowait(worker_id)

    def command(self, ends_after: str = "1") -> list[str]:
        """How a worker is started."""
        return [*STUB, str(self.port), ends_after]

    def keep(
        self,
        count: int = 1,
        ends_after: str = "1",
        kill_after: float = KILL_AFTER,
        secrets: Secrets = dict,
    ) -> Supervisor:
        """Keep so many workers running; one that died is replaced at once."""
        kept = Supervisor(
            self.command(ends_after),
            count,
            self.died,
            environment={},
            process_ended=self.ended.append,
            secrets=secrets,
            restart_pause=0.01,
            kill_after=kill_after,
        )
        self.keeping.append(asyncio.create_task(kept.run()))
        return kept

    async def stub(self) -> Stub:
        """The next worker that calls in."""
        async with asyncio.timeout(PATIENCE):
            return await self.stubs.get()

    async def told(self) -> str:
        """The next worker that is said to be gone."""
        async with asyncio.timeout(PATIENCE):
            return await self.dead.get()


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    """A supervisor's surroundings, before any worker is started."""
    opened = Office()
    server = await asyncio.start_server(opened.called, "127.0.0.1", 0)
    opened.port = server.sockets[0].getsockname()[1]
    yield opened
    for task in opened.keeping:
        task.cancel()
    await asyncio.gather(*opened.keeping, return_exceptions=True)
    server.close()


async def test_a_worker_that_dies_is_replaced(office: Office) -> None:
    """Its death is told, and another one with an id of its own is started; each end is told."""
    kept = office.keep()
    first = await office.stub()
    os.kill(first.pid, signal.SIGKILL)
    assert await office.told() == first.worker_id
    second = await office.stub()
    assert second.worker_id != first.worker_id
    assert office.ended == [first.pid]
    await kept.stop(PATIENCE, office.hurry)
    assert office.ended == [first.pid, second.pid]


async def test_a_worker_that_ends_by_itself_is_replaced(office: Office) -> None:
    """Ending in good order without having been asked to is dying, too."""
    kept = office.keep()
    first = await office.stub()
    os.kill(first.pid, signal.SIGTERM)
    assert await office.told() == first.worker_id
    await office.stub()
    await kept.stop(PATIENCE, office.hurry)


async def test_as_many_as_wanted(office: Office) -> None:
    """So many processes with different ids run; the crew is complete when all do."""
    kept = office.keep(3)
    stubs = [await office.stub() for _ in range(3)]
    assert (len({stub.worker_id for stub in stubs}), kept.complete) == (3, True)
    await kept.stop(PATIENCE, office.hurry)
    assert not kept.complete


async def test_stopping_ends_them_in_good_order(office: Office) -> None:
    """Each gets one SIGTERM; none is reported dead, and none is replaced."""
    kept = office.keep(2)
    stubs = [await office.stub() for _ in range(2)]
    await kept.stop(PATIENCE, office.hurry)
    assert [[await stub.says(), await stub.says()] for stub in stubs] == [["term 1", ""]] * 2
    await office.keeping[0]
    assert (office.dead.empty(), office.stubs.empty()) == (True, True)


async def test_a_second_signal_is_passed_on(office: Office) -> None:
    """Workers hear at once that they shall hurry."""
    kept = office.keep(ends_after="2")
    stub = await office.stub()
    stopping = asyncio.create_task(kept.stop(PATIENCE, office.hurry))
    assert await stub.says() == "term 1"
    office.hurry.set()
    assert [await stub.says(), await stub.says()] == ["term 2", ""]
    await stopping


async def test_a_worker_that_does_not_end_is_killed(office: Office) -> None:
    """It is killed after the grace, and its death is reported at once."""
    kept = office.keep(ends_after="never", kill_after=0.01)
    stub = await office.stub()
    await kept.stop(0.01, office.hurry)
    assert office.dead.get_nowait() == stub.worker_id
    assert [await stub.says(), await stub.says()] == ["term 1", ""]


async def test_a_hurried_worker_that_does_not_end_is_killed(office: Office) -> None:
    """After the second signal the grace does not count."""
    kept = office.keep(ends_after="never", kill_after=0.01)
    stub = await office.stub()
    office.hurry.set()
    async with asyncio.timeout(PATIENCE):
        await kept.stop(1000, office.hurry)
    assert office.dead.get_nowait() == stub.worker_id


async def test_workers_die_with_the_one_that_keeps_them(office: Office) -> None:
    """However that process ends, its workers' input is closed, and they end."""
    keeper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KEEPER, *office.command()), cwd=ROOT
    )
    stubs = [await office.stub() for _ in range(2)]
    keeper.kill()
    await keeper.wait()
    assert [[await stub.says(), await stub.says()] for stub in stubs] == [["closed", ""]] * 2


async def test_reload_is_said_to_all(office: Office) -> None:
    """Each worker gets a line on its input, also one that has not begun to listen."""
    kept = office.keep(2)
    while not kept.complete:  # noqa: ASYNC110 -- there is no event
        await asyncio.sleep(0)
    kept.reload()
    stubs = [await office.stub() for _ in range(2)]
    assert [await stub.says() for stub in stubs] == ["heard reload"] * 2
    await kept.stop(PATIENCE, office.hurry)


@pytest.mark.parametrize("before", [{}, {"A_FD": "one"}])
async def test_a_worker_without_a_secret_that_is_needed_now_is_replaced(
    office: Office, before: dict[str, str]
) -> None:
    """It ends its runs by the configuration that it has; it is not told the new one."""
    secrets = dict(before)
    kept = office.keep(1, secrets=lambda: secrets)
    first = await office.stub()
    kept.reload()
    assert await first.says() == "heard reload"
    secrets["B_FD"] = "two"
    kept.reload()
    assert await first.says() == "term 1"
    second = await office.stub()
    kept.reload()
    assert await second.says() == "heard reload"
    await kept.stop(PATIENCE, office.hurry)


async def test_a_secret_that_is_needed_while_a_worker_starts(office: Office) -> None:
    """The worker that was started without is replaced, although it was not running yet."""
    given: Iterator[dict[str, str]] = iter([{}])
    kept = office.keep(1, secrets=lambda: next(given, {"A_FD": "one"}))
    replaced = await office.told()
    while (stub := await office.stub()).worker_id == replaced:  # it may have called in
        pass
    kept.reload()
    assert await stub.says() == "heard reload"
    await kept.stop(PATIENCE, office.hurry)


async def test_a_terminal_reaches_the_workers_only_through_us(office: Office) -> None:
    """Each has a session of its own: Ctrl-C would else count as a second signal."""
    kept = office.keep()
    stub = await office.stub()
    assert stub.session == stub.pid != os.getsid(0)
    await kept.stop(PATIENCE, office.hurry)


async def test_a_signal_to_one_that_is_gone(office: Office) -> None:
    """A worker that has just died is no reason to fail."""
    kept = office.keep()
    stub = await office.stub()
    os.kill(stub.pid, signal.SIGKILL)
    assert await stub.says() == ""
    [process] = kept._processes.values()
    await process.wait()
    process.stdin.close()
    while process._transport._proc:  # noqa: ASYNC110 -- some event loops forget it at once
        await asyncio.sleep(0)
    kept._processes["gone"] = process
    kept.signal(signal.SIGHUP)
    kept.reload()
    del kept._processes["gone"]
    await office.stub()
    await kept.stop(PATIENCE, office.hurry)


async def test_a_command_that_cannot_be_started(office: Office) -> None:
    """It is tried again until told to stop, and the others are not given up for it."""
    kept = Supervisor(["/nonexistent/python"], 1, office.died, environment={})
    office.keeping.append(asyncio.create_task(kept.run()))
    assert await office.told() != await office.told()
    await kept.stop(PATIENCE, office.hurry)
    async with asyncio.timeout(PATIENCE):
        await office.keeping[0]


async def test_stopping_while_a_worker_starts(office: Office) -> None:
    """A process that is being started when the end comes is ended, too."""
    kept = office.keep()
    await asyncio.sleep(0)  # its task has begun
    await kept.stop(PATIENCE, office.hurry)
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*office.keeping, return_exceptions=True)
    assert not kept._processes


class Crowd:
    """Suspects as the supervisor counts them."""

    def __init__(self, office: Office, waiting: int) -> None:
        self.waiting = waiting
        self.looks = 0
        self.office = office

    async def count(self) -> int:
        """How many wait."""
        self.looks += 1
        return self.waiting

    def keep(self, patience: float, most: int) -> Supervisor:
        """No ordinary worker, and those for suspects."""
        kept = Supervisor(
            self.office.command(),
            0,
            self.office.died,
            environment={},
            suspects=Suspects(self.count, patience, most, pause=0.01),
            restart_pause=0.01,
        )
        self.office.keeping.append(asyncio.create_task(kept.run()))
        return kept

    async def looked(self, times: int) -> None:
        """The supervisor has counted them so many times more."""
        wanted = self.looks + times
        async with asyncio.timeout(PATIENCE):
            while self.looks < wanted:  # noqa: ASYNC110 -- there is no event
                await asyncio.sleep(0.005)


async def test_suspects_get_a_process_that_is_not_replaced(office: Office) -> None:
    """One for all, ended by itself when there are none; then the next one when there are again."""
    crowd = Crowd(office, 0)
    kept = crowd.keep(patience=PATIENCE, most=3)
    await crowd.looked(2)
    crowd.waiting = 2
    first = await office.stub()
    await crowd.looked(3)
    assert (first.worker_id.endswith("-suspects"), kept.suspect_workers, kept.running) == (
        True,
        1,
        0,
    )
    assert kept.complete  # readiness does not depend on suspects
    crowd.waiting = 0
    os.kill(first.pid, signal.SIGTERM)  # it ends with 0, as one does that finds no suspects
    assert await first.says() == "term 1"
    assert await first.says() == ""
    await crowd.looked(3)
    assert (office.stubs.empty(), office.dead.empty()) == (True, True)
    crowd.waiting = 1
    assert (await office.stub()).worker_id != first.worker_id
    await kept.stop(PATIENCE, office.hurry)


async def test_suspects_that_go_on_and_on_get_more_processes(office: Office) -> None:
    """While none is claimed for as long as patience lasts, one more; up to the most."""
    crowd = Crowd(office, 5)
    kept = crowd.keep(patience=0.02, most=3)
    stubs = {(await office.stub()).worker_id for _ in range(3)}
    await crowd.looked(10)
    assert (len(stubs), office.stubs.empty(), kept.suspect_workers) == (3, True, 3)
    await kept.stop(PATIENCE, office.hurry)


async def test_a_suspect_worker_that_is_killed_is_told_dead(office: Office) -> None:
    """What it held goes back at once, and the next one is started."""
    crowd = Crowd(office, 1)
    kept = crowd.keep(patience=PATIENCE, most=1)
    first = await office.stub()
    os.kill(first.pid, signal.SIGKILL)
    assert await office.told() == first.worker_id
    await office.stub()
    await kept.stop(PATIENCE, office.hurry)


def test_when_one_more_is_started() -> None:
    """At once for the first; later only if no suspect has been claimed for as long as patience."""
    policy = SuspectWorkerPolicy(patience=30, most=2)
    looks = [(0, 0, 0), (4, 0, 1), (4, 1, 20), (3, 1, 25), (3, 1, 54), (5, 1, 55), (5, 2, 999)]
    assert [policy.needs_one(*look) for look in looks] == [
        *(False, True, False, False, False, True, False),
    ]


def test_what_could_claim_none_is_not_started_again_and_again() -> None:
    """It ended by itself though suspects wait; after a death the next one comes at once."""
    policy = SuspectWorkerPolicy(patience=30, most=2)
    assert policy.needs_one(1, 0, 1)
    assert not policy.needs_one(1, 0, 8)
    policy.died()
    assert policy.needs_one(1, 0, 9)
    assert [policy.needs_one(1, 0, now) for now in (20, 39)] == [False, True]
