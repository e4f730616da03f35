"""vcon-server and this service on one Redis during a cut-over, and on the way back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.exceptions import ResponseError

from pipeline.redis_client import keys
from tests.integration.support.dead_letters_scene import Plugins, failed, replay
from tests.integration.support.operations_scene import (
    EXPIRY,
    FOR_EVER,
    Operations,
    operations,
)
from tests.integration.support.partner_scene import Apis
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid
from tests.integration.support.vcon_server import VCON_EXPIRY, VconServer
from tests.unit.support.source_files import ROOT

PAGE = (ROOT / "docs" / "moving-from-vcon-server.md").read_text(encoding="utf-8")
OLD = {"vcon": "0.0.1", "parties": [{"tel": "+15550100", "name": "Ann", "mailto": "a@b.c"}]}
"""A vCon in the form that vcon-server keeps as it came."""

each_form = pytest.mark.parametrize("as_string", [False, True], ids=["json", "string"])


@pytest.fixture
def plugins() -> Plugins:
    """Plugins that do not fail yet."""
    return Plugins()


@pytest.fixture
async def ops(redis_url: str, plugins: Plugins) -> AsyncIterator[Operations]:
    """An empty Redis, and the chain of the plugins from `in` to `out`."""
    async with operations(redis_url) as opened:
        opened.configure(plugins.configuration())
        yield opened


@pytest.fixture
def theirs(ops: Operations) -> VconServer:
    """vcon-server on the same Redis."""
    return VconServer(ops.client)


def seen(document: dict[str, Any]) -> None:
    """A link of vcon-server that writes an attachment."""
    document.setdefault("attachments", []).append({"type": "seen", "body": "x"})


def unable(_document: dict[str, Any]) -> None:
    """A link of vcon-server that fails."""
    raise OSError("down")


def ours(ops: Operations, vcon_uuid: str) -> dict[str, Any]:
    """What this service has written."""
    return json.loads(ops.client.execute_command("JSON.GET", keys.vcon(vcon_uuid)))


@each_form
async def test_their_api_takes_in_and_our_worker_runs(
    ops: Operations, plugins: Plugins, as_string: bool
) -> None:
    """In the canonical form, to the storages and on; it expires only when it was read out."""
    theirs = VconServer(ops.client, as_string=as_string)
    vcon_uuid = theirs.ingest(a_vcon(**OLD), ["in"])
    assert 0 < ops.left(vcon_uuid) <= VCON_EXPIRY
    [ended] = await ops.work()
    assert (ended.status, plugins.called()) == ("done", ["first", "second", "cellar", "shelf"])
    assert (ops.list("in"), ops.list("out")) == ([], [vcon_uuid])
    assert ops.left(vcon_uuid) == FOR_EVER
    assert theirs.egress("out", 1) == [vcon_uuid]
    await ops.sweep()
    assert 0 < ops.left(vcon_uuid) <= EXPIRY


async def test_what_waits_does_not_expire_here(ops: Operations, theirs: VconServer) -> None:
    """vcon-server's hour would end before a long queue is worked off."""
    vcon_uuid = theirs.ingest(a_vcon(), ["in"])
    await ops.sweep()
    assert ops.left(vcon_uuid) == FOR_EVER


async def test_our_api_takes_in_and_their_worker_runs(ops: Operations, theirs: VconServer) -> None:
    """It reads, writes and forwards as its own; the vCon stays, until the way back."""
    vcon_uuid = await ops.ingest("in")
    assert theirs.work(["in"], seen, ["out"]) == vcon_uuid
    assert ours(ops, vcon_uuid)["attachments"] == [{"type": "seen", "body": "x"}]
    assert await ops.egress.read("out", 1, 60) == [vcon_uuid]
    assert await ops.egress.acknowledge("out", [vcon_uuid]) == 1
    await ops.sweep()
    assert ops.left(vcon_uuid) == FOR_EVER
    way_back(ops)
    assert 0 < ops.left(vcon_uuid) <= VCON_EXPIRY


async def test_their_new_release_cannot_read_what_we_wrote(ops: Operations) -> None:
    """As the page says; after the way back it can."""
    theirs = VconServer(ops.client, as_string=True)
    vcon_uuid = theirs.ingest(a_vcon(), ["in"])
    await ops.work()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        theirs.read(vcon_uuid)
    before = ours(ops, vcon_uuid)
    way_back(ops, "strings")
    assert theirs.read(vcon_uuid) == before
    assert 0 < ops.left(vcon_uuid) <= VCON_EXPIRY


