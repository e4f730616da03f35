"""What a worker tells the ledger of its runs, against a real database and a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from core.concurrency.thread_pool import BoundedCalls
from core.db.database import Database
from core.db.law.deliveries import Deliveries
from core.settings import Settings, load_settings
from pipeline.config.law import EgressLaw, Law, LawKey, Trust
from pipeline.ledger.deliveries import AWAY, DeliveryLedger
from pipeline.ledger.in_worker import WorkerLedger
from pipeline.redis_client import keys, originals
from pipeline.runs.vcon_store import VconStore
from tests.integration.law.ledger_scene import Ledger
from tests.integration.support.law_gates import Purposes
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    configured,
    link,
    storage,
    tracer,
)
from tests.law_keys import ec_key, private_pem
from tests.signed_vcons import UUID, alone, certify, current, plain, rsa_key, signed
from tests.time_limits import HOUR, TimeIsUp

pytestmark = pytest.mark.usefixtures("at_once")

OUTCOMES = "SELECT kind, name, attempt, outcome, error FROM law_deliveries ORDER BY id"


@pytest.fixture
def calls() -> Iterator[BoundedCalls]:
    """Threads for calls to Postgres."""
    with contextlib.closing(BoundedCalls("ledger", threads=2, waiting=8, seconds=20.0)) as calls:
        yield calls


@pytest.fixture(autouse=True)
def _recording(scene: Scene, database: Database, calls: BoundedCalls) -> None:
    """Workers record what their runs give away."""
    scene.ledger = DeliveryLedger(scene.redis, Deliveries(database), calls)


async def passes(vcon_uuid: str, *_: Any) -> str:
    """A link that changes nothing."""
    return vcon_uuid


async def traces(*_: Any) -> None:
    """A tracer."""


def recorded(scene: Scene, ledger: Ledger) -> None:
    """Record what waits in Redis, as the service does."""
    waiting = [orjson.loads(text) for text in scene.elements(keys.HISTORY)]
    ledger.history.write_runs(waiting)


async def test_each_call_has_its_delivery_before_it(scene: Scene, ledger: Ledger) -> None:
    """Links, tracers, storages and egress lists; the outcome comes with the history."""
    seen: list[Any] = []

    def saves(*_: Any) -> None:
        seen.extend(ledger.execute(OUTCOMES))

    parts = {"links": [link(passes)], "storages": [storage(saves)], "tracers": [tracer(traces)]}
    await scene.start(configured(**parts, custody=True))
    [vcon_uuid] = await scene.feed()
    ended = await scene.finished()
    before = [("tracer", "tracer"), ("link", "passes"), ("tracer", "tracer"), ("storage", "shelf")]
    assert seen == [(*step, 1, None, None) for step in before]
    assert [row[3] for row in ledger.execute(OUTCOMES)] == [None] * 5
    recorded(scene, ledger)
    calls = [*before, ("egress", "out")]
    assert ledger.execute(OUTCOMES) == [(*step, 1, "ok", None) for step in calls]
    [(vcon, run, chain, worker)] = ledger.execute(
        "SELECT DISTINCT vcon_uuid::text, run_id::text, chain, worker FROM law_deliveries"
    )
    assert (vcon, run, chain, worker) == (vcon_uuid, ended.claim.run_id, "main", "one")
    assert [event for event, _ in ledger.events()] == ["vcon_received", *["vcon_sent"] * 5]
    assert ledger.verified().findings == []


@pytest.mark.parametrize("trusts", [True, False])
async def test_one_that_came_signed_is_recorded_with_its_signer(
    scene: Scene, ledger: Ledger, database: Database, calls: BoundedCalls, trusts: bool
) -> None:
    """With none, if `verify: report` let it in and it is not verified."""
    by = certify("harbour", rsa_key(), making=current())
    law = Law(trust=Trust(pinned=(by.digest,) if trusts else ()))
    scene.ledger = DeliveryLedger(scene.redis, Deliveries(database), calls, lambda: law)
    await scene.start(configured(links=[link(passes)], verify="report", custody=True))
    original = orjson.dumps(signed(by=by, header={"x5c": alone(by)}))
    document = {**plain(), "created_at": "2026-01-01T00:00:00+00:00"}
    scene.client.execute_command("JSON.SET", keys.vcon(UUID), "$", orjson.dumps(document))
    await originals.keep(scene.redis, UUID, original, originals.ANY)
    scene.client.rpush("in", UUID)
    await scene.finished()
    [version] = ledger.execute("SELECT origin, form, signers FROM law_versions")
    assert version == ("received", "signed", [by.digest] if trusts else [])


async def test_without_custody_nothing_is_told(scene: Scene, ledger: Ledger) -> None:
    """Neither to Postgres nor in the run's record."""
    await scene.start(configured(links=[link(passes)], storages=[storage()]))
    await scene.feed()
    ended = await scene.finished()
    assert "law" not in ended.run
    assert ledger.execute(OUTCOMES) == []


