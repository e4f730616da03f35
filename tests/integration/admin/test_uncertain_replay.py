"""Dead letters that may have happened: a replay repeats the step or goes on after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from core.operator_interfaces import Call
from core.settings import Settings
from lib import effects
from pipeline.admin.operations import UncertainLeftError
from pipeline.custody.kept_run import with_document_of
from pipeline.live_config import Configuration
from pipeline.operator.causes.replays import ReplayDesk
from pipeline.operator.views.explanation import events_of, explained
from pipeline.redis_client import keys
from schemas.ingress_key import Author
from schemas.operator.failures import Replay, ReplayOrder
from schemas.operator.timeline import Place
from schemas.run import MARKED, Run
from tests.integration.support.dead_letters_scene import replay
from tests.integration.support.operations_scene import Operations, operations, refused, told
from tests.integration.support.pipeline_fixtures import configured, link, storage


class Steps:
    """Two links and two storages; those in `lost` do not know whether their call has happened."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.keys: list[str] = []
        self.lost: set[str] = set()
        self.down: set[str] = set()

    def _call(self, name: str) -> None:
        self.called.append(name)
        self.keys.append(effects.key())
        if name in self.lost:
            self.lost.discard(name)
            raise effects.OutcomeUnknownError("the answer was lost")
        if name in self.down:
            self.down.discard(name)
            raise OSError("it is down")

    async def link(self, vcon_uuid: str, name: str, _options: Any) -> str:
        """A link."""
        self._call(name)
        return vcon_uuid

    async def feed(self, _vcon_uuid: str, _options: Any) -> None:
        """A storage that is seen outside."""
        self._call("feed")

    async def shelf(self, _vcon_uuid: str, _options: Any) -> None:
        """Another storage."""
        self._call("shelf")

    def configuration(self) -> Configuration:
        """The chain, whose attempts are used up by one."""
        return configured(
            links=[link(self.link, "tag"), link(self.link, "slack", effect="once")],
            storages=[storage(self.feed, "feed", effect="once"), storage(self.shelf, "shelf")],
            max_attempts=1,
        )

    async def parked(self, ops: Operations, *lost: str, down: tuple[str, ...] = ()) -> str:
        """Let a vCon fail there; its uuid."""
        self.lost, self.down = set(lost), set(down)
        vcon_uuid = await ops.ingest("in")
        await ops.work()
        self.called.clear()
        return vcon_uuid


@pytest.fixture
def steps() -> Steps:
    """Steps that do not fail yet."""
    return Steps()


@pytest.fixture
async def ops(redis_url: str, steps: Steps) -> AsyncIterator[Operations]:
    """An empty Redis, and the chain."""
    async with operations(redis_url) as opened:
        opened.configure(steps.configuration())
        yield opened


@pytest.mark.parametrize(
    ("how", "called"),
    [("repeat", ["slack", "shelf", "feed"]), ("skip", ["shelf", "feed"])],
)
async def test_a_link_is_repeated_or_left_out(
    ops: Operations, steps: Steps, how: Any, called: list[str]
) -> None:
    """And the run goes on as it would have; a repetition has the key of the first call."""
    vcon_uuid = await steps.parked(ops, "slack")
    first = steps.keys[-1]
    assert await replay(ops, uncertain=how) == 1
    [ended] = await ops.work()
    assert (ended.status, steps.called) == ("done", called)
    assert ended.steps[:2] == [("tag", "ok"), ("slack", "ok")]
    assert (first in steps.keys[2:]) is (how == "repeat")
    assert (ops.list("out"), ops.list("DLQ:in")) == ([vcon_uuid], [])


async def test_without_a_word_it_stays(ops: Operations, steps: Steps) -> None:
    """The refusal says what can be said; others are replayed meanwhile."""
    vcon_uuid = await steps.parked(ops, "slack")
    with pytest.raises(UncertainLeftError, match=r"1 dead letter .*uncertain: repeat"):
        await replay(ops)
    await ops.vcon_server.replay("in", None, 10)
    assert ops.list("DLQ:in") == [vcon_uuid]
    await steps.parked(ops, down=("slack",))
    assert await replay(ops) == 1
    await ops.work()
    assert steps.called == ["slack", "shelf", "feed"]
    assert ops.list("DLQ:in") == [vcon_uuid]


