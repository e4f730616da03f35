"""Steps with the effect "once": one whose outcome is unknown is parked and named, not repeated."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from lib import effects
from lib.vcon_redis import AsyncVconRedis
from pipeline.config.model import RetryBackoff
from pipeline.redis_client import keys
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    configured,
    link,
    storage,
    tracer,
)
from tests.integration.worker.worker_scene import Gate, kill, lapse, ok
from tests.time_limits import HOUR, NOT_IN_TIME, TimeIsUp

pytestmark = pytest.mark.usefixtures("at_once")
LETTERS = keys.dead_letters("in")


def chain(*steps: Any, **changes: Any) -> Any:
    """A chain of these links, with attempts that follow each other at once."""
    how = {"max_attempts": 3, "retry_backoff": RetryBackoff(first=0, max=0)} | changes
    return configured(links=list(steps), **how)


class Sends:
    """A link or storage that is seen outside: what it has sent stays here."""

    def __init__(self, *errors: Exception) -> None:
        self.sent: list[str] = []
        self.errors = list(errors)

    async def run(self, vcon_uuid: str, *_: Any) -> str:
        """The link."""
        self.sent.append(vcon_uuid)
        if self.errors:
            raise self.errors.pop(0)
        return vcon_uuid

    def run_sync(self, vcon_uuid: str, *_: Any) -> str:
        """The same in a thread."""
        return asyncio.run(self.run(vcon_uuid))


async def parked(scene: Scene, vcon_uuid: str, name: str = "slack") -> dict[str, Any]:
    """The next run that ends is a dead letter of this link; its reason."""
    ended = await scene.finished()
    assert (ended.status, scene.elements("out")) == ("failed", [])
    reason = scene.reason(LETTERS, vcon_uuid)
    assert (reason["kind"], reason["step"], reason["uncertain"]) == ("link", name, True)
    assert reason["error"].startswith(f"OutcomeUnknownError: link {name} may have happened: it ")
    assert "uncertain=repeat" in reason["error"]
    assert "uncertain=skip" in reason["error"]
    assert reason["error"] == ended.run["error"] == ended.run["steps"][-1]["error"]
    return reason


@pytest.mark.parametrize(
    ("effect", "changes", "times"),
    [
        ("once", {}, 1),
        ("once", {"repeat_uncertain": True}, 2),
        ("idempotent", {}, 2),
        ("pure", {}, 2),
        (None, {}, 2),
    ],
)
async def test_a_step_in_which_the_worker_dies(
    scene: Scene, effect: Any, changes: dict[str, Any], times: int
):
    """Only `once` is not repeated, and only without `repeat_uncertain`."""
    gate, before = Gate(), Sends()
    steps = link(before.run, "before"), link(gate.run, "slack", effect=effect)
    one = await scene.start(chain(*steps, **changes), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    await kill(scene, one)
    gate.open.set()
    await scene.start(chain(*steps, **changes), "two", patience=PATIENCE)
    if times == 1:
        reason = await parked(scene, vcon_uuid)
        assert "its worker has died or lost it" in reason["error"]
        assert gate.arrived.empty()
        assert len(before.sent) == 1  # the checkpoint of the mark has it
    else:
        assert (await scene.finished()).status == "done"
        assert gate.arrived.qsize() == 1
    assert scene.client.hgetall(keys.attempts("in")) == {}


async def test_a_version_that_ignores_marks_finds_no_attempt_left(scene: Scene):
    """As long as the outcome is unknown; afterwards the attempts are those that were made."""
    gate, later = Gate(), Gate()
    [one, two] = link(gate.run, "slack", effect="once"), link(later.run, "later")
    crew = await scene.start(chain(one, two), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    [row] = scene.client.hgetall(keys.attempts("in")).values()
    run_id = row.split("\n")[1]
    assert int(row.split("\n")[0]) > 1_000_000
    assert "link slack had begun" in scene.client.get(keys.death(run_id))
    gate.open.set()
    await later.arrival()
    assert scene.client.hget(keys.attempts("in"), vcon_uuid) == f"0\n{run_id}\n0"
    assert scene.client.get(keys.death(run_id)) is None
    assert "begun" not in scene.journal(run_id)
    await kill(scene, crew)
    later.open.set()
    await scene.start(chain(one, two), "two", patience=PATIENCE)
    ended = await scene.finished()
    assert (ended.status, ended.claim.attempt, gate.arrived.qsize()) == ("done", 2, 0)


@pytest.mark.parametrize("is_sync", [True, False])
async def test_a_step_that_is_out_of_time(scene: Scene, time_is_up: TimeIsUp, is_sync: bool):
    """Its attempt is the last one, however many the chain allows."""
    release, calls = threading.Event(), []

    def hangs_in_thread(vcon_uuid: str, *_: Any) -> None:
        calls.append(vcon_uuid)
        time_is_up()
        release.wait(PATIENCE)

    async def hangs(vcon_uuid: str, *_: Any) -> None:
        calls.append(vcon_uuid)
        await time_is_up.never()

    run = hangs_in_thread if is_sync else hangs
    await scene.start(chain(link(run, "slack", timeout=HOUR, retries=2, effect="once")))
    [vcon_uuid] = await scene.feed()
    reason = await parked(scene, vcon_uuid)
    release.set()
    assert f"TimeoutError: {NOT_IN_TIME}" in reason["error"]
    assert (calls, reason["attempts"]) == ([vcon_uuid], 1)


async def test_a_chain_that_is_out_of_time_in_the_step(scene: Scene, time_is_up: TimeIsUp):
    """The step that was broken off is named."""
    gate = Gate()
    await scene.start(chain(link(gate.run, "slack", effect="once"), timeout=HOUR))
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    time_is_up()
    reason = await parked(scene, vcon_uuid)
    assert f"the chain {NOT_IN_TIME}" in reason["error"]
    assert gate.arrived.empty()


@pytest.mark.parametrize("sync", [True, False])
async def test_an_ordinary_exception_is_known_and_is_tried_again(scene: Scene, sync: bool):
    """By the link's own retries, and by later attempts."""
    sends = Sends(RuntimeError("refused"), OSError("refused"), ValueError("refused"))
    run = sends.run_sync if sync else sends.run
    await scene.start(chain(link(run, "slack", retries=1, effect="once")))
    await scene.feed()
    later, ended = await scene.ended(), await scene.ended()
    assert (later.how, ended.status, len(sends.sent)) == ("later", "done", 4)
    assert "begun" not in later.run