async def test_tries_that_fail_count(scene: Scene, ledger: Ledger) -> None:
    """Each try of a storage, and each attempt of the run, with the type of its error alone."""
    told = [OSError("Ann's disk"), OSError("again"), OSError("full"), None]

    def saves(*_: Any) -> None:
        if (error := told.pop(0)) is not None:
            raise error

    def halves(vcon_uuid: str, *_: Any) -> str:
        if len(told) == 4:
            told.append(None)
            raise ValueError("about Ann")
        return vcon_uuid

    steps = {"links": [link(halves)], "storages": [storage(saves, retries=5)]}
    await scene.start(configured(**steps, egress=(), custody=True, max_attempts=2))
    await scene.feed()
    await scene.finished()
    recorded(scene, ledger)
    assert ledger.execute(OUTCOMES) == [
        ("link", "halves", 1, "failed", "ValueError"),
        ("link", "halves", 2, "ok", None),
        *[("storage", "shelf", 2, "failed", None)] * 3,
        ("storage", "shelf", 2, "ok", None),
    ]


async def test_a_worker_that_dies_in_a_call(scene: Scene, ledger: Ledger) -> None:
    """The delivery of its attempt is there; how it ended is unknown."""
    begun, never = asyncio.Event(), asyncio.Event()

    async def hangs(*_: Any) -> None:
        begun.set()
        await never.wait()

    crew = await scene.start(configured(storages=[storage(hangs)], egress=(), custody=True))
    await scene.feed()
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
    await scene.queues.bury("one")
    crew.worker.stop()
    later = configured(storages=[storage()], egress=(), custody=True)
    await scene.start(later, "two", patience=PATIENCE)
    await scene.finished()
    recorded(scene, ledger)
    assert [row[3] for row in ledger.execute(OUTCOMES)] == ["unknown", "ok"]
    assert ledger.verified().findings == []
    never.set()


async def test_while_postgres_is_away_no_step_begins(
    scene: Scene, database: Database, calls: BoundedCalls, ledger: Ledger
) -> None:
    """The run is set aside, and no attempt is used up."""
    called: list[str] = []

    def saves(vcon_uuid: str, _options: Any) -> None:
        called.append(vcon_uuid)

    away = Database()
    away.initialize(database._settings.model_copy(update={"postgres_port": 1}))  # type: ignore[union-attr]
    working, scene.ledger = scene.ledger, DeliveryLedger(scene.redis, Deliveries(away), calls)
    configuration = configured(storages=[storage(saves)], custody=True)
    crew = await scene.start(configuration)
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert (ended.how, called) == ("aside", [])
    assert ended.run["error"] == AWAY
    await crew.stop()
    away.close()
    scene.crews.remove(crew)
    scene.ledger = working
    scene.client.zadd(keys.LATER, dict.fromkeys(scene.client.zrange(keys.LATER, 0, -1), 1))
    await scene.start(configuration, "two")
    done = await scene.finished()
    assert (done.status, done.run["attempts"], called) == ("done", 1, [vcon_uuid])


