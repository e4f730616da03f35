"""The end of a run, killed at every message to a server and at every await."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import orjson
import pytest

from core.db.settlements import Settlements
from pipeline.admin.egress import Egress
from pipeline.custody.late_releases import LateReleases
from pipeline.custody.places import Places
from pipeline.custody.settling import Settling
from pipeline.redis_client import keys
from pipeline.runs import plan
from pipeline.runs.queues import Queues
from pipeline.runs.run_state import RunState, fresh_run
from pipeline.runs.withholding import Withheld
from pipeline.worker.postgres_custody import PostgresCustody
from pipeline.worker.run_settler import RunMeter, RunSettler
from tests.integration.custody.crash_points import everywhere, is_await
from tests.integration.custody.custody_scene import runs
from tests.integration.custody.killed_scene import KilledScene, Killing
from tests.integration.recovery.recovery_scene import RecoveryScene
from tests.integration.support.pipeline_fixtures import configured, storage

ENDINGS: Sequence[plan.Ending] = ("done", "partial", "failed", "cancelled")
CASES = [*product(ENDINGS, [False, True]), ("withheld", True)]
CHAIN = configured(storages=[storage()], egress=("out",), max_attempts=1)
FOLLOWS: dict[str, str] = {
    "done": "out",
    "failed": "DLQ:in",
    "partial": "DLQ:storage:shelf",
    "withheld": keys.withheld("in"),
}
"""The list that has the vCon after each ending; none after the others."""


class Hand:
    """A worker process, as far as it ends runs."""

    def __init__(self, name: str, scene: RecoveryScene) -> None:
        self.name = name
        self.queues = Queues(scene.connection, run_expiry=600, vcon_expiry=3600, gated=True)
        self.settling = Settling(Settlements(scene.database), scene.calls, scene.keeper)
        parts = name, scene.connection, self.queues
        custody = PostgresCustody(*parts, self.settling, "vcons")
        self.settler = RunSettler(*parts, RunMeter(lambda: None), custody)

    async def claim(self, ending: plan.Ending) -> RunState:
        """A claimed run whose steps are over."""
        how = self.name, 1, ["in"]
        found = await self.queues.claim(*how)
        if not found.claims:  # a worker has died with it
            found = await self.queues.claim(*how, suspects=True)
        [claim] = found.claims
        chain = CHAIN.config.chains["main"]
        live = fresh_run(claim, chain, CHAIN.plugins, self.name, "")
        if ending == "failed":
            live.progress = plan.after_failure(live.progress, "ValueError: no such thing")
        elif ending == "withheld":
            live.withheld = Withheld("PermissionDeniedError", "attachments[0]", "x").of("link", "a")
            live.progress = plan.after_refusal(live.progress, str(live.withheld))
        elif ending in ("done", "partial"):
            live.note("storage", "shelf", "ok" if ending == "done" else "failed", 0.1)
            stored = frozenset({"shelf"})
            kept, refused = (stored, frozenset()) if ending == "done" else (frozenset(), stored)
            live.progress = plan.after_save(live.progress, kept, refused)
        return live


async def run_in(scene: RecoveryScene, name: str, ending: plan.Ending = "done") -> None:
    """A worker ends what is queued."""
    scene.client.set(keys.worker(name), "1")
    hand = Hand(name, scene)
    assert await hand.settler.settle(await hand.claim(ending), ending)


async def rescued(killed: KilledScene) -> None:
    """The worker is found dead."""
    await Hand("alive", killed.whole).queues.bury("dying")


def only(name: str | None, vcon_uuid: str) -> dict[str, list[str]]:
    """The lists, when one of them has a vCon."""
    return {name: [vcon_uuid]} if name else {}


async def stays(killed: KilledScene, wanted: dict[str, list[str]]) -> None:
    """This is queued, and again after a loss."""
    killed.check()
    assert killed.queued() == wanted
    await killed.lose_redis()
    assert killed.queued() == wanted


@pytest.mark.parametrize(
    ("ending", "is_lost"), [*product(ENDINGS, [False, True]), ("withheld", True)]
)
async def test_settle(killed: KilledScene, ending: plan.Ending, is_lost: bool) -> None:
    """What is not settled is run by another worker; one place has the vCon, also after a loss.

    What Postgres has released is not queued again, and of two dead letters one is left.
    """

    async def attempt(killing: Killing) -> bool:
        dying = Hand("dying", killed.begin())
        entry = await killed.whole.accept(["in"])
        killed.whole.client.set(keys.worker("dying"), "1")
        live = await dying.claim(ending)
        was_killed = await killed.killed(killing, lambda: dying.settler.settle(live, ending))
        await (killed.lose_redis() if is_lost else rescued(killed))
        wanted = FOLLOWS.get(ending)
        if killed.queued() == {"in": [entry.vcon_uuid]}:
            await run_in(killed.whole, "alive")
            wanted = "out"
        await stays(killed, only(wanted, entry.vcon_uuid))
        status = runs(killed.whole.database, "status")[-1]
        assert status == ("done" if wanted == "out" else ending,)
        return was_killed

    assert min(await everywhere(attempt)) >= 2


async def test_repeated_request(killed: KilledScene) -> None:
    """The vCon has been stored: what a killed repetition leaves is not run after a loss."""

    async def attempt(killing: Killing) -> bool:
        replica = killed.begin()
        entry = await killed.whole.accept(["in"])
        await run_in(killed.whole, "alive")
        was_killed = await killed.killed(killing, lambda: replica.intake.ingest(entry, ["in"]))
        assert killed.queued() == only("out", entry.vcon_uuid)
        killed.whole.client.flushall()
        await killed.whole.recover()
        assert killed.queued() == only("out", entry.vcon_uuid)
        return was_killed

    assert min(await everywhere(attempt)) >= 2


@pytest.mark.parametrize("is_lost", [False, True])
async def test_read(killed: KilledScene, is_lost: bool) -> None:
    """A vCon is read from an egress list: without an answer it may be there again after a loss."""

    async def attempt(killing: Killing) -> bool:
        replica = killed.begin()
        entry = await killed.whole.accept(["in"])
        await run_in(killed.whole, "alive")
        places = Places(replica.connection, replica.keeper)
        egress = Egress(replica.connection, vcon_expiry=60, places=places)
        was_killed = await killed.killed(killing, lambda: egress.pop("out", 1))
        if not is_lost:  # as the sweep does
            places = Places(killed.whole.connection, killed.whole.keeper)
            await places.ended([(entry.vcon_uuid, "out")], "taken out")
            killed.check()
        await killed.lose_redis()
        assert is_lost or was_killed or killed.queued() == {}
        return was_killed

    assert min(await everywhere(attempt)) >= 2


@pytest.mark.parametrize("ending", ["done", "failed"])
async def test_late_release(killed: KilledScene, ending: plan.Ending) -> None:
    """A run has ended while Postgres was away; the service that records it is killed."""

    async def attempt(killing: Killing) -> bool:
        replica = killed.begin()
        entry = await killed.whole.accept(["in"])
        killed.whole.client.set(keys.worker("alive"), "1")
        hand = Hand("alive", killed.whole)
        hand.settling._away_until = math.inf
        await hand.settler.settle(await hand.claim(ending), ending)
        history = [orjson.loads(each) for each in killed.whole.elements(keys.HISTORY)]
        was_killed = await killed.killed(killing, lambda: late(replica).write(history))
        if is_await(killing):
            await killed.lose_redis()
            has_been = killed.queued()
            assert has_been in (only("in", entry.vcon_uuid), only(FOLLOWS[ending], entry.vcon_uuid))
            return was_killed
        await late(killed.whole).write(history)
        await stays(killed, only(FOLLOWS[ending], entry.vcon_uuid))
        return was_killed

    assert min(await everywhere(attempt)) >= 2


def late(scene: RecoveryScene) -> LateReleases:
    """What a service records runs with."""
    return LateReleases(scene.connection, Settlements(scene.database), scene.keeper, "vcons")