@pytest.mark.parametrize(
    "error",
    [
        effects.OutcomeUnknownError("the answer was lost"),
        TimeoutError("no answer"),
        ExceptionGroup("two", [ValueError(), effects.OutcomeUnknownError("the answer was lost")]),
    ],
)
async def test_a_plugin_says_that_it_does_not_know(scene: Scene, error: Exception):
    """The public error, a time limit of its own, and groups that have one."""
    sends = Sends(error)
    await scene.start(chain(link(sends.run, "slack", retries=3, effect="once")))
    [vcon_uuid] = await scene.feed()
    await parked(scene, vcon_uuid)
    assert len(sends.sent) == 1


async def test_the_error_means_nothing_in_other_steps(scene: Scene):
    """An idempotent step is repeated, also with an unknown outcome."""
    sends = Sends(effects.OutcomeUnknownError("the answer was lost"))
    await scene.start(chain(link(sends.run, "slack", effect="idempotent")))
    await scene.feed()
    assert ((await scene.finished()).status, len(sends.sent)) == ("done", 2)


@pytest.mark.parametrize("returned", ["no uuid", 5, object()])
async def test_a_step_that_returns_something_wrong_has_happened(scene: Scene, returned: Any):
    """The attempt has failed, and another one would repeat the step."""
    calls: list[str] = []

    async def run(vcon_uuid: str, *_: Any) -> Any:
        calls.append(vcon_uuid)
        return returned

    await scene.start(chain(link(run, "slack", effect="once")))
    [vcon_uuid] = await scene.feed()
    assert "a link returns a vCon uuid" in (await parked(scene, vcon_uuid))["error"]
    assert len(calls) == 1


