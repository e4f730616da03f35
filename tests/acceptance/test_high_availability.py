"""Three replicas of the real service, all callers in front of them, and what may happen to them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
from httpx import codes

from devstack.callers import Callers
from devstack.chaos.feeding import Feeder
from devstack.chaos.system.chain import CHAIN, vcon
from devstack.chaos.system.servers import running
from devstack.chaos.system.system import System
from devstack.chaos.verdict.evidence import gather
from devstack.chaos.verdict.verdict import judge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from devstack.plugboard import ConsumerConnection, DevelopmentPlugboard
    from devstack.service import ServiceProcess

REPLICAS = 3
CALLERS = 16
"""At most 32: beyond some fifty the real Plugboard loses requests by itself."""
CEILING = 60.0
REPEAT_AFTER = 3.0
"""Seconds after which a caller gets its 408 where requests are lost; the real one takes 30."""
BACK_WITHIN = 35.0
"""What is promised with unscaled pauses; these are sixty times shorter."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Replicas:
    """The replicas, and every vCon that a caller was told has been through the chain."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.board = system.board
        self.feeder = Feeder(system)
        self.asked: set[str] = set()
        self.run_ids: list[str] = []
        self.running: list[ServiceProcess] = []
        self.repeated = 0

    async def start(self, count: int = 1) -> None:
        """So many more, ready."""
        started = [await self.system.launch() for _ in range(count)]
        await asyncio.gather(*(asyncio.to_thread(each.wait_until_ready) for each in started))
        self.running += started

    async def all_joined(self) -> list[ConsumerConnection]:
        """The connections of all, when they take requests."""
        return await self.board.wait_joined(self.system.plugboard_service, REPLICAS, BACK_WITHIN)

    async def ask(self) -> int | str:
        """Have a vCon of its own run through the chain; the status, or what broke."""
        return await self._ask(vcon("pass"))

    async def ask_until_answered(self) -> int | str:
        """The same, repeating with the same `idempotency_key` for as long as the answer is 408."""
        document = vcon("pass")
        while (outcome := await self._ask(document, document["uuid"])) == codes.REQUEST_TIMEOUT:
            self.repeated += 1
        return outcome

    async def _ask(self, document: dict[str, Any], key: str | None = None) -> int | str:
        self.asked.add(document["uuid"])
        fields = {"chain": CHAIN, "vcon": document, "idempotency_key": key}
        try:
            answer = await self.system.call("RunChain", **fields)
        except httpx.TransportError as error:
            return type(error).__name__
        if answer.status_code == codes.OK:
            run = answer.json()["message"]
            assert run["status"] == "done", run
            self.run_ids.append(run["run_id"])
            self.feeder.fed[document["uuid"]] = "pass"
        return answer.status_code

    async def conclude(self, *, deaths: bool = False) -> None:
        """Fails unless every vCon has been through the chain once, as its caller was told.

        `deaths`: a process has died, so a link may have begun twice; but no vCon ended twice.
        """
        async with asyncio.timeout(CEILING):
            await self.system.settled()
        verdict = judge(await gather(self.system, self.feeder.fed))
        assert verdict.good, (verdict.lost, verdict.doubled, verdict.unrecorded)
        assert verdict.endings == Counter(stored=len(self.feeder.fed))
        calls = self.system.ledger.calls("mark")
        assert deaths or {calls[each] for each in self.asked & calls.keys()} == {1}
        assert self.system.tracebacks() == []
        self.feeder, self.asked = Feeder(self.system), set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas() -> AsyncIterator[Replicas]:
    """Three replicas of one worker each; they share one Postgres and one Valkey."""
    with running() as servers:
        async with System(servers, seconds=0.05, SHUTDOWN_GRACE=8, LEASE_SECONDS=5) as system:
            started = Replicas(system)
            await started.start(REPLICAS)
            yield started


def requests(connection: ConsumerConnection) -> set[str]:
    """The refs of the requests that a replica was sent."""
    return {frame[4]["response_ref"] for frame in parsed(connection.sent) if frame[3] == "request"}


def answered(connection: ConsumerConnection) -> set[str]:
    """The refs that it has answered."""
    return {frame[1] for frame in parsed(connection.received) if frame[3] == "response"}


def parsed(frames: Any) -> list[Any]:
    """The recorded frames as version 2 arrays."""
    return [frame for frame in frames if isinstance(frame, list)]


async def test_a_killed_replica_takes_only_its_own_requests_along(replicas: Replicas) -> None:
    """Requests are spread; after a kill -9 its callers get 408, all others an answer."""
    callers = Callers(replicas.ask, CALLERS)
    async with callers.calling():
        await callers.further(3 * CALLERS)
        connections = await replicas.all_joined()
        shares = [len(requests(each)) for each in connections]
        assert max(shares) - min(shares) <= 1 + REPLICAS
        await replicas.board.wait_for(
            lambda: all(len(requests(each) - answered(each)) > 2 for each in connections), CEILING
        )
        await asyncio.to_thread(replicas.running.pop(0).kill)
        await replicas.board.wait_for(lambda: any(each.closed for each in connections), CEILING)
        [victim] = [each for each in connections if each.closed]
        await callers.further(3 * CALLERS)
        lost = requests(victim) - answered(victim)
        callers.stop()
        async with asyncio.timeout(CEILING):
            await callers.only_waiting(len(lost))
        assert set(callers.outcomes) == {200}
        replicas.board.expire_requests()
    assert callers.outcomes[408] == len(lost) > 0
    assert set(callers.outcomes) == {200, 408}
    await replicas.conclude(deaths=True)
    await replicas.start()


async def test_a_rolling_restart_fails_no_request(replicas: Replicas) -> None:
    """Each replica is stopped with SIGTERM and replaced, under load: every answer is 200."""
    callers = Callers(replicas.ask, CALLERS)
    before = replicas.board.counters.timed_out
    async with callers.calling():
        for _ in range(REPLICAS):
            await callers.further(CALLERS)
            assert await asyncio.to_thread(replicas.running.pop(0).stop) == 0
            await replicas.start()
        await callers.further(CALLERS)
    assert set(callers.outcomes) == {200}
    assert replicas.board.counters.timed_out == before
    await replicas.conclude()


async def test_a_rolling_restart_fails_no_caller_that_repeats(replicas: Replicas) -> None:
    """The Plugboard loses requests as the real one does: 0 failed, and no run twice."""
    board, callers = replicas.board, Callers(replicas.ask_until_answered, CALLERS)
    lost_before = board.counters.lost
    board.faults.losses = True
    giving_up = asyncio.create_task(give_up(board))
    try:
        async with callers.calling():
            for _ in range(REPLICAS):
                board.faults.lose_requests = 2  # beside those that chance decides
                await callers.further(CALLERS)
                board.expire_requests()  # those at work, too: their callers repeat them
                assert await asyncio.to_thread(replicas.running.pop(0).stop) == 0
                await replicas.start()
            await callers.further(CALLERS)
    finally:
        giving_up.cancel()
        board.faults.losses = False
    assert set(callers.outcomes) == {200}
    assert replicas.repeated >= board.counters.lost - lost_before >= 2 * REPLICAS
    await replicas.conclude()


async def give_up(board: DevelopmentPlugboard) -> None:
    """Give every request its 408 soon after `REPEAT_AFTER`, lost or only slow."""
    while True:
        await asyncio.sleep(REPEAT_AFTER / 10)
        board.expire_requests(waited=REPEAT_AFTER)


async def test_all_come_back_after_a_restart_of_the_plugboard(replicas: Replicas) -> None:
    """Killed under load and started again: chains go on, all come back and know alike."""
    callers = Callers(replicas.ask, CALLERS)
    async with callers.calling():
        await callers.further(CALLERS)
        await replicas.board.kill()
        callers.stop()
    assert set(callers.outcomes) - {200} <= {"ReadError", "RemoteProtocolError", "ConnectError"}
    await replicas.feeder.push_many(10)
    async with asyncio.timeout(CEILING):
        await replicas.system.settled()
    await replicas.board.start()
    connections = await replicas.all_joined()
    callers = Callers(replicas.ask, CALLERS)
    async with callers.calling():
        await callers.further(2 * CALLERS)
    assert set(callers.outcomes) == {200}
    assert all(requests(each) for each in connections)
    some_run = replicas.run_ids[0]
    answers = [await replicas.system.call("GetRun", run_id=some_run) for _ in range(REPLICAS)]
    assert {each.json()["message"]["run_id"] for each in answers} == {some_run}
    await replicas.conclude()
