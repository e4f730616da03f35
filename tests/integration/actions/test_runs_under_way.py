"""A run that a worker holds is `running`, with its step, whichever action tells of it."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actions.cancel_run import CancelRun
from actions.get_run import GetRun
from actions.list_runs import ListRuns
from actions.run_chain import RunChain
from core.errors import InvalidError, UnavailableError
from pipeline.admin.runs import RunListing, Runs
from pipeline.redis_client import keys
from schemas.run import Run
from schemas.run_page import RunPage, RunQuery
from tests.integration.runs.test_runs import a_stored_vcon
from tests.integration.support.pipeline_fixtures import PATIENCE, Scene, configured, link, storage


class Gates:
    """Two links and a storage; each says when it has begun, and waits until it may end."""

    def __init__(self) -> None:
        names = ("first", "second", "shelf")
        self.begun = {name: asyncio.Event() for name in names}
        self.open = {name: asyncio.Event() for name in names}
        first, second = (link(self._link(name), name) for name in names[:2])
        shelf = storage(self._saved, "shelf")
        self.configuration = configured(links=[first, second], storages=[shelf])

    async def passed(self, name: str) -> None:
        """Begin, and wait."""
        self.begun[name].set()
        await self.open[name].wait()

    def _link(self, name: str) -> Any:
        async def run(vcon_uuid: str, _name: str, _options: Any) -> str:
            await self.passed(name)
            return vcon_uuid

        return run

    async def _saved(self, _vcon_uuid: str, _options: Any) -> None:
        await self.passed("shelf")


class NoArchive:
    """An archive that was asked although it need not have been."""

    async def list_runs(self, query: RunQuery) -> RunPage:
        raise UnavailableError(f"no archive for {query.status}")


async def at_step(runs: Runs, run_id: str, name: str) -> Run:
    """The run as soon as its worker says that it is at this step."""
    async with asyncio.timeout(PATIENCE):
        while True:
            run = await runs.find(run_id)
            if run.step is not None and run.step.name == name:
                return run
            await asyncio.sleep(0.01)


async def test_a_run_is_running_at_each_of_its_steps(scene: Scene) -> None:
    """Name and kind of the step, and since when; `queued` before a worker has it."""
    gates = Gates()
    runs = scene.runs(gates.configuration)
    run_id = await runs.start("main", await a_stored_vcon(scene))
    queued = await runs.find(run_id)
    assert (queued.status, queued.step, "step" in queued.summary()) == ("queued", None, False)
    before = datetime.now(UTC) - timedelta(seconds=1)
    await scene.start(gates.configuration)
    for name, kind in (("first", "link"), ("second", "link"), ("shelf", "storage")):
        await gates.begun[name].wait()
        run = await at_step(runs, run_id, name)
        assert (run.status, run.worker, run.attempts) == ("running", "one", 1)
        assert run.step is not None
        assert run.step.kind == kind
        assert before < run.step.since < datetime.now(UTC) + timedelta(seconds=1)
        before = run.step.since - timedelta(seconds=1)
        gates.open[name].set()
    await scene.ended()
    done = await runs.find(run_id)
    assert (done.status, done.step) == ("done", None)
    assert "step" not in done.summary()


async def test_right_after_the_claim_the_step_is_known(scene: Scene) -> None:
    """The first answer that says `running` has the step: it waits for the worker's report."""
    gates = Gates()
    runs = scene.runs(gates.configuration)
    await scene.start(gates.configuration)
    run_id = await runs.start("main", await a_stored_vcon(scene))
    await gates.begun["first"].wait()
    run = await runs.find(run_id)
    assert (run.status, run.step and run.step.name) == ("running", "first")


