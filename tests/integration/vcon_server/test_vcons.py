"""vCons as vcon-server's clients list, read, delete and index them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.errors import (
    ConflictError,
    InvalidError,
    TooLargeError,
    UnknownNameError,
    UnusableKeyError,
)
from pipeline.admin import vcon_index
from pipeline.redis_client import keys
from pipeline.vcon_server import texts as vcon_texts
from tests.integration.support.operations_scene import Operations, filed, operations, two_chains
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid

NOON = 1795262400


@pytest.fixture
async def ops(redis_url: str, tmp_path: Path, monkeypatch: Any) -> AsyncIterator[Operations]:
    """Chains from `in` over `middle` to `out`, and storages, of which one fails; slices of two."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(vcon_index, "CHUNK", 2)
    async with operations(redis_url) as opened:
        opened.configure(two_chains(tmp_path))
        yield opened


async def made(ops: Operations, *seconds: float) -> list[str]:
    """New vCons, each so many seconds after noon."""
    return [await ops.ingest(created_at=f"2026-11-21T12:00:{each:06.3f}Z") for each in seconds]


async def test_numbered_pages(ops: Operations) -> None:
    """Newest first; pages follow each other, and one behind the last is empty."""
    uuids = (await made(ops, *range(7)))[::-1]
    page = ops.vcon_server.page
    assert await page(1, 5, None, None) == uuids[:5]
    assert await page(2, 5, None, None) == uuids[5:]
    assert await page(3, 5, None, None) == []
    assert await page(10**30, 5, None, None) == []
    assert await page(1, 100_000, None, None) == uuids


async def test_pages_of_whole_seconds(ops: Operations) -> None:
    """Parts of a second of the limits do not count, nor do those of the vCons."""
    uuids = await made(ops, 1, 2.125, 2.875, 3, 3.999, 4)
    found = await ops.vcon_server.page(1, 50, NOON + 2.5, NOON + 3)
    assert found == uuids[4:0:-1]
    assert await ops.vcon_server.page(2, 3, NOON + 2.5, NOON + 3) == [uuids[1]]


async def test_pages_among_vcons_of_one_moment(ops: Operations) -> None:
    """No page repeats a vCon of another."""
    uuids = await made(ops, *[7] * 9)
    pages = [await ops.vcon_server.page(number, 4, None, None) for number in (1, 2, 3)]
    assert [len(page) for page in pages] == [4, 4, 1]
    assert sorted([*chain.from_iterable(pages)]) == sorted(uuids)


async def test_pages_with_members_of_both_forms(ops: Operations) -> None:
    """vcon-server writes `vcon:UUID`; a vCon with both members is listed once on all pages."""
    ours = await made(ops, 2, 3)
    theirs = new_uuid()
    ops.client.zadd("vcons", {f"vcon:{theirs}": NOON, f"vcon:{ours[1]}": NOON + 1})
    pages = [await ops.vcon_server.page(number, 1, None, None) for number in range(1, 5)]
    assert pages == [[ours[1]], [ours[0]], [theirs], []]
    ops.client.zadd("vcons", {f"vcon:{ours[0]}": NOON + 9})
    assert await ops.vcon_server.page(1, 3, None, None) == [ours[1], ours[0], theirs]


async def test_a_second_member_is_removed_with_time(ops: Operations) -> None:
    """The chore that removes expired vCons from the index does it."""
    [ours] = await made(ops, 2)
    ops.client.zadd("vcons", {f"vcon:{ours}": NOON + 1})
    await ops.index.reap()
    assert ops.client.zrange("vcons", 0, -1) == [ours]


async def test_a_page_of_another_type(ops: Operations) -> None:
    """Another program has replaced the sorted set."""
    ops.client.set("vcons", "no set")
    with pytest.raises(UnusableKeyError, match="vcons"):
        await ops.vcon_server.page(1, 50, None, None)


async def test_search_for_several_terms(ops: Operations) -> None:
    """All terms must hold; all pages are read; no hit is an empty result."""
    both = [await ops.ingest(parties=[{"tel": "+1"}, {"name": "Ann"}]) for _ in range(7)]
    await ops.ingest(parties=[{"tel": "+1"}])
    assert sorted(await ops.vcon_server.search(["tel:+1", "name:Ann"])) == sorted(both)
    assert await ops.vcon_server.search(["tel:+1", "mailto:x", "name:Ann"]) == []


