"""An upgrade replaces replicas one at a time: the last version runs beside this one for a while.

Both are real service processes on the same Redis, Postgres and Plugboard, with runs in flight.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import tarfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from devstack.chaos.feeding import Feeder
from devstack.chaos.looks import logged
from devstack.chaos.plugins.chaos_plugins.behaviour import GATE
from devstack.chaos.system.chain import INGRESS, vcon
from devstack.chaos.system.processes import WorkerProcess, gone, send, workers_of
from devstack.chaos.system.servers import running
from devstack.chaos.system.system import System
from devstack.chaos.verdict.evidence import attempts, gather
from devstack.chaos.verdict.verdict import judge
from devstack.chaos.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from devstack.service import ServiceProcess

LAST_VERSION = "c09d3cb05e2ebf31a18e933b63acd6e7d9e606fe"
"""The commit that deployments run today; replace it at each release."""
UNUSED = (":!docs", ":!tests", ":!devstack", ":!benchmarks", ":!samples")
ROOT = Path(__file__).parents[2]
PUBLISHED = "CreateIngressKey,ExternalIngress,GetRun,IngestVcon,ListChains,ListDeadLetters,ListRuns"
"""Actions of both versions: the Plugboard refuses a consumer that publishes others."""
SLOTS = 3
"""Runs at a time in one worker, which is one replica's."""
CEILING = 60.0


@pytest.fixture(scope="module")
def last_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The entrypoint of the last version, in a folder of its own."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("the last version is read from the repository: there is no git")
    command = [git, "-C", str(ROOT), "archive", LAST_VERSION, "--", ".", *UNUSED]
    archive = subprocess.run(command, check=False, capture_output=True)
    if archive.returncode:
        missing = archive.stderr.decode(errors="replace").strip()
        pytest.skip(f"the last version, {LAST_VERSION}, is not in this repository: {missing}")
    folder = tmp_path_factory.mktemp("last_version")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder / "entrypoint.py"