@each_form
async def test_their_dead_letters_are_replayed_here(
    ops: Operations, plugins: Plugins, as_string: bool
) -> None:
    """From the first link, since nothing is known of their run."""
    theirs = VconServer(ops.client, as_string=as_string)
    theirs.ingest(a_vcon(), ["in"])
    vcon_uuid = theirs.work(["in"], unable)
    page = await ops.operations.dead_letters("in", None, 10, None)
    assert [each.vcon_uuid for each in page.entries] == [vcon_uuid]
    assert page.causes == {"unknown": 1}
    await ops.sweep()
    assert ops.left(str(vcon_uuid)) == FOR_EVER
    assert await replay(ops) == 1
    [ended] = await ops.work()
    assert (ended.status, ops.list("DLQ:in"), ops.list("out")) == ("done", [], [vcon_uuid])
    assert plugins.called() == ["first", "second", "cellar", "shelf"]


async def test_their_dead_letters_of_a_storage_are_replayed_here(
    ops: Operations, theirs: VconServer, plugins: Plugins
) -> None:
    """In the chain that writes it: neither links nor the other storage run again."""
    vcon_uuid = theirs.ingest(a_vcon())
    theirs.bury_storage("cellar", vcon_uuid)
    assert await replay(ops, storage_name="cellar") == 1
    [ended] = await ops.work()
    assert (ended.status, plugins.called()) == ("done", ["cellar"])
    assert ops.list("DLQ:storage:cellar") == []


async def test_their_dead_letter_of_a_storage_fails_again(
    ops: Operations, theirs: VconServer, plugins: Plugins
) -> None:
    """Then its run is known; from the start, links are repeated, too."""
    vcon_uuid = theirs.ingest(a_vcon())
    theirs.bury_storage("cellar", vcon_uuid)
    plugins.failing = {"cellar"}
    assert await replay(ops, storage_name="cellar") == 1
    [ended] = await ops.work()
    assert (ended.status, ops.list("DLQ:storage:cellar")) == ("partial", [vcon_uuid])
    plugins.failing = set()
    plugins.called()
    assert await replay(ops, storage_name="cellar", from_start=True) == 1
    await ops.work()
    assert plugins.called() == ["first", "second", "cellar", "shelf"]


async def test_a_storage_that_no_chain_writes(ops: Operations, theirs: VconServer) -> None:
    """Its dead letters stay, as no run could write them."""
    theirs.bury_storage("attic", theirs.ingest(a_vcon()))
    assert await replay(ops, storage_name="attic") == 0
    assert len(ops.list("DLQ:storage:attic")) == 1


async def test_our_dead_letters_are_reprocessed_by_theirs(
    ops: Operations, theirs: VconServer, plugins: Plugins
) -> None:
    """Our worker takes them again, and nothing of the old failure is left."""
    [vcon_uuid] = await failed(ops, plugins, "second")
    assert theirs.reprocess("in") == 1
    [ended] = await ops.work()
    assert (ended.status, ops.list("out")) == ("done", [vcon_uuid])
    await ops.sweep()
    assert ops.client.hgetall(keys.reasons("DLQ:in")) == {}
    [vcon_uuid] = await failed(ops, plugins, "second")
    assert theirs.reprocess("in") == 1
    assert theirs.work(["in"], seen, ["out"]) == vcon_uuid


async def test_an_egress_list_has_readers_of_both(ops: Operations, theirs: VconServer) -> None:
    """Each uuid goes to one of them, from either writer; what is leased is not in the list."""
    mine = await ops.ingest("in")
    await ops.work()
    other = theirs.ingest(a_vcon())
    ops.client.rpush("out", other)
    assert await ops.egress.read("out", 1, 60) == [mine]
    assert theirs.egress("out", 5) == [other]
    assert await ops.egress.acknowledge("out", [mine]) == 1
    await ops.sweep()
    assert 0 < ops.left(mine) <= EXPIRY


async def test_listing_and_searching_see_both(ops: Operations, theirs: VconServer) -> None:
    """Members with and without the prefix, and index keys of either."""
    mine = await ops.ingest("in")
    other = theirs.ingest(a_vcon())
    copied = a_vcon()
    theirs.cache(copied)
    theirs.ingest(copied)  # now it is in the set in both forms
    expected = {mine, other, copied["uuid"]}
    page = await ops.operations.vcons(None, None, 10, None)
    assert sorted(page.vcon_uuids) == sorted(expected)
    found = await ops.operations.search(["tel:+15550100", "name:Ann"], 10, None)
    assert set(found.vcon_uuids) == expected
    ops.client.delete(keys.vcon(other))
    assert other not in (await ops.operations.vcons(None, None, 10, None)).vcon_uuids


