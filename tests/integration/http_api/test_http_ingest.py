"""POST /vcon and GET /vcon/{uuid} over real HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.integration.http_api.http_scene import Served
from tests.integration.support.pipeline_fixtures import a_vcon


async def test_a_vcon_is_stored_queued_and_read_again(
    http: httpx.AsyncClient, served: Served
) -> None:
    """201 with the vCon as it is stored; the same by GET, with and without the prefix."""
    vcon = a_vcon()
    answer = await http.post("/vcon", json=vcon, params={"ingress_lists": ["in", "second"]})
    assert answer.status_code == 201, answer.text
    assert answer.json() == vcon
    assert served.queued("in") == served.queued("second") == [vcon["uuid"]]
    for path in ("/vcon/", "/api/vcon/"):
        assert (await http.get(path + vcon["uuid"])).json() == vcon


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?ingress_lists=in&ingress_lists=second", {}),
        ("?ingress_lists=in,second", {}),
        ("?ingress_list=in&ingress_lists=second", {}),
        ("?ingress_list=in&ingress_list=second", {}),
        ("?ingress_lists[]=in&ingress_lists%5B%5D=second", {}),
        ("?ingress_lists[0]=in&ingress_lists[1]=second", {}),
        ("?ingress_list=in", {"ingress_list": "second"}),
        ("", {"ingress_lists": "in, second"}),
    ],
)
async def test_lists_are_named_in_every_form(
    http: httpx.AsyncClient, served: Served, query: str, headers: dict[str, str]
) -> None:
    """Repeated, with commas, under either name, and as headers."""
    vcon = a_vcon()
    answer = await http.post(f"/api/vcon{query}", content=json.dumps(vcon), headers=headers)
    assert answer.status_code == 201, answer.text
    assert served.queued("in") == served.queued("second") == [vcon["uuid"]]


@pytest.mark.parametrize("name", ["ingresslist", "ingress-lists", "Ingress_Lists", "x_ingress%5F"])
async def test_a_misspelt_name_of_the_lists_is_told(
    http: httpx.AsyncClient, served: Served, name: str
) -> None:
    """422 instead of a vCon that is stored and never queued."""
    answer = await http.post(f"/vcon?{name}=in", json=a_vcon())
    assert answer.status_code == 422, answer.text
    assert "did you mean ingress_lists?" in answer.json()["detail"][0]["msg"]
    assert served.client.keys("vcon:*") == []


async def test_a_body_is_json_whatever_its_content_type(http: httpx.AsyncClient) -> None:
    """As `curl -d` sends it, and without a type."""
    for headers in ({"content-type": "application/x-www-form-urlencoded"}, {}):
        answer = await http.post("/vcon", content=json.dumps(a_vcon()), headers=headers)
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
async def test_a_body_may_be_in_another_unicode_encoding(
    http: httpx.AsyncClient, encoding: str
) -> None:
    """As shells and editors of Windows write files, with a byte order mark or without."""
    vcon = a_vcon(subject="Grüße")
    text = json.dumps(vcon, ensure_ascii=False)
    answer = await http.post("/vcon", content=text.encode(encoding))
    assert answer.status_code == 201, answer.text
    assert answer.json() == vcon
    refused = await http.post("/vcon", content=text.encode("latin-1"))
    assert refused.status_code == 422
    assert "UTF-8" in refused.json()["detail"][0]["ctx"]["error"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("{", {"type": "json_invalid", "msg": "JSON decode error"}),
        ("", {"type": "json_invalid"}),
        ("[]", {"type": "model_attributes_type", "loc": ["body"]}),
        (json.dumps(json.dumps(a_vcon())), {"type": "model_attributes_type", "loc": ["body"]}),
        ("{}", {"type": "missing", "loc": ["body", "uuid"], "msg": "Field required"}),
        (
            json.dumps(a_vcon(dialog=[{"duration": -1}])),
            {"type": "value_error", "loc": ["body", "dialog", 0, "duration"]},
        ),
        (json.dumps(a_vcon()) + ',"more":1', {"type": "json_invalid"}),
    ],
)
async def test_a_vcon_that_is_not_valid_is_refused_as_pydantic_words_it(
    http: httpx.AsyncClient, served: Served, body: str, problem: dict[str, Any]
) -> None:
    """422 with `type`, `loc` and `msg`; nothing is stored."""
    answer = await http.post("/vcon?ingress_list=in", content=body)
    assert answer.status_code == 422, answer.text
    found = answer.json()["detail"][0]
    assert {name: found[name] for name in problem} == problem
    assert {"type", "loc", "msg"} <= found.keys()
    assert served.queued("in") == []
    assert served.client.keys("vcon:*") == []


async def test_a_list_without_a_chain_is_unknown(http: httpx.AsyncClient, served: Served) -> None:
    """404 with the lists that there are."""
    answer = await http.post("/vcon?ingress_lists=nope", json=a_vcon())
    assert answer.status_code == 404
    assert answer.json() == {"detail": "Unknown ingress list: nope; known: in, second"}
    assert served.client.keys("vcon:*") == []


@pytest.mark.parametrize("token", [None, "", "wrong", "the-token-of-the-http-ap\xef"])
async def test_without_the_token_only_open_paths_answer(served: Served, token: str | None) -> None:
    """403 with vcon-server's text, before anything else is judged."""
    async with served.http(None) as http:
        headers = {} if token is None else {"x-conserver-api-token": token.encode("latin-1")}
        for answer in (
            await http.post("/vcon", content="{", headers=headers),
            await http.get("/api/vcon/nope", headers=headers),
        ):
            assert answer.status_code == 403
            assert answer.json() == {"detail": "Invalid API Key"}
        for path in ("/health", "/api/health", "/version"):
            assert (await http.get(path, headers=headers)).status_code == 200