async def test_search_stops_at_the_bound(ops: Operations, monkeypatch: Any) -> None:
    """However many vCons there are."""
    monkeypatch.setattr("pipeline.vcon_server.operations.MOST_UUIDS", 3)
    monkeypatch.setattr("pipeline.vcon_server.operations.SEARCHED", 2)
    for _ in range(6):
        await ops.ingest(parties=[{"tel": "+1"}])
    assert len(await ops.vcon_server.search(["tel:+1"])) == 3


async def test_read_from_redis_and_from_a_storage(ops: Operations) -> None:
    """The same text; a storage that fails is passed over."""
    vcon = a_vcon(subject="grün 🐰")
    await ops.take(vcon)
    assert orjson.loads(await ops.vcon_server.text(vcon["uuid"])) == vcon
    await filed(ops, vcon["uuid"])
    ops.forget_time(vcon["uuid"])
    assert orjson.loads(await ops.vcon_server.text(vcon["uuid"].upper())) == vcon
    with pytest.raises(UnknownNameError):
        await ops.vcon_server.text(new_uuid())
    with pytest.raises(InvalidError):
        await ops.vcon_server.text("../../etc/passwd")


LONG = "x" * (vcon_texts.SMALL + 1)


async def test_a_large_vcon_is_given_as_it_is_kept(ops: Operations) -> None:
    """It is parsed nowhere; in another format it is converted by the helper process."""
    vcon = a_vcon(subject=LONG, attachments=[{"body": '{"a":1}', "encoding": "json"}])
    await ops.take(vcon)
    assert orjson.loads(await ops.vcon_server.text(vcon["uuid"])) == vcon
    assert ops.offloaded == []
    older = orjson.loads(await ops.vcon_server_with("0.0.1").text(vcon["uuid"]))
    assert (older["vcon"], older["attachments"][0]["body"]) == ("0.0.1", {"a": 1})
    assert ops.offloaded == ["converted"]


@pytest.mark.parametrize("subject", ["short", LONG], ids=["small", "large"])
async def test_a_vcon_of_another_program(ops: Operations, subject: str) -> None:
    """In an older form, as JSON document or as plain string: it is given in today's."""
    older = {"vcon": "0.0.1", "group": [], "appended": None, "subject": subject}
    as_document, as_string = new_uuid(), new_uuid()
    ops.client.json().set(keys.vcon(as_document), ".", older | {"uuid": as_document})
    ops.client.set(keys.vcon(as_string), orjson.dumps(older | {"uuid": as_string}))
    for vcon_uuid in (as_document, as_string):
        vcon = orjson.loads(await ops.vcon_server.text(vcon_uuid))
        assert (vcon["vcon"], vcon["subject"], vcon["parties"]) == ("0.4.0", subject, [])
        assert "group" not in vcon


@pytest.mark.parametrize("odd", ["list", "text", "number"])
async def test_something_else_under_the_key_of_a_vcon(ops: Operations, odd: str) -> None:
    """A storage may have the vCon; else the key is told, or the vCon is not known."""
    vcon = a_vcon()
    await ops.take(vcon)
    await filed(ops, vcon["uuid"])
    for name in (vcon["uuid"], other := new_uuid()):
        ops.client.delete(keys.vcon(name))
        if odd == "list":
            ops.client.rpush(keys.vcon(name), "a")
        elif odd == "text":
            ops.client.set(keys.vcon(name), "no JSON")
        else:
            ops.client.json().set(keys.vcon(name), ".", 7)
    assert orjson.loads(await ops.vcon_server.text(vcon["uuid"])) == vcon
    with pytest.raises((UnusableKeyError, UnknownNameError)):
        await ops.vcon_server.text(other)
    found = await ops.vcon_server.texts([other, vcon["uuid"]])
    assert [each and orjson.loads(each) for each in found] == [None, vcon]


