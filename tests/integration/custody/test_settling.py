"""The end of a run: Postgres has it, and has released the vCon, before Redis has."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.db.settlements import Settlements
from core.errors import InvalidError
from pipeline.live_config import Configuration
from pipeline.redis_client.client import CommandRefused
from pipeline.worker.postgres_custody import PostgresCustody
from tests.integration.custody.custody_scene import CustodyScene, rows, runs
from tests.integration.support.pipeline_fixtures import a_vcon, configured, link, new_uuid, storage


async def passes(vcon_uuid: str, _name: str, _options: object) -> str:
    """A link that changes nothing."""
    return vcon_uuid


async def fails(_uuid: str, _name: str, _options: object) -> str:
    """A link that fails."""
    raise ValueError("no such thing")


async def halts(_uuid: str, _name: str, _options: object) -> None:
    """A link that filters."""


def refuses(_uuid: str, _options: object) -> None:
    """A storage that fails."""
    raise OSError("no space")


def stored(**how: Any) -> Configuration:
    """A chain with a storage and without egress lists."""
    return configured(**({"links": [link(passes)], "storages": [storage()], "egress": ()} | how))


async def test_a_run_that_is_done(kept: CustodyScene) -> None:
    """Its row is closed, with outcome and token; the history is in Postgres, not in Redis."""
    vcon_uuid = await kept.accept()
    await kept.start(stored())
    ended = await kept.finished()
    assert ended.held
    [row] = rows(kept.database, "open, outcome, token, document, released_at IS NOT NULL")
    assert row == ([], "done", ended.claim.token, None, True)
    assert runs(kept.database) == [("done", ended.claim.token)]
    assert kept.about(vcon_uuid) == {}
    assert kept.elements("pc:history") == []


async def test_two_lists(kept: CustodyScene) -> None:
    """The row stays open for the other list, with its document."""
    vcon_uuid = await kept.accept("in", "other")
    await kept.start(stored())
    await kept.finished()
    [(still_open, document)] = rows(kept.database, "open, document")
    assert still_open == ["other"]
    assert document is not None
    assert set(kept.about(vcon_uuid)) == {"other"}


async def test_a_vcon_for_no_list_is_released_by_a_storage(kept: CustodyScene) -> None:
    """Redis was the only place that had it."""
    vcon_uuid = await kept.accept(lists=())
    await kept.intake.enqueue([vcon_uuid], "in")
    assert set(kept.about(vcon_uuid)) == {"", "in"}
    await kept.start(stored())
    await kept.finished()
    assert [each[1] for each in rows(kept.database)] == [[], []]
    assert kept.about(vcon_uuid) == {}


async def test_egress(kept: CustodyScene) -> None:
    """The list that gets the vCon has a row with the document as the links have left it."""

    async def changes(vcon_uuid: str, _name: str, _options: object) -> str:
        await kept.store.put(a_vcon(vcon_uuid, subject="changed"))
        return vcon_uuid

    vcon_uuid = await kept.accept()
    await kept.start(stored(links=[link(changes)], egress=("out", "more")))
    ended = await kept.finished()
    found = rows(kept.database, "lists, open, run_id, token, document")
    assert [lists for lists, *_ in found] == [["in"], ["out"], ["more"]]
    assert found[1][1] == ["out"]
    assert str(found[1][2]) == ended.claim.run_id
    assert found[1][3] == ended.claim.token
    assert orjson.loads(found[1][4])["subject"] == "changed"
    assert set(kept.about(vcon_uuid)) == {"out", "more"}


async def test_a_dead_letter(kept: CustodyScene) -> None:
    """Its row has the reason and the run to continue from; the first one is released."""
    vcon_uuid = await kept.accept()
    await kept.start(stored(links=[link(passes), link(fails)], max_attempts=1))
    await kept.finished()
    [first, (lists, still_open, state)] = rows(kept.database, "lists, open, state")
    assert first[:2] == (["in"], [])
    assert lists == still_open == ["DLQ:in"]
    reason = kept.reason("DLQ:in", vcon_uuid)
    assert state["reason"] == reason
    assert [step["outcome"] for step in state["run"]["steps"]] == ["ok", "failed"]
    assert set(kept.about(vcon_uuid)) == {"DLQ:in"}
    assert runs(kept.database, "status") == [("failed",)]
    assert rows(kept.database, "fingerprint, count", "failure_causes") == [
        (reason["fingerprint"], 1)
    ]


async def test_a_storage_that_refuses(kept: CustodyScene) -> None:
    """The row of its dead-letter list keeps the document."""
    vcon_uuid = await kept.accept()
    await kept.start(stored(storages=[storage(), storage(refuses, "full")]))
    await kept.finished()
    [first, (lists, still_open, _, document)] = rows(
        kept.database, "lists, open, outcome, document"
    )
    assert first[1:] == ([], "partial", None)
    assert lists == still_open == ["DLQ:storage:full"]
    assert document is not None
    assert set(kept.about(vcon_uuid)) == {"DLQ:storage:full"}


async def test_a_link_halts(kept: CustodyScene) -> None:
    """No storage has the vCon, so the row keeps it although it is closed."""
    await kept.accept()
    await kept.start(stored(links=[link(halts)]))
    await kept.finished()
    [(still_open, outcome, document)] = rows(kept.database, "open, outcome, document")
    assert (still_open, outcome) == ([], "halted")
    assert document is not None


async def test_another_vcon_comes_out(kept: CustodyScene) -> None:
    """The first one is released; what follows is of the other."""
    made = new_uuid()

    async def replaces(_uuid: str, _name: str, _options: object) -> str:
        await kept.store.put(a_vcon(made))
        return made

    vcon_uuid = await kept.accept()
    await kept.start(stored(links=[link(replaces)], egress=("out",)))
    await kept.finished()
    [first, second] = rows(kept.database, "vcon_uuid, open")
    assert (str(first[0]), first[1]) == (vcon_uuid, [])
    assert (str(second[0]), second[1]) == (made, ["out"])
    assert set(kept.about(made)) == {"out"}


async def test_rows_that_come_meanwhile_stay(
    kept: CustodyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same vCon was queued again before the script ran: that element has a row of its own."""
    vcon_uuid = await kept.accept()
    before = PostgresCustody.ended

    async def then_again(self: PostgresCustody, *args: Any) -> Any:
        found = await before(self, *args)
        monkeypatch.setattr(PostgresCustody, "ended", before)
        await kept.intake.enqueue([vcon_uuid], "in")
        return found

    monkeypatch.setattr(PostgresCustody, "ended", then_again)
    await kept.start(stored())
    await kept.finished()
    await kept.finished()
    assert [still_open for (still_open,) in rows(kept.database, "open")] == [[], []]
    assert kept.about(vcon_uuid) == {}


