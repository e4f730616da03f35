"""Runs whose vCon the law does not allow at a step: no plugin gets the body."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.errors import UnavailableError
from pipeline.config.law import EgressLaw
from pipeline.ledger.basis import Basis
from pipeline.redis_client import keys
from pipeline.runs.parking import Parked
from pipeline.runs.run_state import RunState
from tests.integration.support.law_gates import Purposes
from tests.integration.support.pipeline_fixtures import (
    Scene,
    configured,
    link,
    storage,
    tracer,
)

pytestmark = pytest.mark.usefixtures("at_once")

LIST = "DLQ:vcon:withheld:in"


def gated(made: tuple[Any, Any], purpose: str) -> tuple[Any, Any]:
    """A link, storage or tracer with `requires`."""
    spec, loaded = made
    return replace(spec, requires=purpose), loaded


class Recorder:
    """Links, storages and tracers that note who was called with which vCon."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def link(self, name: str, purpose: str | None = None, **how: Any) -> tuple[Any, Any]:
        """A sync link, such as those that share a thread."""

        def run(vcon_uuid: str, *_: Any) -> str:
            self.calls.append((name, vcon_uuid))
            return vcon_uuid

        made = link(run, name, **how)
        return gated(made, purpose) if purpose else made

    def storage(self, name: str, purpose: str | None = None, **how: Any) -> tuple[Any, Any]:
        """A sync storage."""
        made = storage(lambda vcon_uuid, _: self.calls.append((name, vcon_uuid)), name, **how)
        return gated(made, purpose) if purpose else made

    def tracer(self, name: str, purpose: str | None = None) -> tuple[Any, Any]:
        """A tracer; it notes the index of the link, too."""

        async def run(_vcon_in: str, vcon_out: str, *rest: Any) -> None:
            self.calls.append((name, vcon_out, rest[2]))

        made = tracer(run, name)
        return gated(made, purpose) if purpose else made


@pytest.fixture
def seen() -> Recorder:
    """What plugins were called with."""
    return Recorder()


@pytest.mark.parametrize("through_lib", [False, True])
async def test_a_denied_link_never_gets_the_vcon(
    scene: Scene, seen: Recorder, *, through_lib: bool
):
    """Nor does what comes after it; neighbours that share a thread do not carry it along."""
    how = {"only_through_lib": through_lib}
    links = [seen.link("a", **how), seen.link("b", "transcription", **how), seen.link("c", **how)]
    await scene.start(configured(links=links, storages=[seen.storage("shelf")]))
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert (ended.status, ended.steps) == ("withheld", [("a", "ok"), ("b", "withheld")])
    assert seen.calls == [("a", vcon_uuid)]
    assert scene.elements("out") == scene.elements("DLQ:in") == []
    assert scene.elements(LIST) == [vcon_uuid]
    reason = scene.reason(LIST, vcon_uuid)
    told = {name: reason[name] for name in ("law", "step", "kind", "purpose", "place", "chain")}
    assert told == {
        "law": "PermissionDeniedError",
        "step": "b",
        "kind": "link",
        "purpose": "transcription",
        "place": "attachments[0]",
        "chain": "main",
    }
    assert scene.client.smembers(keys.holds(vcon_uuid)) == {LIST}
    assert scene.client.ttl(keys.run(reason["run_id"])) == -1


async def test_an_allowed_step_goes_on(scene: Scene, seen: Recorder):
    """A chain whose purposes are all allowed ends as any other."""
    scene.law_gate = Purposes("transcription", "storing", "audit", "redistribution")
    chain = configured(
        links=[seen.link("a", "transcription")],
        storages=[seen.storage("shelf", "storing")],
        tracers=[seen.tracer("t", "audit")],
        law=EgressLaw(requires="redistribution"),
    )
    await scene.start(chain)
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "done"
    assert [name for name, *_ in seen.calls] == ["t", "a", "t", "shelf"]
    assert scene.elements("out") == [vcon_uuid]
    assert scene.law_gate.asked == ["audit", "transcription", "audit", "storing", "redistribution"]


async def test_a_denied_storage_withholds_what_comes_after(scene: Scene, seen: Recorder):
    """The other storages are written; egress waits, and the vCon does not expire."""
    storages = [seen.storage("good"), seen.storage("crm", "redistribution")]
    await scene.start(configured(storages=storages))
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert (ended.status, sorted(ended.steps)) == (
        "withheld",
        [("crm", "withheld"), ("good", "ok")],
    )
    assert seen.calls == [("good", vcon_uuid)]
    assert scene.elements("out") == []
    assert scene.elements(LIST) == [vcon_uuid]
    assert scene.client.ttl(keys.vcon(vcon_uuid)) == -1


async def test_the_only_storage_is_not_tried_in_the_thread_of_the_links(
    scene: Scene, seen: Recorder
):
    """After sync links a chain's one storage has its first try there."""
    links = [seen.link("a", only_through_lib=True)]
    await scene.start(configured(links=links, storages=[seen.storage("crm", "x")]))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "withheld"
    assert seen.calls == [("a", vcon_uuid)]


