"""The Elasticsearch storage, with its own library and a server that answers as it does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from lib import vcon_egress_compat
from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from storage.elasticsearch.parts import IndexNames, documents
from tests.canaries import canary
from tests.integration.support.elasticsearch_stand_in import ElasticStandIn
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.vendors_scene import FAULTS, QUICK, SHORT, transcribed
from tests.plugins.scene import Later, canonical, connected

elasticsearch = Later("storage.elasticsearch")
TENANT = {"purpose": "tenant", "body": '{"id": 7}', "encoding": "json"}
VCON = transcribed() | {"attachments": [TENANT]}
UUID = VCON["uuid"]
PASSWORD = canary("password-of-elasticsearch-4c03")
NAMES = "/patchcord_parts/_doc/index_names"
ITS_NAMES = [
    "parties_customer",
    "parties_agent",
    "attachments_tenant",
    "analysis_transcript",
]
CEILING_SECONDS = 60


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with one vCon behind the connection that plugins find."""
    async with connected(redis_url) as store, asyncio.timeout(CEILING_SECONDS):
        await store.put(VCON)
        yield store
        await elasticsearch.close()


@pytest.fixture
def options(vendors: StandIn) -> dict[str, Any]:
    """Options for a server of one's own, which takes everything."""
    vendors.headers = {"x-elastic-product": "Elasticsearch"}
    noted = {"found": True, "_source": {"names": ITS_NAMES}, "_seq_no": 1, "_primary_term": 1}
    vendors.replies = {"/_bulk": {"errors": False, "items": [], "took": 1}, NAMES: noted}
    return {"url": vendors.base, "username": "elastic", "password": PASSWORD, **QUICK}


def indexed(vendors: StandIn) -> dict[tuple[str, str], dict[str, Any]]:
    """The documents of the last bulk request, by index and id."""
    lines = [json.loads(line) for line in vendors.got[-1][2].splitlines()]
    heads = [head["index"] for head in lines[::2]]
    return {(h["_index"], h["_id"]): part for h, part in zip(heads, lines[1::2], strict=True)}


async def test_each_part_is_a_document(vendors: StandIn, options: dict[str, Any]) -> None:
    """In vcon-server's indexes and under its ids, with what they share; noted in one request."""
    await elasticsearch.save(UUID, options | {"index_prefix": "test_"})
    notes, names = f"/test_patchcord_parts/_doc/{UUID}", f"/test_{NAMES[1:]}"
    indexes = "/_resolve/index/test_vcon_*"
    paths = [unquote(urlsplit(path).path) for path, _, _ in vendors.got]
    assert paths == [names, indexes, names, notes, "/_bulk"]
    documents = indexed(vendors)
    note = documents.pop(("test_patchcord_parts", UUID))
    assert note["parts"][0] == "test_vcon_analysis_transcript 0"
    assert list(documents) == [
        ("test_vcon_parties_customer", f"{UUID}_0"),
        ("test_vcon_parties_agent", f"{UUID}_1"),
        ("test_vcon_attachments_tenant", f"{UUID}_0"),
        ("test_vcon_analysis_transcript", f"{UUID}_0"),
        ("test_vcon_dialog", f"{UUID}_0"),
    ]
    start = VCON["dialog"][0]["start"]
    shared = {"vcon_id": UUID, "started_at": start, "tenant_id": 7}
    assert all(shared.items() <= document.items() for document in documents.values())
    assert documents["test_vcon_dialog", f"{UUID}_0"] == VCON["dialog"][0] | shared
    analysis = documents["test_vcon_analysis_transcript", f"{UUID}_0"]
    assert analysis["body"] == json.loads(VCON["analysis"][0]["body"])


async def test_a_server_is_asked_as_its_options_say(
    vendors: StandIn, options: dict[str, Any]
) -> None:
    """By name and password, or by key."""
    await elasticsearch.save(UUID, options)
    await elasticsearch.save(UUID, options | {"api_key": PASSWORD})
    kinds = [headers["authorization"].split()[0] for _, headers, _ in vendors.got]
    assert kinds == ["Basic"] * 3 + ["ApiKey"] * 2


async def test_a_vcon_without_dialogs_is_findable_too(
    store: VconStore, vendors: StandIn, options: dict[str, Any]
) -> None:
    """By when it was made; names that an index cannot have are made fit."""
    document = canonical("no-dialog-0.2.0")
    document["parties"][0]["role"] = "VIP/Caller"
    await store.put(document)
    await elasticsearch.save(document["uuid"], options)
    documents = indexed(vendors)
    assert ("vcon_parties_vip_caller", f"{document['uuid']}_0") in documents
    documents.pop(("patchcord_parts", document["uuid"]))
    assert {part["started_at"] for part in documents.values()} == {document["created_at"]}


