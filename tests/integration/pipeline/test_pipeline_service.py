"""The chain wing as actions use it, with a worker and storages behind it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from core.errors import ConflictError, InvalidError, ReusedKeyError, UnknownNameError
from core.interfaces import Pipeline
from pipeline.api import PipelineService
from pipeline.ingest.internal import InternalApi
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.runs.calls import PluginCalls
from pipeline.storages import lookup as finders
from pipeline.storages.lookup import VconLookup
from pipeline.vcon.normalization import normalised
from tests.integration.support.law_gates import without_law
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    both,
    configured,
    link,
    new_uuid,
    storage,
)
from tests.integration.support.recording_queues import VCON_EXPIRY

kept: dict[str, Any] = {}


def save(vcon_uuid: str, _options: Any) -> None:
    """A storage that only notes what it was given."""
    kept[vcon_uuid] = True


def refuse(_uuid: str, _options: Any) -> None:
    """A storage that is down."""
    raise OSError("no disk")


def get(vcon_uuid: str, _options: Any) -> dict[str, Any] | None:
    """Only a vCon from long ago is in the storage."""
    return a_vcon(vcon_uuid, subject="stored") if vcon_uuid == STORED else None


STORED = new_uuid()


@pytest.fixture
def configuration() -> Configuration:
    """Two chains, one of them disabled, and two storages, one of them down."""
    kept.clear()
    good, bad = storage(save, "good", get=get), storage(refuse, "bad")
    main = configured(
        links=[link(lambda vcon_uuid, *_: vcon_uuid, "tag")], storages=[good], ingress=("in", "in2")
    )
    off = configured(name="off", storages=[bad], ingress=("off",), enabled=False)
    return both(main, off)


@pytest.fixture
async def pipeline(scene: Scene, configuration: Configuration, monkeypatch: pytest.MonkeyPatch):
    """The service of that configuration."""
    plugins = {spec.name: loaded for spec, loaded in configuration.plugins.storages.items()}
    monkeypatch.setattr(finders, "load_storage", lambda spec: plugins[spec.name])
    calls = PluginCalls(2, scene.redis)
    runs = scene.runs(configuration)
    hearing = asyncio.create_task(runs.listen())
    untested: Any = None  # partners, operations, keys and connections have tests of their own
    yield PipelineService(
        configuration,
        InternalApi(configuration, 100_000, scene.intake, untested),
        untested,
        VconLookup(configuration, scene.store, calls, 100),
        runs,
        calls,
        scene.queues,
        untested,
        untested,
        untested,
        untested,
        untested,
        untested,
        untested,
        without_law(configuration),
        "0.4.0",
    )
    hearing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await hearing
    calls.close()


async def test_ingest_and_process(scene: Scene, configuration: Configuration, pipeline: Pipeline):
    """A vCon that is ingested comes out of the chain."""
    await scene.start(configuration)
    taken = await pipeline.internal.take(a_vcon(), ["in"], None)
    assert (await scene.ended()).claim.vcon_uuid == taken.uuid
    assert taken.uuid in kept
    assert scene.elements("out") == [taken.uuid]


async def test_a_chain_runs_on_a_document(
    scene: Scene, configuration: Configuration, pipeline: Pipeline
):
    """A vCon that comes with the request is taken in, run and answered."""
    await scene.start(configuration)
    vcon = a_vcon()
    run = await pipeline.run_chain("main", vcon, PATIENCE)
    assert (run.status, run.vcon_in, run.chain) == ("done", vcon["uuid"], "main")
    assert [(step.name, step.kind, step.outcome) for step in run.steps] == [
        ("tag", "link", "ok"),
        ("good", "storage", "ok"),
    ]
    assert await pipeline.find_run(run.run_id) == run


async def test_who_only_waits_says_so(
    scene: Scene, configuration: Configuration, pipeline: Pipeline
):
    """From the run's registration to its end `waiting` is entered, and not before or after."""

    @contextlib.contextmanager
    def waiting() -> Iterator[None]:
        entered.append(len(scene.elements("run:main")))
        begun.set()
        yield
        entered.append(len(scene.elements("run:main")))

    entered: list[int] = []
    begun = asyncio.Event()
    run_chain = pipeline.run_chain("main", a_vcon(), PATIENCE, waiting=waiting())
    waits = asyncio.create_task(run_chain)
    await begun.wait()
    await scene.start(configuration)
    assert (await waits).status == "done"
    assert entered == [1, 0]
    await pipeline.run_chain("main", a_vcon(), 0, waiting=waiting())
    assert entered == [1, 0]


