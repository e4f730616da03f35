"""What the law withholds is listed, and goes on at its step once the law allows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from core.errors import ConflictError, InvalidError, UnavailableError, UnknownNameError
from pipeline.api import PipelineService
from pipeline.ledger.outside_runs import SavesOutsideRuns
from pipeline.redis_client import keys
from pipeline.storages import lookup
from tests.integration.law.release_scene import LawScene, basis, law_scene
from tests.integration.support.operations_scene import FOR_EVER
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid

pytestmark = pytest.mark.usefixtures("at_once")
SECOND = timedelta(seconds=1)
LIST = keys.withheld("in")
ALL = ("trace -1", "first", "trace 0", "second", "trace 1", "shelf", "crm")


@pytest.fixture
async def law(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LawScene]:
    """An empty Redis."""
    async with law_scene(redis_url) as opened:
        yield opened


@pytest.mark.parametrize(
    ("gated", "before", "after"),
    [
        ("trace", [], [*ALL]),
        ("first", ["trace -1"], [*ALL]),
        ("second", ["trace -1", "first", "trace 0"], ["second", "trace 1", "shelf", "crm"]),
        ("crm", ["second", "trace 1", "shelf"], ["crm"]),
        ("egress", ["trace 1", "shelf", "crm"], []),
    ],
)
async def test_a_released_run_goes_on_at_its_step(
    law: LawScene, gated: str, before: list[str], after: list[str]
) -> None:
    """What was done is not repeated, and the step gets the vCon once a basis is recorded."""
    law.configure(gated)
    vcon_uuid = await law.run()
    assert law.called()[-len(before) or 99 :] == before
    assert (law.ops.list("out"), law.ops.list(LIST)) == ([], [vcon_uuid])
    assert law.ops.left(vcon_uuid) == FOR_EVER
    with pytest.raises(ConflictError, match=f"still withheld: .*purpose {gated}"):
        await law.release(vcon_uuid)
    law.recorded.add(gated, granted=True)
    [released] = (await law.release(vcon_uuid)).released
    assert law.ops.list(LIST) == []
    assert law.ops.holders(vcon_uuid) == {"in"}
    [ended] = await law.ops.work()
    assert (law.called(), ended.status) == (after, "done")
    assert orjson.loads(law.ops.client.lindex(keys.HISTORY, -1))["run_id"] == released.run_id
    assert law.ops.list("out") == [vcon_uuid]


async def test_a_revocation_after_the_release_counts(law: LawScene) -> None:
    """The worker evaluates again; the vCon is withheld again, with the newer reason."""
    law.configure("second")
    vcon_uuid = await law.run()
    law.recorded.add("second", granted=True)
    await law.release(vcon_uuid)
    law.recorded.add("second", granted=False)
    law.called()
    await law.ops.work()
    assert law.called() == []
    [found] = (await law.page()).vcons
    assert (found.law, found.step, found.place) == ("PermissionDeniedError", "second", "recorded:2")


async def test_a_revocation_in_the_middle_of_a_chain_counts(law: LawScene) -> None:
    """The first link has had the vCon, the second never gets it."""
    law.configure("first", "second")
    for name in ("first", "second"):
        law.recorded.add(name, granted=True)
    revoking = law._link

    async def revokes(vcon_uuid: str, name: str, options: object) -> str:
        law.recorded.add("second", granted=False)
        return await revoking(vcon_uuid, name, options)

    law._link = revokes  # type: ignore[method-assign]
    law.configure("first", "second")
    await law.run()
    assert law.called() == ["trace -1", "first", "trace 0"]
    [found] = (await law.page()).vcons
    assert (found.step, found.law) == ("second", "PermissionDeniedError")


async def test_a_basis_that_expires_in_the_middle_of_a_chain(
    law: LawScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It allowed the first link, which ends after it."""
    given = [basis(name, seconds=3) for name in ("first", "second", "crm")]
    plain, began, passed = law._link, datetime.now(UTC), 0.0
    monkeypatch.setattr("pipeline.withheld.evaluating.now", lambda: began + passed * SECOND)

    async def slow(vcon_uuid: str, name: str, options: object) -> str:
        nonlocal passed
        passed += 2
        return await plain(vcon_uuid, name, options)

    law._link = slow  # type: ignore[method-assign]
    law.configure("first", "second", "crm")
    await law.run(*given)
    assert law.called() == ["trace -1", "first", "trace 0", "second", "trace 1", "shelf"]
    [found] = (await law.page()).vcons
    assert (found.step, found.law) == ("crm", "LawfulBasisExpiredError")
    assert found.place == "attachments[2].body.purpose_grants[0]"


async def test_a_vcon_that_a_link_has_made(law: LawScene) -> None:
    """It is withheld under its own uuid, and goes on at the step."""
    made = new_uuid()
    await law.ops.workers.store.put(a_vcon(made))

    async def becomes(_vcon_uuid: str, name: str, _options: object) -> str:
        law.calls.append(name)
        return made

    law._link = becomes  # type: ignore[method-assign]
    law.configure("second")
    await law.run()
    assert law.ops.list(LIST) == [made]
    law.recorded.add("second", granted=True)
    law.called()
    await law.release(made)
    await law.ops.work()
    assert law.called()[0] == "second"
    assert law.ops.list("out") == [made]