async def test_a_refused_part_is_an_error(vendors: StandIn, options: dict[str, Any]) -> None:
    """Told by its index and the kind of error, without what is in it."""
    error = {"type": "mapper_parsing_exception", "reason": "value of [body]: secret words"}
    items = [{"index": {"_index": "vcon_dialog", "status": 400, "error": error}}]
    vendors.replies["/_bulk"] = {"errors": True, "items": items, "took": 1}
    with pytest.raises(VendorError, match="refused 1 of 1 parts") as failure:
        await elasticsearch.save(UUID, options)
    assert "vcon_dialog" in str(failure.value)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_may_pass_is_asked_again(
    vendors: StandIn, options: dict[str, Any], fault: str
) -> None:
    """Until it is there."""
    vendors.answers = [fault]
    await elasticsearch.save(UUID, options | (SHORT if fault == "hang" else {}))
    assert len(vendors.got) >= 2


@pytest.mark.parametrize("answers", [["401"], ["ok", "401"], ["ok", "404", "404"]])
async def test_a_refusal_is_an_error(
    vendors: StandIn, options: dict[str, Any], answers: list[str]
) -> None:
    """At once; 404 for the note only means that there is none."""
    vendors.answers = list(answers)
    with pytest.raises(VendorError, match=f"Elasticsearch answered {answers[-1]}"):
        await elasticsearch.save(UUID, options)
    assert len(vendors.got) == len(answers)


@pytest.mark.parametrize("deleted", [5, 0])
async def test_delete_asks_for_the_whole_uuid(
    vendors: StandIn, options: dict[str, Any], deleted: int
) -> None:
    """In all indexes, not for vCons that share a part of it; it says whether any were there."""
    path = "/test_vcon*/_delete_by_query"
    vendors.replies[path] = {"deleted": deleted}
    there = await elasticsearch.delete(UUID, options | {"index_prefix": "test_"})
    assert there is (deleted > 0)
    assert vendors.asked(path) == [{"query": {"match_phrase": {"vcon_id": UUID}}}]
    query = parse_qs(urlsplit(vendors.got[1][0]).query)
    assert query == {"ignore_unavailable": ["true"], "refresh": ["true"]}


CHANGES: tuple[dict[str, Any], ...] = (
    {"created_at": "2026-03-01T10:00:00Z", "dialog": []},
    {"created_at": "2026-03-02T10:00:00Z", "parties": [{"name": "Ann", "role": "caller"}]},
    {"created_at": "2026-03-03T10:00:00Z", "parties": [], "attachments": [], "analysis": []},
    {"parties": [], "dialog": [], "attachments": [], "analysis": []},
)


@pytest.mark.parametrize("fails", [None, 2, 3, 4])
async def test_a_vcon_that_changes_leaves_no_part(
    store: VconStore, options: dict[str, Any], fails: int | None
) -> None:
    """Neither after a save, though the one before it ended at some request, nor after a delete."""
    with stand_in(ElasticStandIn()) as server:
        theirs = options | {"url": server.base, "retries": 0}
        for number, change in enumerate(({}, *CHANGES, {})):
            document = VCON | change
            await store.put(document)
            if fails is not None and number % 2:
                server.answers = ["ok"] * (fails - 1) + ["cut"]  # done, but not answered
                with suppress(VendorError):
                    await elasticsearch.save(UUID, theirs)
                server.answers.clear()
                continue
            await elasticsearch.save(UUID, theirs)
            places = {each for each in server.documents if each[0] != "patchcord_parts"}
            assert places == documents(document, "", learned(document)).keys()
        assert await elasticsearch.delete(UUID, theirs)
        assert server.documents.keys() == {("patchcord_parts", "index_names")}
        assert not await elasticsearch.delete(UUID, theirs)