async def test_a_link_that_blocks_the_event_loop_is_told_too(scene: Scene) -> None:
    """The report is written by a thread."""
    release, seen = threading.Event(), threading.Event()

    async def blocks(vcon_uuid: str, _name: str, _options: Any) -> str:
        seen.set()
        release.wait(PATIENCE)
        return vcon_uuid

    configuration = configured(links=[link(blocks, "blocks")])
    runs = scene.runs(configuration)
    run_id = await runs.start("main", await a_stored_vcon(scene))

    def look() -> bytes:
        seen.wait(PATIENCE)
        for _ in range(200):
            if text := scene.client.get(keys.step(run_id)):
                break
            threading.Event().wait(0.02)
        release.set()
        return text

    looking = asyncio.create_task(asyncio.to_thread(look))
    await scene.start(configuration)
    assert '"name":"blocks"' in str(await looking)
    await scene.ended()


class Pipeline:
    """The part of the pipeline that these actions use."""

    def __init__(self, runs: Runs, listing: RunListing) -> None:
        self.find_run, self.cancel_run, self.operations = runs.find, runs.cancel, self
        self.runs = listing.list_runs
        self._started = runs

    async def run_chain(self, *fields: Any, **_: Any) -> Run:
        return await self._started.wait(fields[1], fields[2])


class Client:
    """A client for these actions."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def seconds_left(self) -> float:
        return PATIENCE

    def giving_way(self) -> None:
        return None


async def test_all_actions_say_the_same(scene: Scene) -> None:
    """RunChain's 202, GetRun, CancelRun and ListRuns, of a queued and of a running run."""
    gates = Gates()
    runs = scene.runs(gates.configuration)
    client: Any = Client(Pipeline(runs, RunListing(NoArchive(), scene.redis, gates.configuration)))

    async def told(action: Any) -> dict[str, Any]:
        response = await action.run(client, None)
        assert response.status_code == (200 if isinstance(action, GetRun | ListRuns) else 202)
        return response.fields

    async def listed(status: str) -> list[dict[str, Any]]:
        return (await told(ListRuns(status=status, chain="main")))["runs"]

    run_id = await runs.start("main", await a_stored_vcon(scene))
    same = await told(GetRun(run_id=run_id))
    assert same["status"] == "queued"
    assert await told(RunChain(chain="main", vcon_uuid=run_id, wait=0)) == same
    assert (await listed("queued"), await listed("running")) == ([same], [])
    await scene.start(gates.configuration)
    await gates.begun["first"].wait()
    same = await told(GetRun(run_id=run_id))
    assert (same["status"], same["step"]["name"]) == ("running", "first")
    for other in (
        await told(RunChain(chain="main", vcon_uuid=run_id, wait=0)),
        await told(CancelRun(run_id=run_id)),
        *(await listed("running")),
    ):
        assert _steady(other) == _steady(same)
    assert await listed("queued") == []
    assert len(await listed("running")) == 1
    gates.open["first"].set()
    await scene.ended()
    assert (await told(GetRun(run_id=run_id)))["status"] == "cancelled"
    assert await listed("running") == []


def _steady(summary: dict[str, Any]) -> dict[str, Any]:
    """Without the time of the step, which is measured anew."""
    return {**summary, "step": {**summary["step"], "since": None}}


async def test_runs_of_an_ingress_list_are_listed(scene: Scene) -> None:
    """They have no journal yet; the claim and the worker's report say all there is."""
    gates = Gates()
    listing = RunListing(NoArchive(), scene.redis, gates.configuration)
    vcon_uuid = await a_stored_vcon(scene)
    scene.client.rpush("in", vcon_uuid)
    await scene.start(gates.configuration)
    await gates.begun["first"].wait()
    [run] = (await listing.list_runs(RunQuery(status="running", vcon_uuid=vcon_uuid))).runs
    assert (run.chain, run.ingress_list, run.status) == ("main", "in", "running")
    assert (await listing.list_runs(RunQuery(status="running", chain="other"))).runs == []
    later = datetime.now(UTC) + timedelta(hours=1)
    assert (await listing.list_runs(RunQuery(status="running", since=later))).runs == []
    with pytest.raises(InvalidError, match="one page"):
        await listing.list_runs(RunQuery(status="running", cursor="x"))
    with pytest.raises(UnavailableError):
        await listing.list_runs(RunQuery())
    for gate in gates.open.values():
        gate.set()
    await scene.ended()
