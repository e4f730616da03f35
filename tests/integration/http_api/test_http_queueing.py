"""POST /vcon with an Idempotency-Key, pings, any list; POST /vcon/ingress; over real HTTP."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_api.handlers import storage_time
from http_api.handlers.ingest import MOST_LISTS, MOST_UUIDS
from tests.integration.http_api.http_scene import HEADER, Served, Start
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid

KEY = "key-of-a-partner-1"
SOME_UUID = "00000000-0000-4000-8000-000000000001"


async def post(http: httpx.AsyncClient, vcon: Any, key: str, **sent: Any) -> httpx.Response:
    """The answer to a vCon for the list `in`, with this Idempotency-Key."""
    headers = {"idempotency-key": key}
    return await http.post("/vcon?ingress_lists=in", json=vcon, headers=headers, **sent)


async def test_the_same_request_is_answered_as_the_first_time(
    http: httpx.AsyncClient, served: Served
) -> None:
    """201 with the same body, also after the vCon has expired; it is not brought back."""
    vcon = a_vcon()
    first = await post(http, vcon, "key")
    served.client.delete(f"vcon:{vcon['uuid']}", "in")
    again = await post(http, vcon, "key")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert served.client.exists("in", f"vcon:{vcon['uuid']}") == 0


async def test_the_key_with_another_request_is_refused(
    http: httpx.AsyncClient, served: Served
) -> None:
    """422 in Pydantic's form; nothing of it is stored."""
    vcon = a_vcon()
    await post(http, vcon, "key")
    for other in (a_vcon(), vcon | {"subject": "x"}):
        answer = await post(http, other, "key")
        assert answer.status_code == 422
        assert "Idempotency-Key" in json.dumps(answer.json()["detail"])
    assert served.queued("in") == [vcon["uuid"]]
    long = await post(http, a_vcon(), "x" * 256)
    assert long.status_code == 422
    assert long.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


async def test_adapters_send_the_uuid_as_the_key(http: httpx.AsyncClient, served: Served) -> None:
    """A changed vCon is a new version; an empty key is none."""
    vcon = a_vcon()
    changed = vcon | {"subject": "changed"}
    for each in (vcon, vcon, changed, changed):
        answer = await post(http, each, vcon["uuid"].upper())
        assert (answer.status_code, answer.json()) == (201, each)
    assert served.queued("in") == [vcon["uuid"]] * 2
    assert [(await post(http, a_vcon(), "")).status_code for _ in range(2)] == [201, 201]


async def test_of_many_at_once_one_is_work(http: httpx.AsyncClient, served: Served) -> None:
    """Each is answered 201."""
    vcon = a_vcon()
    answers = await asyncio.gather(*(post(http, vcon, "key") for _ in range(8)))
    assert {each.status_code for each in answers} == {201}
    assert served.queued("in") == [vcon["uuid"]]


PINGS = ['{"test": true}', '{"test": true, "message": "ping", "timestamp": "2026"}']


@pytest.mark.parametrize("path", ["/vcon", "/vcon?ingress_lists=nope", "/vcon/external-ingress"])
@pytest.mark.parametrize("body", PINGS)
async def test_a_ping_is_answered(
    http: httpx.AsyncClient, served: Served, path: str, body: str
) -> None:
    """200, and nothing is stored; only with the token or the key."""
    params = {"ingress_list": "in"} if "external" in path else {}
    headers = {HEADER: KEY} if "external" in path else {}
    answer = await http.post(path, content=body, params=params or None, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"test": True})
    zipped = headers | {"content-encoding": "gzip"}
    packed = gzip.compress(body.encode())
    answer = await http.post(path, content=packed, params=params or None, headers=zipped)
    assert answer.status_code == 200
    assert served.client.keys("vcon:*") == []
    refused = await http.post(path, content=body, params=params or None, headers={HEADER: "wrong"})
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (a_vcon(test=True), 201),
        ({"test": 1}, 422),
        ({"test": "true"}, 422),
        ({"test": False}, 422),
        ([{"test": True}], 422),
        ({"test": True, "uuid": "x"}, 422),
        ({"x": {"test": True}}, 422),
        ({"test": True, "more": "x" * 20_000}, 422),
    ],
)
async def test_what_is_no_ping(http: httpx.AsyncClient, body: Any, status: int) -> None:
    """A vCon may have a member `test`; anything else is judged as a vCon."""
    assert (await http.post("/vcon", json=body)).status_code == status


async def test_stored_vcons_are_queued(http: httpx.AsyncClient, served: Served) -> None:
    """204 for a bare array; unknown uuids are left out without a word."""
    vcon, unknown = a_vcon(), new_uuid()
    await http.post("/vcon", json=vcon)
    for uuids in ([vcon["uuid"].upper(), unknown], [unknown], []):
        answer = await http.post("/vcon/ingress?ingress_list=in", json=uuids)
        assert (answer.status_code, answer.content) == (204, b"")
    assert served.queued("in") == [vcon["uuid"]]