async def test_others_find_the_old_form(
    vendors: StandIn, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With EGRESS_FORMAT_VERSION=0.0.1: attachments have a type."""
    monkeypatch.setattr(vcon_egress_compat, "_version", "0.0.1")
    await elasticsearch.save(UUID, options)
    assert indexed(vendors)["vcon_attachments_tenant", f"{UUID}_0"]["type"] == "tenant"


def test_options_say_where() -> None:
    """Those of the document are taken."""
    options = elasticsearch.Options.of({"cloud_id": "a:b", "api_key": "k", "index": "vcon_index"})
    assert options.access() == {"cloud_id": "a:b", "api_key": "k"}
    with pytest.raises(ValueError, match="cloud_id"):
        elasticsearch.Options.of({})


def test_names_of_indexes_are_bounded_in_length() -> None:
    """Any role gives, with its prefix, a name that Elasticsearch accepts."""
    for role in ("x" * 100_000, "\u00fc" * 5_000, {"a": ["b"] * 10_000}, "a/b\\*?"):
        document = {"uuid": UUID, "parties": [{"role": role}]}
        [(index, _)] = documents(document, "test_", learned(document))
        assert len(index.encode()) <= 120
        assert not set(index) & set('\\/*?"<>| ,#:')


def learned(document: dict[str, Any], most: int = 200) -> IndexNames:
    """All names of a vCon, as far as there is room."""
    names = IndexNames(most=most)
    names.learn(names.room_for(names.unknown(document)))
    return names


def test_names_of_indexes_are_bounded_in_number() -> None:
    """The first ones have an index; the parts of all others share one."""
    names = learned(_with_roles("agent", "customer", "other"), most=3)
    many = _with_roles(*(f"r{number}" for number in range(5_000)))
    names.learn(names.room_for(names.unknown(many)))
    places = documents(many, "", names)
    assert {index for index, _ in places} == {"vcon_parties_r0", "vcon_parties_other"}
    assert len(places) == 5_000
    assert names.unknown(_with_roles("new")) == []
    assert [index for index, _ in documents(_with_roles("agent"), "", names)] == [
        "vcon_parties_agent"
    ]


def _named(server: ElasticStandIn) -> set[str]:
    shared = ("patchcord_parts", "vcon_parties_other", "vcon_dialog")
    return {index for index, _ in server.documents if index not in shared}


async def test_processes_share_the_limit_of_indexes(
    store: VconStore, options: dict[str, Any]
) -> None:
    """Two of them at once, and a third that starts later; indexes from before are counted."""
    with stand_in(ElasticStandIn()) as server:
        server.documents[("vcon_parties_old", "x_0")] = {}
        server.documents[("vcon_attachments_other", "x_0")] = {}
        processes = [options | {"url": server.base + end, "max_indexes": 6} for end in ("", "/")]
        vcons = [await _with_role_in(store, number) for number in range(20)]
        for pair in zip(vcons[:10], vcons[10:], strict=True):
            saves = zip(pair, processes, strict=True)
            await asyncio.gather(*(elasticsearch.save(*each) for each in saves))
        await elasticsearch.close()
        await elasticsearch.save(await _with_role_in(store, 99), processes[0])
        assert len(_named(server) - {"vcon_attachments_other"}) == 6
        assert "vcon_parties_old" in _named(server)
        parts = [index for index, _ in server.documents if index.startswith("vcon_parties")]
        assert len(parts) == 1 + 21


async def test_a_user_who_may_not_see_indexes_begins_with_none(
    store: VconStore, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """That is told; what the note then says counts."""
    with stand_in(ElasticStandIn()) as server:
        server.answers = ["ok", "403"]
        theirs = options | {"url": server.base, "max_indexes": 1}
        await elasticsearch.save(await _with_role_in(store, 1), theirs)
        await elasticsearch.save(await _with_role_in(store, 2), theirs)
        assert _named(server) == {"vcon_parties_r1"}
        assert "existing indexes not counted" in caplog.text


async def _with_role_in(store: VconStore, number: int) -> str:
    """A vCon with a role of its own, in Redis."""
    document = canonical("no-dialog-0.2.0")
    document["uuid"] = f"00000000-0000-8000-8000-{number:012}"
    document["parties"] = [{"name": "x", "role": f"r{number}"}]
    document |= {"attachments": [], "analysis": []}
    await store.put(document)
    return str(document["uuid"])


async def test_only_what_the_configuration_names_has_an_index(
    vendors: StandIn, options: dict[str, Any]
) -> None:
    """The other parts share one for each kind."""
    await elasticsearch.save(UUID, options | {"index_names": ["Customer", "transcript"]})
    assert {index for index, _ in indexed(vendors)} == {
        "vcon_parties_customer",
        "vcon_parties_other",
        "vcon_attachments_other",
        "vcon_analysis_transcript",
        "vcon_dialog",
        "patchcord_parts",
    }


def _with_roles(*roles: str) -> dict[str, Any]:
    return {"uuid": UUID, "parties": [{"role": role} for role in roles]}