async def test_a_storage_that_failed_beside_it_is_a_dead_letter(scene: Scene, seen: Recorder):
    """A failure is not hidden behind the withheld run."""

    def fails(*_: Any) -> None:
        raise OSError("disk full")

    storages = [storage(fails, "bad"), seen.storage("crm", "redistribution")]
    await scene.start(configured(storages=storages))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "withheld"
    assert scene.elements("DLQ:storage:bad") == scene.elements(LIST) == [vcon_uuid]


async def test_denied_egress_lists_do_not_get_it(scene: Scene, seen: Recorder):
    """All storages have it then."""
    chain = configured(storages=[seen.storage("shelf")], law=EgressLaw(requires="redistribution"))
    await scene.start(chain)
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "withheld"
    assert seen.calls == [("shelf", vcon_uuid)]
    assert scene.elements("out") == []
    assert scene.reason(LIST, vcon_uuid)["kind"] == "egress"
    assert scene.client.ttl(keys.vcon(vcon_uuid)) == -1


async def test_a_denied_tracer_never_gets_it(scene: Scene, seen: Recorder):
    """The run is withheld before its first link."""
    await scene.start(configured(links=[seen.link("a")], tracers=[seen.tracer("t", "audit")]))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "withheld"
    assert seen.calls == []
    assert scene.reason(LIST, vcon_uuid)["kind"] == "tracer"


async def test_a_tracer_is_not_left_out_while_redis_is_away(scene: Scene, seen: Recorder):
    """Redis fails as the law is asked about it after a link: it is called once Redis is back."""
    asked: list[str] = []

    class Flapping(Purposes):
        async def basis(self, live: RunState, purpose: str) -> Basis:
            asked.append(purpose)
            if len(asked) == 2:
                raise UnavailableError("Redis is away")
            return await super().basis(live, purpose)

    scene.law_gate = Flapping("audit")
    tracers = [seen.tracer("t", "audit")]
    await scene.start(configured(links=[seen.link("a"), seen.link("b")], tracers=tracers))
    await scene.feed()
    assert (await scene.ended()).status == "done"
    named = [(name, *rest) for name, _, *rest in seen.calls]
    assert named == [("t", -1), ("a",), ("t", 0), ("b",), ("t", 1)]


async def test_each_try_asks_again(scene: Scene):
    """A basis that is revoked between two tries of a link counts at the second one."""
    scene.law_gate = purposes = Purposes("transcription")
    tried: list[str] = []

    async def fails(vcon_uuid: str, *_: Any) -> str:
        tried.append(vcon_uuid)
        purposes.allowed.clear()
        raise OSError("once more")

    await scene.start(configured(links=[gated(link(fails, retries=3), "transcription")]))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "withheld"
    assert tried == [vcon_uuid]


async def test_a_step_that_must_not_be_repeated_has_no_mark_then(scene: Scene, seen: Recorder):
    """It has not begun, so its outcome is not unknown."""
    links = [seen.link("a", "transcription", effect="once")]
    storages = [seen.storage("shelf", "storing", effect="once")]
    await scene.start(configured(links=links, storages=storages))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "withheld"
    assert seen.calls == []
    [run_id] = scene.run_ids()
    assert "begun" not in scene.journal(run_id)
    assert scene.elements(LIST) == [vcon_uuid]


async def test_a_run_waits_while_what_was_recorded_cannot_be_read(scene: Scene, seen: Recorder):
    """No attempt is used up."""

    class Away:
        async def basis(self, *_: Any) -> Basis:
            raise Parked("waits for recorded bases", 0.01)

    scene.law_gate = Away()
    crew = await scene.start(configured(links=[seen.link("a", "transcription")], max_attempts=1))
    await scene.feed()
    assert [(await scene.ended()).how for _ in range(3)] == ["aside"] * 3
    crew.worker._runner._links._admission._gate = Purposes("transcription")
    assert (await scene.finished()).status == "done"


async def test_a_new_push_of_a_withheld_vcon_is_a_run_of_its_own(scene: Scene, seen: Recorder):
    """Such as one that has the basis now: its links run, and the older run stays withheld."""
    scene.law_gate = purposes = Purposes()
    await scene.start(configured(links=[seen.link("a"), seen.link("b", "transcription")]))
    [vcon_uuid] = await scene.feed()
    await scene.ended()
    purposes.allowed.add("transcription")
    await scene.redis.command("RPUSH", "in", vcon_uuid)
    assert (await scene.ended()).status == "done"
    assert [name for name, _ in seen.calls] == ["a", "a", "b"]
    assert scene.elements(LIST) == scene.elements("out") == [vcon_uuid]
    assert scene.client.smembers(keys.holds(vcon_uuid)) == {LIST, "out"}


async def test_two_storages_that_both_wait_and_are_denied(scene: Scene, seen: Recorder):
    """Every denied storage has its step; the list has the vCon once."""
    storages = [seen.storage("a", "x"), seen.storage("b", "y")]
    await scene.start(configured(storages=storages))
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert sorted(ended.steps) == [("a", "withheld"), ("b", "withheld")]
    assert scene.elements(LIST) == [vcon_uuid]
    assert seen.calls == []