async def test_many_in_the_order_asked_for(ops: Operations) -> None:
    """None for what is nowhere; a uuid may be asked for twice."""
    vcons = [a_vcon() for _ in range(20)]
    for each in vcons:
        await ops.take(each)
    uuids = [each["uuid"] for each in vcons]
    found = await ops.vcon_server.texts([*uuids, new_uuid(), uuids[0].upper()])
    assert [each and orjson.loads(each) for each in found] == [*vcons, None, vcons[0]]
    assert await ops.vcon_server.texts([]) == []


async def test_too_many_and_too_large(ops: Operations, monkeypatch: Any) -> None:
    """Both bounds; a repeated uuid counts each time."""
    monkeypatch.setattr(vcon_texts, "MOST_VCONS", 3)
    monkeypatch.setattr(vcon_texts, "MOST_VCON_BYTES", 2 * vcon_texts.SMALL)
    vcon_uuid = await ops.ingest(subject=LONG)
    with pytest.raises(InvalidError, match="4 vCons; at most 3"):
        await ops.vcon_server.texts([new_uuid() for _ in range(4)])
    assert len(await ops.vcon_server.texts([vcon_uuid])) == 1
    with pytest.raises(TooLargeError, match="ask for fewer"):
        await ops.vcon_server.texts([vcon_uuid] * 2)


async def test_delete_everywhere(ops: Operations) -> None:
    """From Redis with vcon-server's own member, and from each storage; failures are told."""
    vcon_uuid = await ops.ingest("in")
    ops.client.zadd("vcons", {f"vcon:{vcon_uuid}": NOON})
    await filed(ops, vcon_uuid)
    deletion = await ops.vcon_server.delete(vcon_uuid.upper())
    assert deletion.removed == {"redis": True, "files": True}
    assert deletion.failed.keys() == {"broken", "forgetful"}
    assert "no disk" in deletion.failed["broken"]
    assert "no delete()" in deletion.failed["forgetful"]
    assert ops.traces(vcon_uuid) == []


@pytest.mark.parametrize("form", ["document", "string"])
async def test_delete_what_vcon_server_has_written(ops: Operations, form: str) -> None:
    """Nothing knows of it any more: index, search sets, queues, dead letters, trace contexts."""
    vcon_uuid, other = new_uuid(), new_uuid()
    vcon = {"uuid": vcon_uuid, "parties": [{"tel": "+1", "name": "Ann"}, {"mailto": "a@b"}]}
    if form == "document":
        ops.client.json().set(keys.vcon(vcon_uuid), ".", vcon)
    else:
        ops.client.set(keys.vcon(vcon_uuid), orjson.dumps(vcon))
    ops.client.zadd("vcons", {f"vcon:{vcon_uuid}": NOON, other: NOON})
    for term in ("tel:+1", "name:Ann", "mailto:a@b"):
        ops.client.sadd(term, vcon_uuid, other)
    for name in ("in", "out", "DLQ:in", "DLQ:storage:files"):
        ops.client.rpush(name, vcon_uuid, other)
        ops.client.rpush(f"context:{name}:{vcon_uuid}", "{}")
    assert (await ops.vcon_server.delete(vcon_uuid)).removed["redis"]
    assert ops.traces(vcon_uuid) == []
    assert ops.client.smembers("tel:+1") == {other}


async def test_delete_what_is_nowhere(ops: Operations) -> None:
    """That is no error."""
    deletion = await ops.vcon_server.delete(new_uuid())
    assert deletion.removed == {"redis": False, "files": False}


async def test_delete_what_is_being_processed(ops: Operations) -> None:
    """Nothing is removed, from no storage either."""
    vcon_uuid = await ops.ingest("in")
    await filed(ops, vcon_uuid)
    with ops.held(vcon_uuid), pytest.raises(ConflictError):
        await ops.vcon_server.delete(vcon_uuid)
    assert (await ops.operations._lookup.find_in("files", vcon_uuid))["uuid"] == vcon_uuid


async def test_a_storage_that_cannot_be_loaded_hinders_no_deletion(
    ops: Operations, monkeypatch: Any
) -> None:
    """Its failure is told, and the vCon goes from the others."""
    unloadable = replace(ops.configuration.config.storages["broken"], module="no_such_storage")
    storages = {**ops.configuration.config.storages, "broken": unloadable}
    monkeypatch.setattr(
        ops.configuration, "config", replace(ops.configuration.config, storages=storages)
    )
    vcon_uuid = await ops.ingest()
    await filed(ops, vcon_uuid)
    deletion = await ops.vcon_server.delete(vcon_uuid)
    assert deletion.removed == {"redis": True, "files": True}
    assert "no_such_storage" in deletion.failed["broken"]


