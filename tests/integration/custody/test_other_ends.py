"""Places that end without a run of theirs, and runs that end while Postgres is away."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.errors import BusyError, UnavailableError
from pipeline.admin.dead_letters import DeadLetters, Destination, Selection
from pipeline.admin.egress import Egress
from pipeline.admin.retention import Retention
from pipeline.admin.run_archive import RunOutbox
from pipeline.admin.runs import Runs
from pipeline.admin.vcon_index import VconIndex
from pipeline.custody.late_releases import LateReleases
from pipeline.custody.places import Places
from pipeline.custody.replay_rows import ReplayRows
from pipeline.redis_client import keys
from tests.integration.custody.custody_scene import CustodyScene, rows, runs
from tests.integration.custody.test_settling import fails, passes, refuses, stored
from tests.integration.support.pipeline_fixtures import NoHistory, configured, link, storage

RUN = "019aa000-0000-7000-8000-000000000001"


def outcomes(kept: CustodyScene) -> list[Any]:
    """Each row's places that are open, and its outcome."""
    return rows(kept.database, "open, outcome")


async def delivered(kept: CustodyScene) -> str:
    """A vCon in an egress list."""
    vcon_uuid = await kept.accept()
    await kept.start(stored(egress=("out",)))
    await kept.finished()
    return vcon_uuid


async def dead_letter(kept: CustodyScene) -> str:
    """A vCon whose second link has failed."""
    vcon_uuid = await kept.accept()
    crew = await kept.start(stored(links=[link(passes), link(fails)], max_attempts=1))
    await kept.finished()
    await crew.stop()
    return vcon_uuid


def letters_of(kept: CustodyScene) -> DeadLetters:
    """The dead letters, with the custody of replays."""
    replay_rows = ReplayRows(kept.redis, "vcons", kept.keeper)
    return DeadLetters(kept.redis, run_expiry=60, rows=replay_rows)


def into(name: str) -> Selection:
    """All dead letters into a list."""
    return Selection(destination=lambda _: Destination(name, "main"), limit=10)


async def moved(kept: CustodyScene) -> None:
    """The service writes what scripts have noted."""

    async def write(_runs: Any, _notes: Any) -> None:
        """The runs are not looked at."""

    ends = Places(kept.redis, kept.keeper).write
    await RunOutbox(kept.redis, write, 100, write_ends=ends).drain_waiting()
    assert kept.elements(keys.RELEASED) == []


async def test_an_acknowledged_vcon(kept: CustodyScene) -> None:
    """A lease alone ends nothing."""
    vcon_uuid = await delivered(kept)
    egress = Egress(kept.redis, vcon_expiry=60, places=Places(kept.redis, kept.keeper))
    await egress.read("out", 1, 60)
    assert outcomes(kept)[1] == (["out"], None)
    await egress.acknowledge("out", [vcon_uuid])
    assert outcomes(kept)[1] == ([], "read")
    assert kept.about(vcon_uuid) == {}


async def test_killed_after_an_acknowledgement(kept: CustodyScene) -> None:
    """The service releases it, once; what came into the list since stays."""
    vcon_uuid = await delivered(kept)
    await Egress(kept.redis, vcon_expiry=60).pop("out", 1)
    assert outcomes(kept)[1] == (["out"], None)
    [noted] = kept.elements(keys.RELEASED)
    kept.client.hset(
        f"pc:about:{vcon_uuid}", "custody:out", f"{kept.about(vcon_uuid)['out']} 9.9:1"
    )
    for _ in range(2):
        await moved(kept)
        assert outcomes(kept)[1] == ([], "read")
        assert kept.about(vcon_uuid) == {"out": "9.9:1"}
        kept.client.rpush(keys.RELEASED, noted)


