"""Egress lists, lengths of lists and dead letters over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.db.database import Database
from core.settings import DatabaseSettings
from http_api.handlers.lists import MOST_ACKNOWLEDGED
from pipeline.redis_client import keys
from tests.integration.http_api.http_scene import Served, serving
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid


def filled(served: Served, name: str, count: int = 3) -> list[str]:
    """New uuids in a list, the oldest first."""
    uuids = [new_uuid() for _ in range(count)]
    served.client.rpush(name, *uuids)
    return uuids


async def answer(http: httpx.AsyncClient, method: str, path: str, **options: Any) -> Any:
    """Status and body of an answer."""
    found = await http.request(method, path, **options)
    return found.status_code, found.json()


async def test_egress(http: httpx.AsyncClient, served: Served) -> None:
    """A bare array, one uuid unless more are asked for; what was given is gone."""
    uuids = filled(served, "out")
    assert await answer(http, "GET", "/vcon/egress?egress_list=out") == (200, uuids[:1])
    query = "egress_list=out&limit=1000000000"
    assert await answer(http, "GET", f"/api/vcon/egress?{query}") == (200, uuids[1:])
    assert await answer(http, "GET", f"/vcon/egress?{query}") == (200, [])
    assert served.client.zcard("pc:lease:out") == 0


async def test_head_takes_nothing(http: httpx.AsyncClient, served: Served) -> None:
    """An answer without a body would lose the uuids that it took."""
    uuids = filled(served, "out")
    for query in ("egress_list=out&limit=3", "egress_list=out&limit=3&lease_seconds=60"):
        for path in ("/vcon/egress", "/api/vcon/egress"):
            refused = await http.head(f"{path}?{query}")
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
    assert (served.queued("out"), served.client.zcard("pc:lease:out")) == (uuids, 0)
    assert (await http.head("/index_vcons")).status_code == 405


async def test_egress_with_leases(http: httpx.AsyncClient, served: Served) -> None:
    """Those that are not acknowledged stay leased; the count is a bare number."""
    uuids = filled(served, "out")
    query = "egress_list=out&limit=3&lease_seconds=60"
    assert await answer(http, "GET", f"/vcon/egress?{query}") == (200, uuids)
    path = "/vcon/egress/ack?egress_list=out"
    body = [uuids[0].upper(), uuids[1], new_uuid()]
    assert await answer(http, "POST", path, json=body) == (200, 2)
    assert served.client.zrange("pc:lease:out", 0, -1) == uuids[2:]
    for wrong in ({"uuids": []}, ["nope"], [7]):
        status, refused = await answer(http, "POST", path, json=wrong)
        assert (status, refused["detail"][0]["loc"][0]) == (422, "body")


async def test_acknowledged_uuids_are_bounded(http: httpx.AsyncClient, served: Served) -> None:
    """By number before they are looked at: of millions, each would become a problem in memory."""
    [leased] = filled(served, "out", 1)
    await http.get("/vcon/egress?egress_list=out&lease_seconds=60")
    path = "/vcon/egress/ack?egress_list=out"
    for each in (leased, 1):
        status, refused = await answer(http, "POST", path, json=[each] * (MOST_ACKNOWLEDGED + 1))
        assert (status, [each["loc"] for each in refused["detail"]]) == (422, [["body"]])
    assert served.client.zrange("pc:lease:out", 0, -1) == [leased]
    assert await answer(http, "POST", path, json=[leased] * MOST_ACKNOWLEDGED) == (200, 1)


async def test_count(http: httpx.AsyncClient, served: Served) -> None:
    """A bare number: the path is not that of a vCon."""
    filled(served, "out")
    assert await answer(http, "GET", "/vcon/count?egress_list=out") == (200, 3)
    status, body = await answer(http, "GET", "/vcon/count")
    problem = {"type": "missing", "loc": ["query", "egress_list"], "msg": "Field required"}
    assert (status, body) == (422, {"detail": [{**problem, "input": None}]})


async def test_queue_stats_are_open(served: Served) -> None:
    """Without a token; what lists there are is not told."""
    filled(served, "in")
    async with served.http(token=None) as http:
        for path in ("/stats/queue", "/api/stats/queue"):
            found = await answer(http, "GET", f"{path}?list_name=in")
            assert found == (200, {"list_name": "in", "depth": 3})
        found = await answer(http, "GET", "/stats/queue?list_name=pc:locks")
        assert found == (404, {"detail": "Unknown list: pc:locks"})
        assert (await answer(http, "GET", "/stats/queue"))[0] == 422
        assert (await answer(http, "GET", "/vcon/count?egress_list=out"))[0] == 403


async def test_a_list_that_is_none(http: httpx.AsyncClient, served: Served) -> None:
    """Another program keeps something else under its name."""
    served.client.set("out", "text")
    for path in ("/vcon/count", "/vcon/egress"):
        status, body = await answer(http, "GET", f"{path}?egress_list=out")
        assert (status, "out is no list" in body["detail"]) == (503, True)


async def test_unknown_lists(http: httpx.AsyncClient) -> None:
    """404 as over RPC."""
    for path in ("/vcon/egress?egress_list=nope", "/vcon/count?egress_list=nope"):
        assert (await answer(http, "GET", path))[0] == 404
    assert (await answer(http, "GET", "/dlq?ingress_list=nope"))[0] == 404
    assert (await answer(http, "POST", "/dlq/reprocess?ingress_list=nope"))[0] == 404


@pytest.fixture
async def lenient(
    config: Path, redis_url: str, migrated: Database, database_settings: DatabaseSettings
) -> AsyncIterator[Served]:
    """The API with API_ANY_LIST=true."""
    about = (config, redis_url, migrated, database_settings)
    async with serving(*about, api_any_list=True) as served:
        yield served


async def test_any_list(lenient: Served) -> None:
    """As vcon-server: an unknown list is empty, or what another program has put there."""
    uuids = filled(lenient, "other")
    async with lenient.http() as http:
        for path, body in (
            ("/vcon/egress?egress_list=absent", []),
            ("/vcon/egress?egress_list=other", uuids[:1]),
            ("/vcon/count?egress_list=other", 2),
            ("/stats/queue?list_name=absent", {"list_name": "absent", "depth": 0}),
            ("/dlq?ingress_list=other", []),
        ):
            assert await answer(http, "GET", path) == (200, body)
        assert await answer(http, "POST", "/dlq/reprocess?ingress_list=other") == (200, 0)
        assert (await answer(http, "GET", "/stats/queue?list_name=pc:history"))[0] == 404


async def test_the_index_is_no_list(lenient: Served) -> None:
    """404 as for every name that is used otherwise: trying again, as after 503, is of no use."""
    lenient.client.zadd("vcons", {new_uuid(): 1})
    lenient.client.rpush(keys.dead_letters("vcons"), new_uuid())
    async with lenient.http() as http:
        for method, path in (
            ("GET", "/vcon/egress?egress_list=vcons"),
            ("GET", "/vcon/egress?egress_list=vcons&lease_seconds=5"),
            ("GET", "/vcon/count?egress_list=vcons"),
            ("GET", "/stats/queue?list_name=vcons"),
            ("POST", "/dlq/reprocess?ingress_list=vcons"),
        ):
            assert (path, (await http.request(method, path)).status_code) == (path, 404)
        acknowledged = await http.post("/vcon/egress/ack?egress_list=vcons", json=[new_uuid()])
        assert acknowledged.status_code == 404


async def test_dead_letters(http: httpx.AsyncClient, served: Served) -> None:
    """A bare array, oldest first; as many as asked for are queued again, which is audited."""
    vcons = [a_vcon() for _ in range(3)]
    for vcon in vcons:
        assert (await http.post("/vcon", json=vcon)).status_code == 201
    uuids = [vcon["uuid"] for vcon in vcons]
    served.client.rpush(keys.dead_letters("in"), *uuids)
    assert await answer(http, "GET", "/dlq?ingress_list=in") == (200, uuids)
    path = "/dlq/reprocess?ingress_list=in"
    assert await answer(http, "POST", f"{path}&count=2") == (200, 2)
    assert served.queued("in") == uuids[:2]
    event = await served.audited("ReplayDeadLetters")
    assert (event.action, event.target, event.detail) == (
        "ReplayDeadLetters",
        "list:in",
        {"limit": 2},
    )
    assert await answer(http, "POST", path) == (200, 1)
    for count in ("0", "100001", "x"):
        assert (await answer(http, "POST", f"{path}&count={count}"))[0] == 422


async def test_dead_letters_of_storages(http: httpx.AsyncClient, served: Served) -> None:
    """The same by the name of a storage; 404 in vcon-server's words."""
    uuids = filled(served, keys.storage_dead_letters("files"))
    assert await answer(http, "GET", "/dlq/storage?storage_name=files") == (200, uuids)
    path = "/dlq/storage/reprocess?storage_name="
    assert await answer(http, "POST", f"{path}files&count=1") == (200, 0)  # no chain wrote them
    unknown = (404, {"detail": "Unknown storage backend: X"})
    assert await answer(http, "POST", f"{path}X") == unknown
    assert await answer(http, "GET", "/dlq/storage?storage_name=X") == unknown


async def test_the_log_names_the_route_that_failed(
    http: httpx.AsyncClient, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the parameters, which may be secret."""
    served.client.set("out", "no list")
    assert (await http.get("/api/vcon/count?egress_list=out")).status_code == 503
    served.client.delete("out")
    [line] = [each for each in caplog.records if each.msg == "request failed"]
    assert (vars(line)["action"], vars(line)["status"]) == ("GET /vcon/count", 503)