@pytest.mark.parametrize("later", [False, True])
async def test_a_replay_of_a_storage_beside_the_withheld_one(law: LawScene, *, later: bool) -> None:
    """One run serves both entries, so a release does not repeat it; that of a later run stays."""
    failing = [True]

    def saver(name: str) -> Any:
        async def save(*_: Any) -> None:
            if name == "shelf" and failing:
                raise OSError("disk full")
            law.calls.append(name)

        return save

    law._saver = saver  # type: ignore[method-assign]
    law.configure("crm")
    vcon_uuid = await law.run()
    failing.clear()
    if later:
        law.ops.client.rpush("in", vcon_uuid)
        await law.ops.work()
    law.recorded.add("crm", granted=True)
    assert await law.ops.operations.replay_storage("shelf", 10)
    await law.ops.work()
    assert law.called()[-2:] == ["shelf", "crm"]
    assert law.ops.list("DLQ:storage:shelf") == []
    assert law.ops.list(LIST) == ([vcon_uuid] if later else [])
    assert law.ops.list("out") == [vcon_uuid]


async def test_all_of_a_list(law: LawScene) -> None:
    """Those that the law does not allow stay, with the error of now."""
    law.configure("second")
    fine, denied = await law.run(), await law.run(basis("second", granted=False))
    law.recorded.add("second", granted=True)
    result = await law.release(list_name="in")
    assert [each.vcon_uuid for each in result.released] == [fine]
    assert [(each.vcon_uuid, each.law) for each in result.withheld] == [
        (denied, "PermissionDeniedError")
    ]
    assert law.ops.list(LIST) == [denied]


async def test_pages(law: LawScene) -> None:
    """Oldest first, with the counts of all lists."""
    law.configure("first")
    uuids = [await law.run() for _ in range(3)]
    first = await law.page(limit=2)
    second = await law.page(limit=2, cursor=first.cursor)
    assert [each.vcon_uuid for each in (*first.vcons, *second.vcons)] == uuids
    assert (first.total, second.cursor) == (3, None)
    assert [(each.list_name, each.count) for each in first.counts] == [("in", 3)]
    assert first.vcons[0].error == "LawfulBasisMissingError: purpose first, decided by attachments"
    for cursor in ("x", ":in", "9" * 30 + ":in"):
        with pytest.raises(InvalidError, match="cursor"):
            await law.page(cursor=cursor)
    with pytest.raises(UnknownNameError, match="elsewhere"):
        await law.page(list_name="elsewhere")


async def test_withheld_vcons_are_not_replayed(law: LawScene) -> None:
    """As a list of dead letters, by which their names in Redis begin, it is refused: 409."""
    law.configure("second")
    vcon_uuid = await law.run()
    law.recorded.add("second", granted=True)
    which = LIST.removeprefix(keys.DEAD_LETTERS)
    with pytest.raises(ConflictError, match=r"release them, .*`release --list in`"):
        await law.ops.operations.replay(
            which, None, vcon_uuids=None, cause=None, limit=9, from_start=True
        )
    assert law.ops.list(LIST) == [vcon_uuid]


async def test_what_is_not_withheld_cannot_be_released(law: LawScene) -> None:
    """404, not 409."""
    law.configure("first")
    with pytest.raises(UnknownNameError, match="withheld vCon"):
        await law.release(new_uuid())


async def test_nothing_is_released_while_postgres_is_away(law: LawScene) -> None:
    """A denial might be recorded there."""
    law.configure("first")
    vcon_uuid = await law.run()
    law.recorded.error = UnavailableError("no Postgres")
    with pytest.raises(UnavailableError):
        await law.release(vcon_uuid)
    assert law.ops.list(LIST) == [vcon_uuid]


async def test_a_deleted_vcon_is_withheld_no_longer(law: LawScene) -> None:
    """Its entry, its reason and its run go with it."""
    law.configure("first")
    vcon_uuid = await law.run()
    await law.ops.operations.delete(vcon_uuid, [])
    assert law.ops.list(LIST) == []
    assert not law.ops.client.exists(keys.reasons(LIST), keys.holds(vcon_uuid))


async def test_the_sweep_keeps_withheld_vcons(law: LawScene) -> None:
    """Also one whose document got a time to live from another program."""
    law.configure("first")
    vcon_uuid = await law.run()
    law.ops.client.expire(keys.vcon(vcon_uuid), 1000)
    await law.ops.sweep()
    assert law.ops.left(vcon_uuid) == FOR_EVER


async def test_a_storage_outside_of_a_run(law: LawScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """StoreVcon asks, too: no storage gets the vCon if one of them may not."""
    law.configure("crm")
    ops = law.ops
    plugins = {spec.name: each for spec, each in ops.configuration.plugins.storages.items()}
    monkeypatch.setattr(lookup, "load_storage", lambda spec: plugins[spec.name])
    parts: list[Any] = [None] * 14  # those that it does not use here
    parts[2] = lookup.VconLookup(ops.configuration, ops.workers.store, ops.calls, 100)
    unused: Any = None  # no chain here has custody
    saves = SavesOutsideRuns(ops.configuration, ops.redis, law.recorded, unused, unused)
    parts[4], parts[5], parts[13] = ops.calls, ops.workers.queues, saves
    service = PipelineService(ops.configuration, *parts, "0.4.0")
    vcon_uuid = await law.ops.ingest(attachments=[basis("crm", granted=False)])
    with pytest.raises(ConflictError, match="storage crm: PermissionDeniedError: purpose crm"):
        await service.save(vcon_uuid, ["shelf", "crm"])
    assert law.called() == []