async def test_a_chain_runs_on_what_a_storage_has(
    scene: Scene, configuration: Configuration, pipeline: Pipeline
):
    """A vCon that Redis has forgotten is brought back first."""
    await scene.start(configuration)
    run = await pipeline.run_chain("main", STORED.upper(), PATIENCE)
    assert (run.status, run.vcon_in) == ("done", STORED)
    assert (await pipeline.find_vcon(STORED, None))["subject"] == "stored"


async def test_nobody_waits_when_told_not_to(scene: Scene, pipeline: Pipeline):
    """With no time to wait the run is answered as it was registered."""
    run = await pipeline.run_chain("main", a_vcon(), 0)
    assert run.status == "queued"
    assert scene.elements("run:main") == [f"{run.vcon_in}|{run.run_id}"]


async def test_the_same_request_again_is_the_same_run(scene: Scene, pipeline: Pipeline):
    """By its key, also with the document in it, which then is not taken in once more."""
    vcon = a_vcon()
    first = await pipeline.run_chain("main", vcon, 0, "once")
    scene.client.delete(f"vcon:{vcon['uuid']}")
    again = await pipeline.run_chain("main", vcon | {"uuid": vcon["uuid"].upper()}, 0, "once")
    assert again.run_id == first.run_id
    assert not scene.client.exists(f"vcon:{vcon['uuid']}")
    assert (await pipeline.cancel_run(first.run_id)).status == "cancelled"


async def test_what_cannot_be_run_is_told(scene: Scene, pipeline: Pipeline):
    """Unknown chain, disabled chain, unknown vCon, bad vCon: four answers, nothing queued."""
    with pytest.raises(UnknownNameError, match="Unknown chain: mian; known: main, off"):
        await pipeline.run_chain("mian", a_vcon(), 1)
    with pytest.raises(InvalidError, match="off is disabled"):
        await pipeline.run_chain("off", a_vcon(), 1)
    missing = new_uuid()
    with pytest.raises(UnknownNameError, match=missing):
        await pipeline.run_chain("main", missing, 1)
    with pytest.raises(InvalidError):
        await pipeline.run_chain("main", {"vcon": "0.4.0"}, 1)
    assert scene.elements("run:main") == []


async def test_a_chain_runs_on_no_envelope_that_is_here(scene: Scene, pipeline: Pipeline):
    """It came in for another chain, or for none; this one does not allow it."""
    vcon = {**a_vcon(), "ciphertext": "AAAA"}
    await scene.store.put(vcon)
    with pytest.raises(InvalidError, match="chain main takes open ones only"):
        await pipeline.run_chain("main", vcon["uuid"], 0)
    assert scene.client.keys("pc:run:*") == []


async def test_a_required_key_is_asked_for_at_the_door_only(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
):
    """RunChain and StoreVcon take no key and need none."""
    monkeypatch.setattr(pipeline.internal, "_key_required", True)
    vcon = a_vcon()
    assert (await pipeline.run_chain("main", vcon, 0)).vcon_in == vcon["uuid"]
    [step] = await pipeline.save(vcon, ["good"])
    assert step.outcome == "ok"


async def test_saving_writes_to_the_storages_named(scene: Scene, pipeline: Pipeline):
    """One step for each, in the order asked for; a vCon that nothing else needs may then expire."""
    vcon = a_vcon()
    steps = await pipeline.save(vcon, ["bad", "good", "bad"])
    assert [(step.name, step.outcome, step.error) for step in steps] == [
        ("bad", "failed", "OSError: no disk"),
        ("good", "ok", None),
    ]
    assert list(kept) == [vcon["uuid"]]
    assert 0 < int(scene.client.ttl(f"vcon:{vcon['uuid']}")) <= VCON_EXPIRY


