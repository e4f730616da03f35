"""The actions of operators and readers, from a request's fields to its answer."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from types import ModuleType
from typing import Any

import orjson
import pytest

from core.action_response import ActionResponse
from core.db.database import Database
from core.db.runs import RunHistory
from core.settings import DatabaseSettings
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from tests.integration.support.operations_scene import (
    GONE,
    MAX_DEPTH,
    Operations,
    ask,
    operations,
    refused,
    told,
)
from tests.integration.support.pipeline_fixtures import configured, link, new_uuid, storage


def fragile(vcon_uuid: str, name: str, options: dict[str, Any]) -> str:
    """A link that fails for vCons that came in through `broken`."""
    if vcon_uuid in BROKEN:
        raise ValueError("broken")
    return vcon_uuid


BROKEN: set[str] = set()
CHAIN = configured(
    links=[link(fragile)],
    storages=[storage(name="shelf")],
    ingress=("in", "second"),
    max_attempts=1,
)


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """A chain from `in` and `second` over a link and a storage to `out`."""
    BROKEN.clear()
    async with operations(redis_url) as opened:
        opened.configure(Configuration(CHAIN.config, CHAIN.plugins))
        yield opened


async def dead_letter(ops: Operations) -> str:
    """A vCon that has failed in `in`, and would not fail again."""
    vcon_uuid = await ops.ingest("in")
    BROKEN.add(vcon_uuid)
    await ops.work()
    BROKEN.clear()
    return vcon_uuid


async def test_list_dead_letters(ops: Operations) -> None:
    """Entries with reasons, how many there are, a count of each cause, and where to go on."""
    vcon_uuid, _ = [await dead_letter(ops) for _ in range(2)]
    answer = await told(ops, "ListDeadLetters", list="in", limit=1)
    [entry] = answer["entries"]
    assert (entry["vcon_uuid"], entry["error"]) == (vcon_uuid, "ValueError: broken")
    assert isinstance(entry["at"], str)
    assert answer["causes"] == {"link fragile: ValueError": 2}
    assert (answer["total"], answer["cursor"]) == (2, "1")
    answer = await told(ops, "ListDeadLetters", list="in", cursor="1")
    assert (len(answer["entries"]), answer["cursor"]) == (1, None)


async def test_list_dead_letters_of_a_storage(ops: Operations) -> None:
    """A storage has its own."""
    ops.client.rpush("DLQ:storage:shelf", "a")
    answer = await told(ops, "ListDeadLetters", storage="shelf")
    assert [entry["vcon_uuid"] for entry in answer["entries"]] == ["a"]


async def test_replay_dead_letters(ops: Operations) -> None:
    """Says how many are queued again; they go on and end well."""
    vcon_uuid, other = [await dead_letter(ops) for _ in range(2)]
    assert await told(ops, "ReplayDeadLetters", list="in", vcon_uuids=[other]) == {"replayed": 1}
    fields = {"cause": "link fragile: ValueError", "limit": 5, "from_start": True}
    assert await told(ops, "ReplayDeadLetters", list="in", **fields) == {"replayed": 1}
    await ops.work(2)
    assert set(ops.list("out")) == {vcon_uuid, other}


@pytest.mark.parametrize("action", ["ListDeadLetters", "ReplayDeadLetters"])
@pytest.mark.parametrize("fields", [{}, {"list": "in", "storage": "shelf"}])
async def test_either_a_list_or_a_storage(
    ops: Operations, action: str, fields: dict[str, str]
) -> None:
    """Neither none nor both."""
    code, words = await refused(ops, action, **fields)
    assert (code, "give exactly one of list, storage" in words) == (400, True)


@pytest.mark.parametrize("action", ["ListDeadLetters", "ReplayDeadLetters"])
async def test_unknown_names_of_dead_letters(ops: Operations, action: str) -> None:
    """404 that says what there is."""
    code, words = await refused(ops, action, list="x")
    assert (code, words) == (404, "Unknown ingress list: x; known: in, run:main, second")
    code, words = await refused(ops, action, storage="x")
    assert (code, words) == (404, "Unknown storage: x; known: shelf")


async def test_enqueue_vcons(ops: Operations) -> None:
    """The number queued, and the uuids that neither Redis nor a storage has."""
    vcon_uuid, nobody = await ops.ingest(), new_uuid()
    uuids = [vcon_uuid, nobody, vcon_uuid]
    answer = await told(ops, "EnqueueVcons", vcon_uuids=uuids, ingress_list="in")
    assert answer == {"enqueued": 1, "unknown": [nobody]}
    assert ops.list("in") == [vcon_uuid]


async def test_enqueue_vcons_that_do_not_fit(ops: Operations) -> None:
    """A full list is 503, an unknown one 404, no vCon at all 400."""
    uuids = [await ops.ingest() for _ in range(MAX_DEPTH + 1)]
    code, words = await refused(ops, "EnqueueVcons", vcon_uuids=uuids, ingress_list="in")
    assert (code, words) == (503, f"list in is full ({MAX_DEPTH} vCons); try again later")
    code, words = await refused(ops, "EnqueueVcons", vcon_uuids=uuids, ingress_list="x")
    assert (code, words) == (404, "Unknown ingress list: x; known: in, second")
    assert (await refused(ops, "EnqueueVcons", vcon_uuids=[], ingress_list="in"))[0] == 400


async def test_read_and_acknowledge_egress(ops: Operations) -> None:
    """What is read is lent out; an acknowledgement says how much of it was."""
    vcon_uuid = await ops.ingest("in")
    await ops.work()
    fields = {"egress_list": "out", "limit": 5, "lease_seconds": 60}
    assert await told(ops, "ReadEgress", **fields) == {"vcon_uuids": [vcon_uuid]}
    assert await told(ops, "ReadEgress", **fields) == {"vcon_uuids": []}
    fields = {"egress_list": "out", "vcon_uuids": [vcon_uuid, new_uuid()]}
    assert await told(ops, "AckEgress", **fields) == {"acknowledged": 1}


async def test_an_unknown_egress_list(ops: Operations) -> None:
    """404 that says what there is."""
    for action, fields in (("ReadEgress", {}), ("AckEgress", {"vcon_uuids": [new_uuid()]})):
        code, words = await refused(ops, action, egress_list="in", **fields)
        assert (code, words) == (404, "Unknown egress list: in; known: out")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The service runs in another time zone."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
async def test_list_vcons(ops: Operations) -> None:
    """Newest first, between two moments, in pages; a time without a zone is UTC."""
    moments = [f"2026-11-21T12:00:0{second}+00:00" for second in range(4)]
    uuids = [await ops.ingest(created_at=moment) for moment in moments]
    answer = await told(ops, "ListVcons", since=moments[1], until="2026-11-21T12:00:02", limit=1)
    assert answer["vcon_uuids"] == [uuids[2]]
    answer = await told(ops, "ListVcons", since=moments[1], limit=5, cursor=answer["cursor"])
    assert answer == {"vcon_uuids": [uuids[1]], "cursor": None}


async def test_search_vcons(ops: Operations) -> None:
    """All terms that are given must hold; a blank one is not given."""
    ann = await ops.ingest(parties=[{"tel": "+1", "name": "Ann"}])
    bob = await ops.ingest(parties=[{"tel": "+1"}, {"name": "Bob", "mailto": "bob@example.com"}])
    for terms, found in (
        ({"tel": "+1", "name": "Ann", "mailto": ""}, [ann]),
        ({"tel": "+1"}, sorted([ann, bob])),
        ({"mailto": "bob@example.com"}, [bob]),
    ):
        assert await told(ops, "SearchVcons", **terms) == {"vcon_uuids": found, "cursor": None}
    page = await told(ops, "SearchVcons", tel="+1", limit=1)
    last = await told(ops, "SearchVcons", tel="+1", cursor=page["cursor"])
    assert page["vcon_uuids"] + last["vcon_uuids"] == sorted([ann, bob])
    assert await refused(ops, "SearchVcons") == (400, "give at least one of tel, mailto, name")


async def test_delete_vcon(ops: Operations) -> None:
    """Where it was removed; 409 while it is processed, 404 when it is nowhere."""
    vcon_uuid = await ops.ingest("in")
    with ops.held(vcon_uuid):
        assert (await refused(ops, "DeleteVcon", vcon_uuid=vcon_uuid))[0] == 409
    assert await told(ops, "DeleteVcon", vcon_uuid=vcon_uuid) == {"deleted": {"redis": True}}
    assert ops.left(vcon_uuid) == GONE
    assert await refused(ops, "DeleteVcon", vcon_uuid=vcon_uuid) == (
        404,
        f"Unknown vCon: {vcon_uuid}",
    )


async def test_delete_vcon_where_one_storage_cannot(
    ops: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """502 that names the storage that may still have it, and each place it was removed from."""
    module = ModuleType("test")
    module.__dict__["save"] = lambda _uuid, _options: None
    monkeypatch.setitem(sys.modules, "test", module)
    vcon_uuid = await ops.ingest()
    answer = await ask(ops, "DeleteVcon", vcon_uuid=vcon_uuid, storages=["shelf"])
    reason = "it cannot delete: its module has no delete()"
    assert answer == ActionResponse(
        status_code=502,
        message=f"Removed from: redis. Not removed from shelf: {reason}",
        fields={"deleted": {"redis": True}, "failed": {"shelf": reason}},
    )
    assert ops.left(vcon_uuid) == GONE


async def test_list_runs(ops: Operations, database_settings: DatabaseSettings) -> None:
    """Finished runs as GetRun shows them, and where to go on."""
    database = Database()
    database.initialize(database_settings)
    with closing(database):
        await check_list_runs(ops, RunHistory(database))


async def check_list_runs(ops: Operations, history: RunHistory) -> None:
    """What `test_list_runs` claims."""
    ops.operations = ops.operations_with(history)
    vcon_uuid = await ops.ingest("in")
    await ops.work()
    other = await dead_letter(ops)
    history.write_runs([orjson.loads(run) for run in ops.list(keys.HISTORY)])
    answer = await told(ops, "ListRuns", chain="main", vcon_uuid=other)
    [run] = answer["runs"]
    assert (run["vcon_uuid"], run["status"], answer["cursor"]) == (other, "failed", None)
    assert run["links"][0]["name"] == "fragile"
    answer = await told(ops, "ListRuns", status="done", since="2026-01-01T00:00:00Z", limit=1)
    assert [run["vcon_uuid"] for run in answer["runs"]] == [vcon_uuid]
    assert (await refused(ops, "ListRuns", cursor="x"))[0] == 400
    assert (await refused(ops, "ListRuns", vcon_uuid="x"))[0] == 400
    assert (await refused(ops, "ListRuns", status="x"))[0] == 400


async def test_list_runs_without_postgres(ops: Operations) -> None:
    """503: the history is away."""
    assert (await refused(ops, "ListRuns"))[0] == 503


@pytest.mark.parametrize("action", ["ListRuns", "ListDeadLetters", "ListVcons"])
@pytest.mark.parametrize("limit", [0, 100_000])
async def test_a_page_has_its_bounds(ops: Operations, action: str, limit: int) -> None:
    """A limit outside its bounds is refused."""
    assert "limit:" in (await refused(ops, action, limit=limit))[1]


@pytest.mark.parametrize(
    ("action", "fields"), [("ListVcons", {}), ("ListDeadLetters", {"list": "in"})]
)
async def test_a_cursor_of_ones_own(ops: Operations, action: str, fields: dict[str, str]) -> None:
    """A cursor that no page gave is 400."""
    code, words = await refused(ops, action, cursor="x", **fields)
    assert (code, words) == (400, "cursor: use the cursor of an earlier page as it is")