async def test_a_vcon_that_changes_has_versions(scene: Scene, ledger: Ledger) -> None:
    """As received, as a link has left it, and as the last one has: each is told once."""

    async def adds(vcon_uuid: str, name: str, _options: Any) -> str:
        store = VconStore(scene.redis)
        document = await store.get(vcon_uuid)
        assert document is not None
        document["subject"] = name
        if name == "redacts":
            document["redacted"] = {"type": "names"}
        await store.put(document)
        return vcon_uuid

    links = [
        link(passes),
        link(adds),
        link(passes, "same"),
        link(adds, "redacts"),
        link(adds, "end"),
    ]
    await scene.start(configured(links=links, egress=(), custody=True))
    await scene.feed()
    await scene.finished()
    recorded(scene, ledger)
    assert ledger.execute("SELECT origin, form FROM law_versions ORDER BY id") == [
        ("received", "unsigned"),
        ("enhanced", "unsigned"),
        ("redacted", "unsigned"),
        ("redacted", "unsigned"),
    ]
    assert ledger.verified().findings == []


async def test_an_erased_vcon_is_given_to_no_step(scene: Scene, ledger: Ledger) -> None:
    """A run that is under way when the vCon gets its tombstone fails at its next step."""
    called: list[str] = []

    async def erases(vcon_uuid: str, *_: Any) -> str:
        ledger.execute(f"INSERT INTO law_tombstones VALUES ('{vcon_uuid}', 1, gen_random_uuid())")
        return vcon_uuid

    def saves(vcon_uuid: str, _options: Any) -> None:
        called.append(vcon_uuid)

    steps = {"links": [link(erases)], "storages": [storage(saves)]}
    await scene.start(configured(**steps, custody=True, max_attempts=1))
    await scene.feed()
    ended = await scene.finished()
    assert (ended.status, called) == ("partial", [])
    assert ended.run["steps"][-1]["error"].startswith("GoneError")


async def test_a_denied_step_has_no_delivery(scene: Scene, ledger: Ledger) -> None:
    """What allowed another one is told with its delivery."""
    scene.law_gate = Purposes("transcription")
    (first, loaded), (second, other) = link(passes, "scribe"), link(passes, "train")
    first, second = replace(first, requires="transcription"), replace(second, requires="training")
    links = [(first, loaded), (second, other)]
    await scene.start(configured(links=links, custody=True))
    await scene.feed()
    assert (await scene.finished()).status == "withheld"
    told = ledger.execute("SELECT name, purpose, profile, basis FROM law_deliveries")
    assert told == [("scribe", "transcription", "lb-02", "attachments[0]")]


async def test_an_egress_list_that_gets_nothing(scene: Scene, ledger: Ledger) -> None:
    """A vCon that cannot be signed is not sent, and its delivery has failed."""
    law = EgressLaw(sign_with=LawKey("one", private_pem(ec_key())))
    await scene.start(configured(law=law, custody=True, max_attempts=1))
    vcon = a_vcon(meta={"number": 2**60})  # has no canonical form
    await scene.store.put(vcon)
    await scene.redis.command("RPUSH", "in", vcon["uuid"])
    assert (await scene.finished()).status == "failed"
    recorded(scene, ledger)
    assert ledger.execute(OUTCOMES) == [("egress", "out", 1, "failed", None)]


async def test_a_worker_connects_when_a_run_needs_it(
    scene: Scene, ledger: Ledger, database_environment: dict[str, str], monkeypatch: Any
) -> None:
    """Without custody in Postgres, too; what it has opened is closed at its end."""
    for name, value in database_environment.items():
        monkeypatch.setenv(name, value)
    scene.ledger = worker = WorkerLedger(load_settings(Settings), scene.redis)
    worker.close()
    await scene.start(configured(storages=[storage()], egress=(), custody=True))
    await scene.feed()
    await scene.finished()
    worker.close()
    assert [row[1] for row in ledger.execute(OUTCOMES)] == ["shelf"]


async def test_a_call_that_runs_out_of_time_counts(
    scene: Scene, ledger: Ledger, time_is_up: TimeIsUp
) -> None:
    """Also of an attempt that is repeated."""
    never = asyncio.Event()

    async def hangs(*_: Any) -> None:
        time_is_up()
        await never.wait()

    slow = [link(hangs, timeout=HOUR)]
    await scene.start(configured(links=slow, egress=(), custody=True, max_attempts=2))
    await scene.feed()
    assert (await scene.finished()).status == "failed"
    recorded(scene, ledger)
    assert ledger.execute(OUTCOMES) == [
        ("link", "hangs", 1, "failed", "TimeoutError"),
        ("link", "hangs", 2, "failed", "TimeoutError"),
    ]
    never.set()