async def test_what_is_shown_says_what_can_be_done(ops: Operations, steps: Steps) -> None:
    """The message of the cause, which is cut, and the command that `why` suggests."""
    vcon_uuid = await steps.parked(ops, "slack")
    reason = orjson.loads(ops.client.hget(keys.reasons("DLQ:in"), vcon_uuid))
    assert "uncertain=repeat to repeat it, uncertain=skip to go on after it" in reason["message"]
    known = {"cause": reason["fingerprint"], "error": reason["error"]}
    _, _, command = explained([Place(kind="dead letter", name="DLQ:in", **known)], [], known=True)
    assert command == f"replay --cause {reason['fingerprint']} --uncertain repeat|skip"


async def test_from_the_start_says_it_all(ops: Operations, steps: Steps) -> None:
    """Links that were done are repeated then, too, with keys of their own."""
    await steps.parked(ops, "slack")
    assert await replay(ops, from_start=True) == 1
    await ops.work()
    assert steps.called == ["tag", "slack", "shelf", "feed"]
    assert len(set(steps.keys)) == len(steps.keys) == 6


async def test_the_action_says_what_is_wanted(ops: Operations, steps: Steps) -> None:
    """`ListDeadLetters` marks the entry, `ReplayDeadLetters` has the field."""
    await steps.parked(ops, "slack")
    [entry] = (await told(ops, "ListDeadLetters", list="in"))["entries"]
    assert entry["uncertain"] is True
    status, words = await refused(ops, "ReplayDeadLetters", list="in")
    assert (status, "uncertain: skip" in words) == (400, True)
    status, _ = await refused(ops, "ReplayDeadLetters", list="in", uncertain="perhaps")
    assert status == 400
    assert await told(ops, "ReplayDeadLetters", list="in", uncertain="skip") == {"replayed": 1}


@pytest.mark.parametrize(("how", "called"), [("repeat", ["feed"]), ("skip", [])])
async def test_a_storage_is_repeated_or_left_out(
    ops: Operations, steps: Steps, how: Any, called: list[str]
) -> None:
    """After that the vCon is forwarded; nothing else is repeated."""
    vcon_uuid = await steps.parked(ops, "feed")
    assert await replay(ops, storage_name="feed", uncertain=how) == 1
    [ended] = await ops.work()
    assert (ended.status, steps.called) == ("done", called)
    assert (ops.list("out"), ops.list("DLQ:storage:feed")) == ([vcon_uuid], [])


async def test_a_replay_of_another_storage_does_not_repeat_it(
    ops: Operations, steps: Steps
) -> None:
    """Nor does the trial of a storage that comes back by itself."""
    vcon_uuid = await steps.parked(ops, "feed", down=("shelf",))
    assert await ops.operations.replay_storage("feed", 10) == []
    assert len(await ops.operations.replay_storage("shelf", 10)) == 1
    [ended] = await ops.work()
    assert (ended.status, steps.called) == ("partial", ["shelf"])
    assert (ops.list("DLQ:storage:shelf"), ops.list("DLQ:storage:feed")) == ([], [vcon_uuid])
    assert await replay(ops, storage_name="feed", uncertain="skip") == 1
    [ended] = await ops.work()
    assert (ended.status, steps.called, ops.list("out")) == ("done", ["shelf"], [vcon_uuid])


async def test_a_step_before_which_nothing_is_known_is_not_left_out(
    ops: Operations, steps: Steps
) -> None:
    """The checkpoint of the failed run is gone: to go on after the step is not possible."""
    vcon_uuid = await steps.parked(ops, "slack")
    for key in ops.client.keys("pc:run:*"):
        ops.client.delete(key)
    assert await replay(ops, uncertain="skip") == 0
    assert ops.list("DLQ:in") == [vcon_uuid]


async def test_a_step_that_custody_knows_without_those_before_it_is_not_left_out(
    ops: Operations, steps: Steps
) -> None:
    """It was done after a link had replaced the vCon, which is lost: the run would start over."""
    vcon_uuid = await steps.parked(ops, "slack")
    [key] = ops.client.keys("pc:run:*")
    run = orjson.loads(ops.client.get(key))
    del run["begun"]
    tag, slack = run["steps"]
    done = [tag, {**slack, "outcome": "ok", "error": None, "effect": "once"}]
    kept = with_document_of({**run, "vcon_out": "another", "steps": done}, vcon_uuid)
    assert [mark["index"] for mark in kept["begun"]] == [1]
    ops.client.set(key, orjson.dumps(kept))
    assert await replay(ops, uncertain="skip") == 0
    assert ops.list("DLQ:in") == [vcon_uuid]