async def test_what_cannot_be_released(
    kept: CustodyScene, caplog: pytest.LogCaptureFixture
) -> None:
    """Other programs' elements are left out; those beside them are written."""
    strange = [
        "",
        "read\nx\nu\nout",
        "read\n9e9.1\nu\nout",
        f"read\n1.{10**30}:1\nu\nout",
        "\n" * 9,
    ]
    kept.client.rpush(keys.RELEASED, *strange, f"read\n{10**30}.1:1\nu\nout")
    await delivered(kept)
    await Egress(kept.redis, vcon_expiry=60).pop("out", 1)
    await moved(kept)
    assert outcomes(kept)[1] == ([], "read")
    assert "release cannot be written" in caplog.text


async def test_without_rows_nothing_is_noted(kept: CustodyScene) -> None:
    """Such as with CUSTODY=redis."""
    vcon_uuid = await delivered(kept)
    kept.client.hdel(f"pc:about:{vcon_uuid}", "custody:out")
    await Egress(kept.redis, vcon_expiry=60).pop("out", 1)
    assert not kept.client.exists(keys.RELEASED)


async def test_a_vcon_that_another_program_takes(kept: CustodyScene) -> None:
    """The sweep notices."""
    await delivered(kept)
    kept.client.lpop("out")
    index, egress = (
        VconIndex(kept.redis, "vcons", run_expiry=60),
        Egress(kept.redis, vcon_expiry=60),
    )
    how: Any = {"vcon_expiry": 60, "dead_expiry": 60, "run_expiry": 60}
    await Retention(kept.redis, index, egress, **how)._sweep_egress("out")
    await moved(kept)
    assert outcomes(kept)[1] == ([], "taken out")


async def cancelled(kept: CustodyScene, places: Places | None) -> None:
    """A requested run that is cancelled while it is queued."""
    vcon_uuid = await kept.accept(lists=())
    state = {"run_id": RUN, "chain": "main", "vcon_in": vcon_uuid, "vcon_out": vcon_uuid}
    state |= {"status": "queued", "ingress_list": None, "attempts": 0, "steps": []}
    state |= {"config_hash": "", "finished_at": None}
    await kept.intake.enqueue_run(vcon_uuid, RUN, "main", orjson.dumps(state))
    history: Any = NoHistory()
    await Runs(kept.redis, kept.intake, kept.queues, history, configured(), places).cancel(RUN)


async def test_a_cancelled_run(kept: CustodyScene) -> None:
    """One that is queued ends at once."""
    await cancelled(kept, Places(kept.redis, kept.keeper))
    assert outcomes(kept) == [([""], None), ([], "cancelled")]


async def test_killed_after_a_cancellation(kept: CustodyScene) -> None:
    """The service releases it."""
    await cancelled(kept, None)
    await moved(kept)
    assert outcomes(kept) == [([""], None), ([], "cancelled")]


async def test_a_deleted_vcon(kept: CustodyScene) -> None:
    """No row has anything of it, before Redis forgets it."""
    vcon_uuid = await kept.accept("in", "other")
    index = VconIndex(kept.redis, "vcons", run_expiry=60, places=Places(kept.redis, kept.keeper))
    await index.delete(vcon_uuid, ["in", "other"])
    assert rows(kept.database, "open, outcome, document, state, terms") == [
        ([], "deleted", None, None, [])
    ]