async def test_the_index_is_made_anew_over_what_they_left(ops: Operations) -> None:
    """Of documents and plain strings, in the set or not; other keys are passed over."""
    kept, text = a_vcon(), a_vcon()
    VconServer(ops.client).ingest(kept)
    VconServer(ops.client, as_string=True).ingest(text)
    ops.client.delete("vcons", "tel:+15550100", "name:Ann")
    ops.client.zadd("vcons", {f"vcon:{new_uuid()}": 1, kept["uuid"]: 1, f"vcon:{kept['uuid']}": 1})
    ops.client.set("vcon:notes", "of another program")
    assert await ops.vcon_server.reindex() == 2
    await ops.sweep()  # removes members without a vCon
    expected = sorted([kept["uuid"], text["uuid"]])
    assert sorted(await ops.vcon_server.page(1, 10, None, None)) == expected
    assert sorted(await ops.vcon_server.search(["tel:+15550100"])) == expected
    assert ops.client.ttl("tel:+15550100") == FOR_EVER


async def test_a_partner_of_theirs_sends_again(apis: Apis) -> None:
    """Its vCon has no owner: it is refused while it is here; the internal API may replace it."""
    apis.key("secret-1")
    vcon_uuid = VconServer(apis.client).ingest(a_vcon(), ["customer_data"])
    for changes in ({}, {"subject": "more"}):
        assert await apis.code(a_vcon(vcon_uuid, **changes)) == 409
    answer = await apis.ingest(a_vcon(vcon_uuid, subject="more"), "customer_data")
    assert answer.status_code in (200, 201)


async def test_their_context_is_taken_up(ops: Operations, theirs: VconServer) -> None:
    """It stands under the name under which this service looks for it, and expires otherwise."""
    vcon_uuid = theirs.ingest(a_vcon(), ["in"])
    await ops.work()
    assert 0 < int(ops.client.ttl(f"context:in:{vcon_uuid}")) <= 86_400


def way_back(ops: Operations, *words: str) -> None:
    """Run the program of the page."""
    [_, program] = PAGE.split("```python\n", 1)
    lines = program.partition("```")[0].splitlines()
    text = "\n".join(line.removeprefix("   ") for line in lines)
    options = ops.client.connection_pool.connection_kwargs
    url = f"redis://{options['host']}:{options['port']}/0"
    environment = {"PATH": os.defpath, "REDIS_URL": url}
    subprocess.run([sys.executable, "-c", text, *words], env=environment, check=True, timeout=60)


async def test_the_way_back_gives_everything_back(ops: Operations, theirs: VconServer) -> None:
    """Delayed, put aside, waiting and in flight: each is in its list again, once."""
    delayed, aside, waiting, held, queued = (theirs.ingest(a_vcon()) for _ in range(5))
    ops.client.zadd(keys.LATER, {f"in\n{delayed}": 1})
    ops.client.rpush(keys.suspects("in"), aside)
    ops.client.rpush(keys.waiting(waiting), f"in\n{waiting}")
    ops.client.hset(keys.inflight("gone"), held, f"1\n{new_uuid()}\nin\n{held}")
    ops.client.hset("pc:attempts:in", delayed, "1\nx\n0")
    ops.client.rpush("in", queued)
    way_back(ops)
    assert sorted(ops.list("in")) == sorted([delayed, aside, waiting, held, queued])
    assert list(ops.client.scan_iter("pc:*")) == []
    assert {theirs.work(["in"], seen) for _ in range(5)} == {delayed, aside, waiting, held, queued}


async def test_a_worker_that_stops_gives_back_what_it_holds(
    ops: Operations, theirs: VconServer, plugins: Plugins
) -> None:
    """Then vcon-server's worker takes it."""
    plugins.failing = {"first"}
    ops.configure(plugins.configuration(max_attempts=3))
    vcon_uuid = theirs.ingest(a_vcon(), ["in"])
    crew = await ops.workers.start(ops.configuration)
    ended = await ops.workers.ended()
    await crew.stop()
    assert ended.how != "finish"
    way_back(ops)
    assert theirs.work(["in"], seen, ["out"]) == vcon_uuid