async def killed_after_commit(kept: CustodyScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker fails a run for good, and dies before Redis knows; the claim is given back."""
    before = PostgresCustody.ended

    async def killed(self: PostgresCustody, *args: Any) -> Any:
        found = await before(self, *args)
        kept.client.delete("pc:worker:first")
        await kept.queues.rescue("first")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(PostgresCustody, "ended", killed)
        crew = await kept.start(stored(links=[link(fails)], max_attempts=1), "first")
        assert not (await kept.finished()).held
        await crew.stop()


async def test_killed_between_commit_and_script(
    kept: CustodyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempt ends otherwise: only what that one has left is open."""
    vcon_uuid = await kept.accept()
    await killed_after_commit(kept, monkeypatch)
    assert [each[1] for each in rows(kept.database)] == [[], ["DLQ:in"]]
    await kept.start(stored(max_attempts=9, egress=("out",)), "second", patience=60.0)
    await kept.finished()
    assert [each[1:] for each in rows(kept.database)] == [
        ([], "done"),
        ([], "superseded"),
        (["out"], None),
    ]
    assert set(kept.about(vcon_uuid)) == {"out"}
    assert runs(kept.database, "status") == [("done",)]


async def test_a_late_commit_of_a_lost_claim(
    kept: CustodyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction of a worker that was suspended comes after that of the next one."""
    await kept.accept()
    late: list[Any] = []
    write = Settlements.write

    def suspended(self: Settlements, batch: Any) -> Any:
        late.extend(batch)
        return [{} for _ in batch]

    with monkeypatch.context() as patched:
        patched.setattr(Settlements, "write", suspended)
        await killed_after_commit(kept, monkeypatch)
    await kept.start(stored(max_attempts=9), "second", patience=60.0)
    await kept.finished()
    write(kept.settling.settlements, late)
    assert rows(kept.database) == [(["in"], [], "done")]
    assert runs(kept.database, "status") == [("done",)]


async def test_redis_is_lost_between_commit_and_script(
    kept: CustodyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script finds no claim; the row stays released, and what follows is in Postgres alone."""
    await kept.accept()
    before = PostgresCustody.ended

    async def lost(self: PostgresCustody, *args: Any) -> Any:
        found = await before(self, *args)
        kept.client.flushall()
        return found

    monkeypatch.setattr(PostgresCustody, "ended", lost)
    await kept.start(stored(egress=("out",)))
    assert not (await kept.finished()).held
    assert [each[1] for each in rows(kept.database)] == [[], ["out"]]


async def test_a_claim_that_is_lost_leaves_no_dead_letter(
    kept: CustodyScene, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker asks before it commits a failed end."""
    await kept.accept()

    async def loses(_uuid: str, _name: str, _options: object) -> str:
        kept.client.delete("pc:worker:one", "pc:inflight:one")
        raise ValueError("late")

    await kept.start(stored(links=[link(loses)], max_attempts=1))
    await kept.dropped(caplog)
    assert [each[:2] for each in rows(kept.database)] == [(["in"], ["in"])]
    assert runs(kept.database) == []


async def test_an_end_that_redis_refuses(
    kept: CustodyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead letter that it becomes replaces what was committed."""
    vcon_uuid = await kept.accept()
    finish = kept.queues.finish

    async def refused(worker: str, claim: Any, settlement: Any) -> bool:
        if settlement.egress_lists:
            raise CommandRefused("OOM command not allowed")
        return await finish(worker, claim, settlement)

    monkeypatch.setattr(kept.queues, "finish", refused)
    await kept.start(stored(egress=("out",), max_attempts=1))
    await kept.finished()
    assert [each[1:] for each in rows(kept.database)] == [
        ([], "failed"),
        ([], "superseded"),
        (["DLQ:in"], None),
    ]
    assert set(kept.about(vcon_uuid)) == {"DLQ:in"}


async def test_a_commit_that_is_repeated(kept: CustodyScene) -> None:
    """It changes nothing, and finds the rows that the first one has added."""
    seen: list[Any] = []
    write = kept.settling.settlements.write

    def twice(batch: Any) -> Any:
        seen.extend([write(batch), write(batch)])
        return seen[-1]

    await kept.accept()
    kept.settling.settlements.write = twice  # type: ignore[method-assign]
    await kept.start(stored(egress=("out",)))
    await kept.finished()
    assert seen[0] == seen[1]
    assert [each[1] for each in rows(kept.database)] == [[], ["out"]]


async def test_values_that_postgres_cannot_hold(
    kept: CustodyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a run ends in Redis alone; the others of its batch are recorded."""
    write = kept.settling.settlements.write

    def refused(batch: Any) -> Any:
        if any(each.run["vcon_in"] == wrong for each in batch):
            raise InvalidError("22P02")
        return write(batch)

    wrong = await kept.accept()
    await kept.accept()
    monkeypatch.setattr(kept.settling.settlements, "write", refused)
    await kept.start(stored())
    for _ in range(2):
        assert (await kept.finished()).held
    assert sorted(each[1] for each in rows(kept.database)) == [[], ["in"]]
    assert len(kept.elements("pc:history")) == 1


async def test_redis_is_lost_before_the_commit(
    kept: CustodyScene, caplog: pytest.LogCaptureFixture
) -> None:
    """The vCon is gone that the egress list gets, so nothing is released: it is run again."""

    async def loses(_uuid: str, _options: object) -> None:
        kept.client.flushall()

    await kept.accept()
    await kept.start(stored(storages=[storage(loses)], egress=("out",)))
    await kept.dropped(caplog)
    assert rows(kept.database) == [(["in"], ["in"], None)]
    assert runs(kept.database) == []


@pytest.mark.parametrize("is_held", [True, False])
async def test_another_generation(
    kept: CustodyScene,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    is_held: bool,
) -> None:
    """Recovery ended between the question who holds the claim and the commit: it is asked again."""
    vcon_uuid = await kept.accept()
    holds = kept.queues.holds

    async def recovered(worker: str, claim: Any) -> tuple[bool, str]:
        found = await holds(worker, claim)
        monkeypatch.setattr(kept.queues, "holds", holds)
        kept.approve(2)
        if not is_held:
            kept.client.delete(f"pc:inflight:{worker}")
        return found

    monkeypatch.setattr(kept.queues, "holds", recovered)
    await kept.start(stored(links=[link(fails)], max_attempts=1))
    if is_held:
        assert (await kept.finished()).held
        assert [each[1] for each in rows(kept.database)] == [[], ["DLQ:in"]]
        assert kept.about(vcon_uuid)["DLQ:in"].endswith(":2")
    else:
        await kept.dropped(caplog)
        assert [each[1] for each in rows(kept.database)] == [["in"]]


async def test_an_end_during_recovery(kept: CustodyScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits until this Redis is approved, if that has the claim."""
    await kept.accept()
    holds, seen = kept.queues.holds, []

    async def looked(worker: str, claim: Any) -> tuple[bool, str]:
        seen.append(await holds(worker, claim))
        kept.approve()
        return seen[-1]

    async def restored(vcon_uuid: str, _name: str, _options: object) -> str:
        kept.client.hdel("pc:epoch", "server")
        return vcon_uuid

    monkeypatch.setattr(kept.queues, "holds", looked)
    await kept.start(stored(links=[link(restored)], egress=("out",)))
    assert (await kept.finished()).held
    assert seen == [(True, ""), (True, "1")]
