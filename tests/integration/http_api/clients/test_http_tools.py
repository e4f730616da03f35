"""Programs that read from vcon-server and manage it, unchanged, against the HTTP API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.http_api.clients.calls import LIBRARIES, Send
from tests.integration.http_api.clients.senders import Audio, End
from tests.integration.http_api.clients.tools import (
    Admin,
    DotNet,
    Follower,
    LoadTest,
    RefusedError,
)
from tests.integration.http_api.http_scene import TOKEN, Served, Start
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid

pytestmark = pytest.mark.parametrize("send", LIBRARIES, ids=lambda each: each.__name__)


async def test_the_dotnet_library_reads_and_writes(served: Served, send: Send) -> None:
    """Its requests for one vCon and for many, by the address with the prefix and without."""

    def use(library: DotNet) -> None:
        vcon = a_vcon(parties=[{"tel": "+15550142", "name": "Ann", "mailto": "ann@a.example"}])
        assert library.post(vcon, "in", "second") == vcon == library.get(vcon["uuid"])
        assert library.many([vcon["uuid"], new_uuid()]) == [vcon, None]
        assert vcon["uuid"] in library.listed(page=1, size=10)
        assert library.listed(since="2026-11-22T00:00:00Z") == []
        assert library.search(tel="+15550142", name="Ann") == [vcon["uuid"]]
        assert library.search(tel="+15550142", name="Bob") == []
        library.queue([vcon["uuid"], new_uuid()], "second")
        library.submit(a_vcon(), "in", "key-of-a-partner-1")
        library.delete(vcon["uuid"])
        library.delete(vcon["uuid"])
        assert library.get(vcon["uuid"]) is None
        with pytest.raises(RefusedError, match="422"):
            library.get("nope")

    for url in (served.url, f"{served.url}/api"):
        await asyncio.to_thread(use, DotNet(url, TOKEN, send))


async def test_the_dotnet_library_takes_results(served: Served, send: Send) -> None:
    """Results and dead letters: arrays and numbers, as vcon-server sends them."""
    library = DotNet(f"{served.url}/api", TOKEN, send)
    uuids = [new_uuid() for _ in range(3)]
    served.client.rpush("out", *uuids)

    def use() -> None:
        assert library.bare("GET", "vcon/count", egress_list="out") == 3
        assert library.egress("out", 2) == uuids[:2]
        assert library.egress("out", 5) == uuids[2:]
        assert library.egress("out", 5) == []
        assert library.bare("GET", "dlq", ingress_list="in") == []
        assert library.bare("POST", "dlq/reprocess", ingress_list="in") == 0
        assert library.bare("GET", "index_vcons") == 0

    await asyncio.to_thread(use)


async def test_a_follower_takes_each_result_once(served: Served, send: Send) -> None:
    """Bare uuids, then the vCons; one that is gone is 404."""
    follower = Follower(served.url, TOKEN, send)
    vcons = [a_vcon() for _ in range(3)]
    async with served.http() as http:
        for vcon in vcons:
            await http.post("/vcon", json=vcon)
    served.client.rpush("out", *(vcon["uuid"] for vcon in vcons), new_uuid())
    taken = [await asyncio.to_thread(follower.pull, "out", 2) for _ in range(3)]
    assert taken == [vcons[:2], vcons[2:], []]


async def test_an_older_follower_gets_the_older_form(start: Start, send: Send) -> None:
    """With EGRESS_FORMAT_VERSION, the same from both routes; what is stored stays as it is."""
    note = {"purpose": "note", "body": '{"a": 1}', "encoding": "json", "mediatype": "text/plain"}
    vcon = a_vcon(attachments=[note | {"start": "2026-11-21T12:00:00Z", "party": 0, "dialog": 0}])
    async with start(egress_format_version="0.0.1") as served:
        library, follower = (kind(served.url, TOKEN, send) for kind in (DotNet, Follower))

        def use() -> list[Any]:
            assert library.post(vcon)["vcon"] == "0.4.0"
            served.client.rpush("out", vcon["uuid"])
            return [*library.many([vcon["uuid"]]), *follower.pull("out", 1)]

        first, second = await asyncio.to_thread(use)
        assert first == second
        assert (first["vcon"], first["group"], first["redacted"]) == ("0.0.1", [], {})
        [attachment] = first["attachments"]
        assert (attachment["type"], attachment["body"]) == ("note", {"a": 1})
        assert served.client.json().get(f"vcon:{vcon['uuid']}", ".vcon") == "0.4.0"


async def test_the_audio_adapter_waits_for_the_list(served: Served, send: Send) -> None:
    """It asks for the length without a token, and goes on when the list is shorter."""
    waits: list[float] = []

    def work(seconds: float) -> None:
        waits.append(seconds)
        served.client.lpop("in")

    sender = Audio(served.url, TOKEN, ["in", "second"], send, work)
    vcons = [a_vcon() for _ in range(4)]
    for vcon in vcons:
        assert await asyncio.to_thread(sender.deliver, vcon) is End.DELIVERED
    assert len(waits) == 2
    assert served.queued("in") == [vcon["uuid"] for vcon in vcons[2:]]
    assert len(served.queued("second")) == 4


PARTS = """
links: {tag: {module: links.tag, options: {tags: [a]}}}
storages: {disk: {module: storage.file, options: {path: /tmp/files}}}
chains:
  main: {links: [tag], storages: [disk], ingress_lists: [in, second], egress_lists: [out]}
"""


async def test_the_load_test_configures_sends_and_puts_back(
    start: Start, config: Path, send: Send
) -> None:
    """A chain of its own comes into force, takes vCons, and goes; what was masked stays."""
    async with start(admin_actions=True) as served:
        before = config.read_bytes()  # noqa: ASYNC240 -- a small file
        load = LoadTest(f"{served.url}/api", TOKEN, send)

        def use() -> None:
            assert load.probe() == 403  # something answers
            found = load.configuration()
            load.configure(found | {"chains": {**found["chains"], "load": LOAD_CHAIN}})
            vcon = a_vcon()
            assert load.post(vcon, "load") == vcon["uuid"]
            load.queue(vcon["uuid"], "load")
            load.configure(found)
            with pytest.raises(RefusedError, match="404"):
                load.post(a_vcon(), "load")

        await asyncio.to_thread(use)
        assert yaml.safe_load(config.read_bytes()) == yaml.safe_load(before)  # noqa: ASYNC240
        assert len(served.queued("load")) == 2


LOAD_CHAIN = {"links": [], "storages": [], "ingress_lists": ["load"], "enabled": 1}


async def test_the_administration_shows_what_there_is(start: Start, send: Send) -> None:
    """Chains, links and storages, by the address without the prefix; `/docs` opens."""
    async with start(PARTS) as served:
        admin = Admin(served.url, TOKEN, send)
        parts = await asyncio.to_thread(admin.parts)
        assert parts == {"chains": ["main"], "links": ["tag"], "storages": ["disk"]}
        assert b"<html" in await asyncio.to_thread(admin.documentation)