class Upgrade:
    """Replicas of both versions, and the vCons that were fed to them."""

    def __init__(self, system: System, last_version: Path) -> None:
        self.system = system
        self.feeder = Feeder(system)
        self._last_version = last_version
        self._gate = system.folder / GATE
        self.ingress_key = ""

    async def start(self, *, old: int = 0, new: int = 0) -> list[ServiceProcess]:
        """So many replicas of each version, ready and with a working worker."""
        replicas = [await self.system.launch(self._last_version) for _ in range(old)]
        replicas += [await self.system.launch() for _ in range(new)]
        await asyncio.gather(*(asyncio.to_thread(each.wait_until_ready) for each in replicas))

        async def all_work() -> bool:
            working = set(await self.system.working())
            return all(set(_workers(each)) & working for each in replicas)

        await until(all_work, "the workers of all replicas", CEILING)
        return replicas

    async def fill(self, replicas: int) -> None:
        """Feed as many vCons as these replicas can hold; return when a link waits in each."""
        self._gate.touch()
        before = (await self.system.backlog()).total()
        for turn in range(replicas * SLOTS - before):
            await (self.feeder.ingest, self.push_as_partner, self.feeder.push)[turn % 3]("hold")

        async def all_held() -> bool:
            begun = self.system.ledger.calls("mark").keys() >= self.feeder.fed.keys()
            return begun and (await self.system.backlog())["in flight"] == replicas * SLOTS

        await until(all_held, "a link to wait in every slot", CEILING)

    async def push_as_partner(self, subject: str) -> None:
        """Push one vCon with the ingress key."""
        document = vcon(subject)
        fields = {"vcon": document, "ingress_list": INGRESS, "api_key": self.ingress_key}
        answer = await self.system.call("ExternalIngress", **fields)
        assert answer.status_code == 200, answer.text
        self.feeder.fed[document["uuid"]] = subject

    def release(self) -> None:
        """Let every link that waits go on."""
        self._gate.unlink()

    async def crash(self, replica: ServiceProcess) -> set[str]:
        """Kill a replica, and return the vCons it held when another one has given them back.

        The worker goes first, while its parent is frozen and so cannot rescue them itself.
        """
        [worker] = _workers(replica)
        held = await self.system.held_by(worker)
        send(replica.pid, signal.SIGSTOP)
        worker.kill()
        await gone(worker.pid)
        await asyncio.to_thread(replica.kill)

        async def given_back() -> bool:
            return not await self.system.held_by(worker)

        assert held
        await until(given_back, "the killed worker's vCons to be rescued", CEILING)
        return held

    async def stop(self, replica: ServiceProcess) -> None:
        """Stop a replica while links wait in it; they go on when it has begun to stop."""
        [worker] = _workers(replica)
        assert await self.system.held_by(worker)
        stopped = asyncio.create_task(asyncio.to_thread(replica.stop))
        await until(logged(replica, "stopping"), "the replica to begin to stop", CEILING)
        self.release()
        assert await stopped == 0

    async def conclude(self, rescued: set[str]) -> None:
        """Fails unless every vCon ended once, and those in `rescued` began again elsewhere."""
        verdict = judge(await gather(self.system, self.feeder.fed))
        assert verdict.good, (verdict.lost, verdict.doubled, verdict.unrecorded)
        assert verdict.endings == Counter(stored=len(self.feeder.fed))
        assert set((await attempts(self.system)).values()) == {1}
        begun = self.system.ledger.calls("mark")
        assert all(begun[each] >= 1 + (each in rescued) for each in self.feeder.fed)
        assert self.errors() == []

    def errors(self) -> list[str]:
        """The lines at ERROR and above in the logs of all replicas, and tracebacks."""
        logs = sorted(self.system.folder.glob("service-*.log"))
        lines = [line for log in logs for line in log.read_text().splitlines()]
        return [line for line in lines if _level(line) in ("ERROR", "CRITICAL")] + (
            self.system.tracebacks()
        )


def _workers(replica: ServiceProcess) -> list[WorkerProcess]:
    """Without the ones started to run rescued vCons apart."""
    return [each for each in workers_of(replica.pid) if not each.worker_id.endswith("-suspects")]


def _level(line: str) -> Any:
    try:
        return str(json.loads(line).get("level")).upper()
    except ValueError:
        return None


@pytest_asyncio.fixture
async def upgrade(last_version: Path) -> AsyncIterator[Upgrade]:
    """No replica runs yet; the database has no tables."""
    with running() as servers:
        async with System(
            servers,
            seconds=0.02,
            ADMIN_ACTIONS="true",
            ACTIONS=PUBLISHED,
            CONSERVER_VCON_CONCURRENCY=SLOTS,
            LEASE_SECONDS=3,
            SHUTDOWN_GRACE=CEILING,
        ) as system:
            yield Upgrade(system, last_version)


async def test_replicas_are_replaced_with_runs_in_flight(upgrade: Upgrade) -> None:
    """Each version rescues the runs of the other; every vCon ends once, and no error is logged."""
    stopped, killed = await upgrade.start(old=2)
    made = await upgrade.system.call("CreateIngressKey", ingress_list=INGRESS, label="partner")
    upgrade.ingress_key = made.json()["message"]["secret"]
    await upgrade.fill(2)
    [crashed] = await upgrade.start(new=1)
    await upgrade.fill(3)
    rescued_by_old = await upgrade.crash(crashed)
    upgrade.release()
    await upgrade.start(new=1)
    await upgrade.system.settled()

    await upgrade.fill(3)
    await upgrade.stop(stopped)
    await upgrade.system.settled()

    await upgrade.fill(2)
    rescued_by_new = await upgrade.crash(killed)
    upgrade.release()
    await upgrade.system.settled()
    await upgrade.conclude(rescued_by_old | rescued_by_new)