async def test_each_of_several_steps_is_asked_about(ops: Operations, steps: Steps) -> None:
    """Of a run that starts over, since a link had replaced the vCon: in their order."""
    links = [link(steps.link, name, effect="once") for name in ("one", "two")]
    ops.configure(configured(links=[*links, link(steps.link, "last")], max_attempts=1))
    vcon_uuid = await steps.parked(ops, down=("last",))
    [key] = ops.client.keys("pc:run:*")
    run = orjson.loads(ops.client.get(key))
    kept = with_document_of({**run, "vcon_out": "another"}, vcon_uuid)
    ops.client.set(key, orjson.dumps(kept))
    assert await replay(ops) == 1
    for name in ("one", "two"):
        [ended] = await ops.work()
        assert (ended.status, ended.steps[-1]) == ("failed", (name, "failed"))
        assert await replay(ops, uncertain="skip") == 1
    [ended] = await ops.work()
    assert (ended.status, steps.called) == ("done", ["last"])


async def test_a_dead_letter_of_a_version_without_marks(ops: Operations, steps: Steps) -> None:
    """That finds the attempts used up: its dead letter stays without a word, as one of this one."""
    vcon_uuid = await steps.parked(ops, "slack")
    attempts, dead = MARKED + 2, keys.reasons("DLQ:in")
    reason = orjson.loads(ops.client.hget(dead, vcon_uuid))
    key = keys.run(reason["run_id"])
    run = orjson.loads(ops.client.get(key))
    del reason["uncertain"], run["begun"]
    ops.client.hset(dead, vcon_uuid, orjson.dumps(reason | {"attempts": attempts, "step": None}))
    ops.client.set(key, orjson.dumps(run | {"attempts": attempts}))
    [entry] = (await told(ops, "ListDeadLetters", list="in"))["entries"]
    assert (entry["uncertain"], entry["attempts"]) == (True, 2)
    assert Run.model_validate_json(ops.client.get(key)).attempts == 2  # in answers
    with pytest.raises(UncertainLeftError):
        await replay(ops)
    assert await replay(ops, uncertain="repeat") == 1
    await ops.work()
    assert (steps.called, ops.list("out")) == (["slack", "shelf", "feed"], [vcon_uuid])


async def test_a_skipped_step_is_told_as_skipped(ops: Operations, steps: Steps) -> None:
    """In the events of the vCon, with who did it and why if that is known."""
    await steps.parked(ops, "slack")
    await by_cause(ops, uncertain="skip")
    await steps.parked(ops, "slack")
    await replay(ops, uncertain="skip")
    await ops.work()
    texts = ops.client.mget(ops.client.keys("pc:run:*"))
    runs = [Run.model_validate_json(each) for each in texts]
    events = [each for run in runs for each in events_of(run) if each.outcome == "skipped"]
    assert {each.name for each in events} == {"slack"}
    assert {each.error for each in events} == {
        "skipped by test: it is known",
        "skipped by a replay",
    }


async def by_cause(ops: Operations, **order: Any) -> Replay:
    """Replay everything of the list by cause, as the command and the console do."""
    parts: Any = SimpleNamespace(
        redis=ops.redis,
        configuration=ops.configuration,
        operations=ops.operations,
        settings=Settings.model_construct(replay_canary_seconds=30.0),
    )
    wanted = ReplayOrder(list_name="in", canary=0, rate=100_000, wait=True, **order)
    return await ReplayDesk(parts).replay(wanted, Call(Author(actor="test"), "it is known"))


async def test_a_replay_by_cause(ops: Operations, steps: Steps) -> None:
    """It tells what it left and why; the record has what was said."""
    vcon_uuid = await steps.parked(ops, "slack")
    before = await by_cause(ops)
    assert (before.state, before.replayed, before.left) == ("done", 0, 1)
    assert before.error is not None
    assert "1 dead letter has a step that may have happened: say whether" in before.error
    after = await by_cause(ops, uncertain="skip")
    assert (after.replayed, after.left, after.uncertain, after.error) == (1, 0, "skip", None)
    await ops.work()
    assert (steps.called, ops.list("out")) == (["shelf", "feed"], [vcon_uuid])