@pytest.mark.parametrize(
    ("query", "body", "status", "loc"),
    [
        ("?ingress_list=in", '{"uuids": []}', 422, ["body"]),
        ("?ingress_list=in", '["nope"]', 422, ["body", 0]),
        ("?ingress_list=in", "[null]", 422, ["body", 0]),
        ("?ingress_list=in", "[", 422, ["body", 1]),
        ("?ingress_list=in", json.dumps([SOME_UUID] * (MOST_UUIDS + 1)), 422, ["body"]),
        ("", "[]", 422, ["query", "ingress_list"]),
        ("?ingress_list=nope", json.dumps([SOME_UUID]), 404, None),
    ],
)
async def test_what_cannot_be_queued_is_told(
    http: httpx.AsyncClient, query: str, body: str, status: int, loc: Any
) -> None:
    """422 with the place, 404 for a list."""
    answer = await http.post(f"/vcon/ingress{query}", content=body)
    assert answer.status_code == status, answer.text
    if loc is not None:
        assert answer.json()["detail"][0]["loc"] == loc


async def test_headers_name_lists_repeatedly(http: httpx.AsyncClient, served: Served) -> None:
    """All are taken together; a name may have any letters."""
    headers = [("ingress_list", "in"), ("ingress_list", "second"), ("ingress_lists", "in,second")]
    vcon = a_vcon()
    answer = await http.post("/vcon", json=vcon, headers=headers)
    assert answer.status_code == 201
    assert served.queued("in") == served.queued("second") == [vcon["uuid"]]
    answer = await http.post("/vcon", json=a_vcon(), headers={"ingress_list": "ü".encode()})
    assert answer.json()["detail"].startswith("Unknown ingress list: ü;")


async def test_one_request_names_so_many_lists(http: httpx.AsyncClient) -> None:
    """422 beyond, whether they exist or not."""
    names = ",".join(f"list-{number}" for number in range(MOST_LISTS + 1))
    answer = await http.post(f"/vcon?ingress_lists={names}", json=a_vcon())
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "ingress_lists"]
    within = await http.post(f"/vcon?ingress_lists={names[7:]}", json=a_vcon())
    assert within.status_code == 404


async def test_the_token_is_enough_where_rpc_callers_need_a_key(start: Start) -> None:
    """REQUIRE_INGRESS_KEY is for callers that the Plugboard does not identify."""
    async with start(require_ingress_key=True) as served, served.http() as http:
        answer = await http.post("/vcon?ingress_lists=in", json=a_vcon())
        assert answer.status_code == 201, answer.text
        assert len(served.queued("in")) == 1


async def test_any_list_is_made_if_the_setting_says_so(start: Start) -> None:
    """By POST /vcon and POST /vcon/ingress; names of other keys are refused."""
    async with start(api_any_list=True) as served, served.http() as http:
        vcon = a_vcon()
        for name, status in (("made up", 201), ("pc:locks", 422), ("vcons", 422)):
            answer = await http.post("/vcon", json=vcon, params={"ingress_list": name})
            assert answer.status_code == status, answer.text
            query = {"ingress_list": f"{name}, too" if status == 201 else name}
            answer = await http.post("/vcon/ingress", json=[vcon["uuid"]], params=query)
            assert answer.status_code == (204 if status == 201 else 422), answer.text
        assert served.queued("made up") == served.queued("made up, too") == [vcon["uuid"]]


WITH_STORAGE = """
chains: {main: {ingress_lists: [in]}}
storages: {stuck: {module: stuck_storage}}
"""
STUCK = """
import threading
default_options, ended = {}, threading.Event()

def save(uuid, opts):
    pass

def get(uuid, opts):
    ended.wait(60)
"""


async def test_storages_that_take_too_long_end_the_request(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """504 with what to do; nothing is queued."""
    monkeypatch.setattr(storage_time, "SECONDS", 0.05)
    await asyncio.to_thread((tmp_path / "stuck_storage.py").write_text, STUCK)
    monkeypatch.syspath_prepend(tmp_path)  # forgets which files were in the folder
    stuck = importlib.import_module("stuck_storage")
    async with start(WITH_STORAGE) as served:
        async with served.http() as http:
            await served.pipeline._lookup.storage("stuck")
            answers = [
                await http.post("/vcon/ingress?ingress_list=in", json=[new_uuid()]),
                await http.get("/vcons", params={"vcon_uuids": new_uuid()}),
            ]
        stuck.ended.set()
        for answer in answers:
            assert answer.status_code == 504, answer.text
            assert "send fewer uuids at once" in answer.json()["detail"]
        assert served.queued("in") == []