async def test_a_deletion_needs_postgres(
    kept: CustodyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis keeps the vCon, or recovery would bring it back later."""

    async def away(_uuid: str) -> None:
        raise UnavailableError("Postgres: connection refused")

    vcon_uuid = await kept.accept()
    monkeypatch.setattr(kept.keeper, "erase", away)
    places = Places(kept.redis, kept.keeper)
    index = VconIndex(kept.redis, "vcons", run_expiry=60, places=places)
    with pytest.raises(UnavailableError):
        await index.delete(vcon_uuid, ["in"])
    assert kept.elements("in") == [vcon_uuid]


async def test_a_vcon_in_flight_is_not_deleted(kept: CustodyScene) -> None:
    """Its custody goes on, too."""
    vcon_uuid = await kept.accept()
    await kept.claimed()
    places = Places(kept.redis, kept.keeper)
    with pytest.raises(BusyError):
        await VconIndex(kept.redis, "vcons", run_expiry=60, places=places).delete(vcon_uuid, ["in"])
    assert outcomes(kept) == [(["in"], None)]


async def test_a_replay(kept: CustodyScene) -> None:
    """The new run has a row with its checkpoint; the dead letter is released."""
    vcon_uuid = await dead_letter(kept)
    [run] = await letters_of(kept).replay("DLQ:in", into("in"))
    assert outcomes(kept) == [([], "failed"), ([], "replayed"), (["in"], None)]
    [*_, (run_id, state)] = rows(kept.database, "run_id, state")
    assert str(run_id) == run
    assert [step["outcome"] for step in state["steps"]] == ["ok"]
    assert set(kept.about(vcon_uuid)) == {"in"}
    await kept.start(stored())
    await kept.finished()
    assert outcomes(kept)[2] == ([], "done")


async def test_killed_after_a_replay(kept: CustodyScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dead letter does not come back: the service releases it."""

    async def killed(_self: Any, _replays: Any, _refs: Any, _reply: Any) -> list[str]:
        raise UnavailableError("killed")

    vcon_uuid = await dead_letter(kept)
    monkeypatch.setattr(ReplayRows, "queued", killed)
    with pytest.raises(UnavailableError, match="killed"):
        await letters_of(kept).replay("DLQ:in", into("in"))
    await moved(kept)
    assert outcomes(kept) == [([], "failed"), ([], "replayed"), (["in"], None)]
    assert set(kept.about(vcon_uuid)) == {"in"}


async def test_a_replay_of_a_dead_letter_without_a_row(kept: CustodyScene) -> None:
    """One of the time before custody."""
    vcon_uuid = await dead_letter(kept)
    kept.client.hdel(f"pc:about:{vcon_uuid}", "custody:DLQ:in")
    await letters_of(kept).replay("DLQ:in", into("run:main"))
    assert outcomes(kept)[2][0][0].startswith("run:main|")


async def test_a_replay_that_redis_refuses(kept: CustodyScene) -> None:
    """The vCon is being processed: nothing is left of the replay."""
    vcon_uuid = await dead_letter(kept)
    kept.client.hset("pc:locks", vcon_uuid, "worker")
    assert await letters_of(kept).replay("DLQ:in", into("in")) == []
    assert outcomes(kept) == [([], "failed"), (["DLQ:in"], None)]


async def test_a_replay_during_recovery(kept: CustodyScene) -> None:
    """It is refused, and nothing is left of it."""
    await dead_letter(kept)
    kept.client.hdel(keys.EPOCH, "server")
    with pytest.raises(UnavailableError, match="Redis is being recovered"):
        await letters_of(kept).replay("DLQ:in", into("in"))
    assert outcomes(kept) == [([], "failed"), (["DLQ:in"], None)]


async def ended_without_postgres(
    kept: CustodyScene, monkeypatch: pytest.MonkeyPatch, **how: Any
) -> str:
    """A run that ended while Postgres was away."""

    def away(_batch: Any) -> Any:
        raise UnavailableError("Postgres: connection refused")

    vcon_uuid = await kept.accept()
    with monkeypatch.context() as patched:
        patched.setattr(kept.settling.settlements, "write", away)
        crew = await kept.start(stored(**how))
        assert (await kept.finished()).held
        await crew.stop()
    assert outcomes(kept) == [(["in"], None)]
    return vcon_uuid


async def recorded(kept: CustodyScene) -> None:
    """The service writes what waits in the history."""
    late = LateReleases(kept.redis, kept.settling.settlements, kept.keeper, "vcons")
    await late.write([orjson.loads(each) for each in kept.elements(keys.HISTORY)])


async def test_postgres_away(kept: CustodyScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends in Redis; the release comes with its history, and may come twice."""
    vcon_uuid = await ended_without_postgres(kept, monkeypatch)
    assert set(kept.about(vcon_uuid)) == {"in"}
    for _ in range(2):
        await recorded(kept)
        assert outcomes(kept) == [([], "done")]
        assert kept.about(vcon_uuid) == {}
    [(status, token)] = runs(kept.database)
    assert (status, token > 0) == ("done", True)


async def test_what_follows_comes_late(kept: CustodyScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of dead letters and egress lists are written with the release, once."""
    how: Any = {"storages": [storage(), storage(refuses, "full")]}
    vcon_uuid = await ended_without_postgres(kept, monkeypatch, **how)
    for _ in range(2):
        await recorded(kept)
        assert outcomes(kept) == [([], "partial"), (["DLQ:storage:full"], None)]
        assert set(kept.about(vcon_uuid)) == {"DLQ:storage:full"}
    [_, (state,)] = rows(kept.database, "state")
    assert state["reason"]["step"] == "full"


async def test_what_was_read_meanwhile(kept: CustodyScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that comes after the reader has acknowledged is closed at once."""
    vcon_uuid = await ended_without_postgres(kept, monkeypatch, egress=("out",))
    egress = Egress(kept.redis, vcon_expiry=60)
    assert await egress.pop("out", 1) == [vcon_uuid]
    await recorded(kept)
    assert outcomes(kept) == [([], "done"), ([], "read")]


async def test_vcons_of_other_programs(kept: CustodyScene) -> None:
    """They are taken into custody when they are claimed, before the first link."""
    seen: list[Any] = []

    async def looks(vcon_uuid: str, _name: str, _options: object) -> str:
        seen.extend(outcomes(kept))
        seen.append(set(kept.about(vcon_uuid)))
        return vcon_uuid

    [vcon_uuid] = await kept.feed("in")
    await kept.start(stored(links=[link(looks)]))
    await kept.finished()
    assert seen == [(["in"], None), {"in"}]
    assert outcomes(kept) == [([], "done")]
    assert kept.about(vcon_uuid) == {}


async def test_elements_that_are_no_uuids(kept: CustodyScene) -> None:
    """Another program's element is run, and fails, as ever."""
    await kept.redis.command("RPUSH", "in", "no uuid", "019AA000-0000-7000-8000-000000000001")
    await kept.start(stored(max_attempts=1))
    for _ in range(2):
        assert (await kept.finished()).held
    assert all(not each for each, _ in outcomes(kept))


@pytest.mark.usefixtures("at_once")
async def test_a_checkpoint_between_attempts(kept: CustodyScene) -> None:
    """The row has the steps that are done, so that a recovered run goes on after them."""
    states: list[Any] = []

    async def fails_once(vcon_uuid: str, _name: str, _options: object) -> str:
        states.extend(rows(kept.database, "state"))
        if len(states) == 1:
            raise ValueError("first")
        return vcon_uuid

    await kept.accept()
    await kept.start(stored(links=[link(passes), link(fails_once)], max_attempts=3))
    await kept.finished()
    assert states[0] == (None,)
    assert [step["outcome"] for step in states[1][0]["steps"]] == ["ok", "failed"]


async def test_a_row_that_was_deleted(kept: CustodyScene) -> None:
    """What follows is in custody even if nothing is left of what was accepted."""

    async def deletes(vcon_uuid: str, _name: str, _options: object) -> str:
        await kept.keeper.drop(kept.about(vcon_uuid)["in"])
        return vcon_uuid

    write = kept.settling.settlements.write
    kept.settling.settlements.write = lambda batch: write(batch) and write(batch)  # type: ignore[method-assign]
    await kept.accept()
    await kept.start(stored(links=[link(deletes)], egress=("out",)))
    await kept.finished()
    assert rows(kept.database) == [(["out"], ["out"], None)]
