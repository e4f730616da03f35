"""Listing, reading, finding and deleting vCons over real HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from pipeline.redis_client import keys
from tests.integration.http_api.http_scene import Served
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid


async def made(http: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    """A vCon that was taken in."""
    vcon = a_vcon(**changes)
    answer = await http.post("/vcon", json=vcon)
    assert answer.status_code == 201, answer.text
    return vcon


async def told(http: httpx.AsyncClient, path: str, **options: Any) -> Any:
    """The body of an answer 200."""
    answer = await http.get(path, **options)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


async def test_the_listing(http: httpx.AsyncClient) -> None:
    """A bare array of uuids, newest first, by number of the page, within whole seconds."""
    times = ["2026-11-21T12:00:00Z", "2026-11-21T12:00:01.5Z", "2026-11-21T12:00:02Z"]
    oldest, older, newest = [(await made(http, created_at=time))["uuid"] for time in times]
    assert await told(http, "/vcon") == [newest, older, oldest]
    assert await told(http, "/api/vcon?page=2&size=2") == [oldest]
    assert await told(http, "/vcon?page=9") == []
    assert await told(http, f"/vcon?since={times[1]}&until=2026-11-21T12:00:01") == [older]
    assert await told(http, "/vcon?until=1795262400") == [oldest]


async def test_a_page_that_cannot_be(http: httpx.AsyncClient) -> None:
    """422 in Pydantic's form."""
    for query in ("page=0", "page=x", "size=0", "size=100001", "since=yesterday", "until="):
        answer = await http.get(f"/vcon?{query}")
        assert answer.status_code == 422
        [problem] = answer.json()["detail"]
        assert problem["loc"] == ["query", query.partition("=")[0]]
        assert problem.keys() >= {"type", "msg", "input"}


async def test_one_vcon(http: httpx.AsyncClient) -> None:
    """Its JSON; 404 in vcon-server's words; 422 for what is no uuid."""
    vcon = await made(http)
    assert await told(http, f"/vcon/{vcon['uuid']}") == vcon
    answer = await http.get(f"/vcon/{new_uuid()}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "vCon not found"})
    assert (await http.get("/vcon/nope")).status_code == 422


async def test_many_vcons(http: httpx.AsyncClient) -> None:
    """In the order asked for, null for what is unknown; without a parameter none."""
    first, second = await made(http), await made(http)
    uuids = [second["uuid"], new_uuid(), first["uuid"].upper(), second["uuid"]]
    found = await told(http, "/vcons", params={"vcon_uuids": uuids})
    assert found == [second, None, first, second]
    assert await told(http, "/vcons") == []
    assert (await http.get("/vcons?vcon_uuids=nope")).status_code == 422


async def test_too_many_vcons(http: httpx.AsyncClient) -> None:
    """The refusal names the bound."""
    query = "&".join(["vcon_uuids=" + "0" * 32] * 1001)
    answer = await http.get(f"/vcons?{query}")
    assert answer.status_code == 422
    assert "at most 1000" in answer.text


async def test_search(http: httpx.AsyncClient) -> None:
    """All terms must hold; no hit is an empty array; no term is 400."""
    ann = (await made(http, parties=[{"name": "Ann", "tel": "+1 555"}]))["uuid"]
    bob = (await made(http, parties=[{"name": "Bob", "tel": "+1 555"}]))["uuid"]
    assert sorted(await told(http, "/vcons/search?tel=%2B1%20555")) == sorted([ann, bob])
    assert await told(http, "/vcons/search?tel=%2B1%20555&name=Ann") == [ann]
    assert await told(http, "/vcons/search?tel=%2B1%20555&mailto=a@b") == []
    for path in ("/vcons/search", "/api/vcons/search?tel="):
        answer = await http.get(path)
        text = "At least one search parameter must be provided"
        assert (answer.status_code, answer.json()) == (400, {"detail": text})


def files_of(folder: Path, vcon_uuid: str) -> list[Path]:
    """What the storage `files` has of a vCon."""
    return list(folder.glob(f"**/*{vcon_uuid}*"))


async def test_delete(http: httpx.AsyncClient, served: Served, tmp_path: Path) -> None:
    """204 without a body, also for what is nowhere; from storages too; audited."""
    vcon = await made(http)
    await served.pipeline.service.save(vcon["uuid"], ["files"])
    assert files_of(tmp_path, vcon["uuid"])
    for _ in range(2):
        answer = await http.delete(f"/vcon/{vcon['uuid']}")
        assert (answer.status_code, answer.content) == (204, b"")
    assert not files_of(tmp_path, vcon["uuid"])
    assert (await http.get(f"/vcon/{vcon['uuid']}")).status_code == 404
    event = await served.audited("DeleteVcon")
    target = f"vcon:{vcon['uuid']}"
    assert (event.action, event.target, event.actor) == ("DeleteVcon", target, "http-api")


async def test_a_deletion_that_is_not_complete(http: httpx.AsyncClient, served: Served) -> None:
    """502 says what may still have the vCon."""
    vcon = await made(http)
    config = served.pipeline._configuration.config
    spec = type(config.storages["files"])("hook", "storage.webhook")
    config.storages["hook"] = spec  # type: ignore[index]
    answer = await http.delete(f"/vcon/{vcon['uuid']}")
    assert answer.status_code == 502
    assert "Removed from: redis. Not removed from hook: " in answer.json()["detail"]


async def test_delete_what_is_being_processed(http: httpx.AsyncClient, served: Served) -> None:
    """503 with a time to wait: clients set a vCon aside after 409."""
    vcon = await made(http)
    served.client.hset(keys.inflight("worker"), vcon["uuid"], "7\nrun\nin\n" + vcon["uuid"])
    served.client.hset(keys.LOCKS, vcon["uuid"], "worker")
    answer = await http.delete(f"/vcon/{vcon['uuid']}")
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


async def test_index_again(http: httpx.AsyncClient, served: Served) -> None:
    """The bare number of vCons."""
    vcon = await made(http)
    served.client.delete("vcons", "name:Ann")
    assert await told(http, "/index_vcons") == 1
    assert await told(http, "/vcon") == await told(http, "/vcons/search?name=Ann") == [vcon["uuid"]]