async def test_saving_to_an_unknown_storage_saves_nowhere(scene: Scene, pipeline: Pipeline):
    """The answer names what exists; neither storages nor Redis have got anything."""
    with pytest.raises(UnknownNameError, match="Unknown storage: godo; known: bad, good"):
        await pipeline.save(a_vcon(), ["good", "godo"])
    assert not kept
    assert scene.client.keys("vcon:*") == []


async def test_a_vcon_is_found_where_asked(pipeline: Pipeline):
    """Anywhere, or in exactly one storage."""
    assert (await pipeline.find_vcon(STORED, None))["subject"] == "stored"
    assert (await pipeline.find_vcon(STORED, "good"))["subject"] == "stored"
    with pytest.raises(InvalidError, match="bad cannot be read from"):
        await pipeline.find_vcon(STORED, "bad")


async def test_old_consumers_get_the_old_form(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    """With EGRESS_FORMAT_VERSION=0.0.1, from Redis and from a storage."""
    monkeypatch.setattr(pipeline, "_egress_format", "0.0.1")
    for name in (None, "good"):
        found = await pipeline.find_vcon(STORED, name)
        assert (found["vcon"], found["group"]) == ("0.0.1", [])


async def test_chains_are_listed_with_their_depths(scene: Scene, pipeline: Pipeline):
    """Every chain with its parts, and how much waits in each of its lists."""
    await scene.feed("in", count=2)
    scene.client.rpush("out", "x")
    main, off = await pipeline.chains()
    assert (main.name, main.enabled, main.links, main.storages) == ("main", True, ["tag"], ["good"])
    assert [(each.name, each.depth) for each in main.ingress_lists] == [("in", 2), ("in2", 0)]
    assert [(each.name, each.depth) for each in main.egress_lists] == [("out", 1)]
    assert (off.name, off.enabled) == ("off", False)


async def test_a_document_that_was_only_run_leaves_when_it_is_stored(
    scene: Scene, configuration: Configuration, pipeline: Pipeline
):
    """After RunChain nothing holds the vCon but the egress list."""
    await scene.start(configuration)
    run = await pipeline.run_chain("main", a_vcon(), PATIENCE)
    assert scene.client.smembers(f"pc:holds:{run.vcon_in}") == {"out"}
    assert scene.client.ttl(keys.vcon(run.vcon_in)) == -1


# --- the same request again, with a document


async def test_the_same_document_again_is_the_same_run(pipeline: Pipeline):
    """Also when only its uuid is named the second time: there is no other content to lose."""
    document = a_vcon(subject="first")
    first = await pipeline.run_chain("main", document, 0, "key")
    for again in (document, document["uuid"], document["uuid"].upper()):
        assert (await pipeline.run_chain("main", again, 0, "key")).run_id == first.run_id


async def test_a_key_stands_for_the_content_too(scene: Scene, pipeline: Pipeline):
    """Other content of the same vCon is refused, and what was there first stays."""
    document = a_vcon(subject="first")
    await pipeline.run_chain("main", document, 0, "key")
    with pytest.raises(ReusedKeyError, match="used with other content"):
        await pipeline.run_chain("main", document | {"subject": "second"}, 0, "key")
    assert (await scene.store.get(document["uuid"]) or {})["subject"] == "first"
    assert len(scene.elements("run:main")) == 1


async def test_content_after_a_mere_uuid_is_refused_when_it_differs(pipeline: Pipeline):
    """What was ingested under the uuid counts as the content of the first request."""
    document = a_vcon(subject="first")
    await pipeline.internal.take(document, ["in"], None)
    first = await pipeline.run_chain("main", document["uuid"], 0, "key")
    assert (await pipeline.run_chain("main", document, 0, "key")).run_id == first.run_id
    with pytest.raises(ReusedKeyError, match="used with other content"):
        await pipeline.run_chain("main", document | {"subject": "second"}, 0, "key")


async def test_of_two_requests_at_once_one_content_wins(scene: Scene, pipeline: Pipeline):
    """However close together they come, the run that is answered has the content of its caller."""
    document = a_vcon()
    subjects = [f"subject {number}" for number in range(8)]
    asked = [
        pipeline.run_chain("main", document | {"subject": each}, 0, "key") for each in subjects
    ]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    [won] = [each for each in answers if not isinstance(each, ConflictError)]
    stored = (await scene.store.get(document["uuid"]) or {})["subject"]
    assert stored == subjects[answers.index(won)]
    assert len(scene.elements("run:main")) == 1


async def test_a_key_of_an_earlier_version_has_no_content(scene: Scene, pipeline: Pipeline):
    """It goes on to answer with its run until its day is over."""
    document = a_vcon()
    first = await pipeline.run_chain("main", document, 0, "key")
    scene.client.delete(keys.idempotent_digest("key"))
    changed = document | {"subject": "second"}
    assert (await pipeline.run_chain("main", changed, 0, "key")).run_id == first.run_id


def in_another_order(value: Any) -> Any:
    """The same JSON with the members of each object the other way round."""
    if isinstance(value, dict):
        return {name: in_another_order(value[name]) for name in reversed(value)}
    return [in_another_order(each) for each in value] if isinstance(value, list) else value


def with_a_body(**changes: Any) -> dict[str, Any]:
    """A vCon whose analysis is a JSON value."""
    body = {"b": [{"y": 1, "x": 2}], "a": "text"}
    return a_vcon(analysis=[{"type": "odd", "encoding": "json", "body": body, "vendor": "v"}]) | (
        changes
    )


@pytest.mark.parametrize("dated", [True, False])
async def test_the_order_of_members_is_no_other_content(pipeline: Pipeline, *, dated: bool):
    """Nor is white space: the run is the first one's, and the vCon a duplicate."""
    document = with_a_body()
    if not dated:
        del document["created_at"]
    other = in_another_order(document)
    assert list(other) != list(document)
    first = await pipeline.run_chain("main", document, 0, "key")
    assert (await pipeline.run_chain("main", other, 0, "key")).run_id == first.run_id
    indented = orjson.dumps(other, option=orjson.OPT_INDENT_2)
    assert (await pipeline.run_chain("main", indented, 0, "key")).run_id == first.run_id
    assert (await pipeline.internal.take(other, ["in"], None)).outcome == "duplicate"
    other_subject = await pipeline.internal.take(document | {"subject": "b"}, ["in"], None)
    assert other_subject.outcome != "duplicate"


async def test_digests_of_the_version_before_are_known(scene: Scene, pipeline: Pipeline):
    """It took them of the text as it came, and may have written it moments ago."""
    document = with_a_body()
    first = await pipeline.run_chain("main", document, 0, "key")
    stored = orjson.dumps(normalised(document))
    earlier = hashlib.sha256(stored).hexdigest()
    assert scene.client.hget(f"pc:about:{document['uuid']}", "digest") != earlier
    scene.client.hset(f"pc:about:{document['uuid']}", "digest", earlier)
    scene.client.set(keys.idempotent_digest("key"), earlier)
    assert (await pipeline.run_chain("main", document, 0, "key")).run_id == first.run_id
    assert (await pipeline.internal.take(document, ["in"], None)).outcome == "duplicate"
    scene.client.delete(keys.idempotency("key"))  # the version before stopped before the second key
    await pipeline.run_chain("main", document, 0, "key")
    assert scene.client.get(keys.idempotent_digest("key")) == earlier
    with pytest.raises(ReusedKeyError, match="used with other content"):
        await pipeline.run_chain("main", document | {"subject": "second"}, 0, "key")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"n":12345678901234567890123}', '{"n":12345678901234567890124}'),
        ('{"n":1}', '{"n":1.0}'),
        ('{"n":1}', '{"n": 1}'),
        ("[1,2]", "[2,1]"),
        ("5", "5.0"),
    ],
)
async def test_other_texts_are_other_content(pipeline: Pipeline, one: str, other: str):
    """A body that came as text counts as it stands, unless it is as a value would be written."""
    first, second = (
        a_vcon("0192f0a0-0000-7000-8000-000000000001", analysis=[_analysis(body)])
        for body in (one, other)
    )
    await pipeline.internal.take(first, ["in"], None)
    assert (await pipeline.internal.take(second, ["in"], None)).outcome == "replaced"


def _analysis(body: str) -> dict[str, Any]:
    return {"type": "odd", "encoding": "json", "body": body, "vendor": "v"}