async def test_paths_and_methods_that_do_not_exist(http: httpx.AsyncClient) -> None:
    """404, 405 and a redirect, as FastAPI answers."""
    missing = await http.get("/nope")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})
    wrong = await http.put("/vcon")
    assert (wrong.status_code, wrong.json()) == (405, {"detail": "Method Not Allowed"})
    assert (await http.get("/health/")).headers["location"] == "/health"
    unknown = await http.get("/vcon/123e4567-e89b-12d3-a456-426614174000")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "vCon not found"})
    no_uuid = await http.get("/vcon/nope")
    assert no_uuid.status_code == 422
    problem = no_uuid.json()["detail"][0]
    assert (problem["type"], problem["loc"]) == ("uuid_parsing", ["path", "vcon_uuid"])


async def test_answers_carry_the_version_and_cors_headers(served: Served) -> None:
    """The version headers on every answer, those of CORS for browsers."""
    async with served.http(None) as http:
        answer = await http.get("/vcon/x", headers={"origin": "https://portal.example"})
        assert answer.headers["x-vcon-server-version"] == "dev"
        assert answer.headers["x-vcon-server-commit"] == "unknown"
        assert answer.headers["access-control-allow-credentials"] == "true"
        asked = {
            "origin": "https://portal.example",
            "access-control-request-method": "DELETE",
            "access-control-request-headers": "x-conserver-api-token",
        }
        allowed = await http.options("/api/vcon/x", headers=asked)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://portal.example"


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "1" + "0" * 30])
async def test_a_number_that_cannot_be_held_is_told_with_its_place(
    http: httpx.AsyncClient, number: str
) -> None:
    """The place is that in the body, as of every problem, not that in the fields of an action."""
    text = json.dumps(a_vcon(analysis=[{"type": "x", "score": 4711}])).replace("4711", number)
    refused = await http.post("/vcon", content=text)
    assert refused.status_code == 422
    [problem] = refused.json()["detail"]
    assert problem["loc"] == ["body", "analysis", 0, "score"]
    assert problem["msg"].startswith("Value error, not a finite number")