async def test_a_step_that_halts_the_run_ends_it(scene: Scene):
    """Nothing is left of its mark."""

    async def halts(*_: Any) -> None:
        return None

    await scene.start(chain(link(halts, "slack", effect="once")))
    await scene.feed()
    ended = await scene.finished()
    assert (ended.status, "begun" in ended.run) == ("halted", False)


async def test_a_vcon_that_is_gone_is_known_to_have_failed(scene: Scene):
    """Such a link returns nothing because it found nothing."""

    async def reads(vcon_uuid: str, *_: Any) -> Any:
        return vcon_uuid if await AsyncVconRedis().get_vcon_dict(vcon_uuid) else None

    await scene.start(chain(link(reads, "slack", effect="once"), max_attempts=2))
    [vcon_uuid] = await scene.feed(document=False)
    ended = await scene.finished()
    assert ended.run["error"] == f"LookupError: there is no vCon {vcon_uuid} in Redis"
    assert ended.claim.attempt == 2


async def test_a_worker_that_stops_within_the_step(scene: Scene):
    """Its claim goes back, and the call was broken off."""
    gate = Gate()
    step = link(gate.run, "slack", effect="once")
    one = await scene.start(chain(step), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    scene.crews.remove(one)
    await one.stop()
    assert (await scene.ended()).how == "return"
    gate.open.set()
    await scene.start(chain(step), "two")
    await parked(scene, vcon_uuid)
    assert gate.arrived.empty()


async def test_a_worker_that_loses_its_lease_within_the_step(scene: Scene):
    """The other one parks the run; what the first one writes then is refused."""
    gate = Gate()
    step = link(gate.run, "slack", effect="once")
    one = await scene.start(chain(step), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    lapse(one.lease)
    await scene.queues.bury("one")
    await scene.start(chain(step), "two", patience=PATIENCE)
    await parked(scene, vcon_uuid)
    gate.open.set()
    async with asyncio.timeout(PATIENCE):
        await one.worker.idle()
    assert scene.elements(LETTERS) == [vcon_uuid]
    assert (scene.elements("out"), gate.arrived.qsize()) == ([], 0)


async def test_a_failure_that_drops_the_steps_keeps_what_must_not_be_repeated(scene: Scene):
    """A later attempt goes on after the step that was done."""
    sends, broken = Sends(), [BaseException("out of nowhere")]
    one = await scene.start(chain(link(sends.run, "slack", effect="once"), link(ok)), "one")
    run = one.worker._runner._run_moves

    async def breaks(live: Any) -> Any:
        ending = await run(live)
        if broken:
            raise broken.pop()
        return ending

    one.worker._runner._run_moves = breaks  # type: ignore[method-assign]
    await scene.feed()
    later, ended = await scene.ended(), await scene.ended()
    assert (later.how, later.steps) == ("later", [("slack", "ok")])
    assert (ended.status, len(sends.sent)) == ("done", 1)


async def test_a_chain_that_changes_under_a_run(scene: Scene):
    """A done step is not repeated because another link stands before it now."""
    sends, gate = Sends(), Gate()
    slack, later = link(sends.run, "slack", effect="once"), link(gate.run, "later")
    one = await scene.start(chain(slack, later), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    await kill(scene, one)
    await scene.start(chain(link(ok), slack, later), "two", patience=PATIENCE)
    ended = await scene.finished()
    assert ended.run["error"].startswith("the chain's links have changed since link slack was done")
    assert (scene.elements(LETTERS), len(sends.sent)) == ([vcon_uuid], 1)


@pytest.mark.parametrize("left", ["before", "after", "gone"])
async def test_a_chain_that_changes_under_a_step(scene: Scene, left: str):
    """A step that has begun is found at its new place; without it the run may start over."""
    gate = Gate()
    slack = link(gate.run, "slack", effect="once")
    one = await scene.start(chain(link(ok, "a"), slack), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    await kill(scene, one)
    steps = {"before": [slack, link(ok, "a")], "after": [link(ok, "b"), slack]}
    await scene.start(chain(*steps.get(left, [link(ok, "b")])), "two", patience=PATIENCE)
    if left == "gone":
        assert (await scene.finished()).status == "done"
    else:
        await parked(scene, vcon_uuid)
    assert gate.arrived.empty()


async def test_a_tracer_that_fails_after_the_step(scene: Scene):
    """With `dlq_vcon_on_error` the vCon is a dead letter at once; the step stays done."""
    sends = Sends()

    async def fails(_in: str, _out: str, _name: str, _links: Any, index: int, _o: Any) -> None:
        if index == 0:
            raise RuntimeError("no trail")

    traces = tracer(fails, dlq_vcon_on_error=True)
    slack = link(sends.run, "slack", effect="once")
    await scene.start(configured(links=[slack, link(ok)], tracers=[traces], max_attempts=3))
    [vcon_uuid] = await scene.feed()
    ended = await scene.finished()
    assert ended.run["error"] == "tracer tracer: RuntimeError: no trail"
    assert (ended.steps, len(sends.sent)) == ([("slack", "ok")], 1)
    assert scene.elements(LETTERS) == [vcon_uuid]


async def test_a_storage_in_which_the_worker_dies(scene: Scene):
    """The other storages have the vCon; that one is a dead letter of its own."""
    gate, other = Gate(), Sends()

    async def saves(vcon_uuid: str, options: Any) -> None:
        await gate.run(vcon_uuid, "", options)

    def made() -> Any:
        shelves = [
            storage(saves, "feed", effect="once", retries=3),
            storage(other.run_sync, "shelf"),
        ]
        return configured(links=[link(ok)], storages=shelves)

    one = await scene.start(made(), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    assert len(other.sent) == 1  # it comes first
    await kill(scene, one)
    gate.open.set()
    await scene.start(made(), "two", patience=PATIENCE)
    ended = await scene.finished()
    assert (ended.status, len(other.sent), gate.arrived.qsize()) == ("partial", 1, 0)
    reason = scene.reason(keys.storage_dead_letters("feed"), vcon_uuid)
    assert (reason["uncertain"], reason["step"]) == (True, "feed")
    assert reason["error"].startswith("OutcomeUnknownError: storage feed may have happened: it ")


async def test_storages_that_know_and_do_not_know(scene: Scene):
    """One by one: what is known to have failed is tried again."""
    known = Sends(RuntimeError("refused"))
    unknown, fine = Sends(TimeoutError("no answer")), Sends()
    shelves = [
        storage(known.run, "known", effect="once", retries=1),
        storage(unknown.run, "unknown", effect="once", retries=3),
        storage(fine.run_sync, "fine", effect="once"),
    ]
    await scene.start(configured(links=[link(ok)], storages=shelves))
    [vcon_uuid] = await scene.feed()
    ended = await scene.finished()
    assert [len(each.sent) for each in (known, unknown, fine)] == [2, 1, 1]
    assert ended.steps[1:] == [("known", "ok"), ("unknown", "failed"), ("fine", "ok")]
    assert scene.client.keys("DLQ:*") == [letters := keys.storage_dead_letters("unknown")]
    assert scene.elements(letters) == [vcon_uuid]


async def test_a_run_without_such_steps_writes_as_before(scene: Scene):
    """The settlement is the only write."""
    written: list[str] = []
    script = scene.redis.script

    async def noted(name: str, *words: Any) -> Any:
        written.append(name)
        return await script(name, *words)

    scene.redis.script = noted  # type: ignore[method-assign]
    steps = [link(ok, name, effect=effect) for name, effect in [("a", "pure"), ("b", "idempotent")]]
    await scene.start(configured(links=steps, storages=[storage()]))
    await scene.feed()
    await scene.finished()
    assert written.count("settle") == 1
    assert "journal" not in written