async def test_reindex(ops: Operations) -> None:
    """Documents of this service and of others, with other keys between them."""
    ours = await ops.ingest(created_at="2026-11-21T12:00:01.5Z", parties=[{"tel": "+1"}])
    theirs, plain, empty = new_uuid(), new_uuid(), new_uuid()
    parties = [{"name": "Ann", "tel": 7}, {}, None]
    vcon = {"created_at": "2026-11-21T12:00:00Z", "parties": parties}
    ops.client.json().set(keys.vcon(theirs), ".", vcon)
    ops.client.set(keys.vcon(plain), orjson.dumps(vcon))
    ops.client.json().set(keys.vcon(empty), ".", {})
    ops.client.zadd("vcons", {f"vcon:{theirs}": 1})
    ops.client.delete("tel:+1")
    for name, document in (("x", {}), (new_uuid().upper(), {}), (new_uuid(), [1]), ("", 7)):
        ops.client.json().set(keys.vcon(name), ".", document)
    ops.client.rpush(keys.vcon(new_uuid()), "a")
    ops.client.set(keys.vcon(new_uuid()), "no JSON")
    assert await ops.vcon_server.reindex() == 5  # that with a list in it counts
    assert ops.client.zscore("vcons", ours) == NOON + 1.5
    assert ops.client.zscore("vcons", theirs) == ops.client.zscore("vcons", plain) == NOON
    assert ops.client.zscore("vcons", f"vcon:{theirs}") is None
    assert ops.client.smembers("tel:+1") == {ours}
    assert ops.client.smembers("name:Ann") == {theirs, plain}
    await ops.vcon_server.delete(theirs)
    assert ops.client.smembers("name:Ann") == {plain}


async def test_reindex_forgets_terms_that_no_longer_hold(ops: Operations) -> None:
    """A program has changed the document in place."""
    vcon_uuid = await ops.ingest(parties=[{"tel": "+1"}])
    ops.client.json().set(keys.vcon(vcon_uuid), ".parties", [{"mailto": "a@b"}])
    assert await ops.vcon_server.reindex() == 1
    assert ops.client.smembers("mailto:a@b") == {vcon_uuid}
    assert ops.client.exists("tel:+1") == 0


async def test_reindex_while_a_document_changes(ops: Operations, monkeypatch: Any) -> None:
    """What was read before the change is not written after it."""
    vcon_uuid = await ops.ingest(parties=[{"tel": "+1"}])
    script, changed = ops.redis.script, []

    async def script_after_a_change(name: str, *words: Any) -> Any:
        if name == "reindex" and not changed:
            changed.append(await ops.take(a_vcon(vcon_uuid, parties=[{"tel": "+2"}])))
        return await script(name, *words)

    monkeypatch.setattr(ops.redis, "script", script_after_a_change)
    assert await ops.vcon_server.reindex() == 1
    assert ops.client.exists("tel:+1") == 0
    assert ops.client.smembers("tel:+2") == {vcon_uuid}


async def test_reindex_without_a_sorted_set(ops: Operations) -> None:
    """Another program keeps something else there: it is told, and not that there are no vCons."""
    await ops.ingest()
    ops.client.delete("vcons")
    ops.client.set("vcons", "no set")
    with pytest.raises(UnusableKeyError, match="vcons"):
        await ops.vcon_server.reindex()


async def test_reindex_for_several_callers(ops: Operations, monkeypatch: Any) -> None:
    """Redis is read once for all that ask at the same time."""
    vcon_uuid = await ops.ingest()
    command, scans = ops.redis.command, []

    async def counted(*words: Any) -> Any:
        scans.extend(words[:1] if words[0] == "SCAN" else [])
        return await command(*words)

    monkeypatch.setattr(ops.redis, "command", counted)
    found = await asyncio.gather(*(ops.vcon_server.reindex() for _ in range(5)))
    assert (found, scans) == ([1] * 5, ["SCAN"])
    assert await ops.vcon_server.page(1, 9, None, None) == [vcon_uuid]
