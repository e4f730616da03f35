"""POST /vcon/external-ingress over real HTTP: keys, their texts, lists, pings, repetitions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from pipeline.ingest.key_cache import hashed
from schemas.ingress_key import Author, NewKey
from tests.integration.http_api.http_scene import CONFIG, HEADER, Served, Start
from tests.integration.support.pipeline_fixtures import a_vcon

KEY, PATH = "key-of-a-partner-1", "/vcon/external-ingress"
ADMIN = Author(actor="test")


@pytest.fixture
async def partner(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the key of the list `in`."""
    async with served.http(KEY) as client:
        yield client


async def push(client: httpx.AsyncClient, vcon: object, **sent: Any) -> httpx.Response:
    """The answer to a partner's vCon for the list `in`."""
    sent.setdefault("params", {"ingress_list": "in"})
    return await client.post(PATH, json=vcon, **sent)


async def test_a_partner_sends_to_its_list(partner: httpx.AsyncClient, served: Served) -> None:
    """204 without a body, with the prefix and without; new or known."""
    vcon = a_vcon()
    for path in (PATH, f"/api{PATH}"):
        answer = await partner.post(f"{path}?ingress_list=in", json=vcon)
        assert (answer.status_code, answer.content) == (204, b"")
    assert served.queued("in") == [vcon["uuid"]]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("ingress_lists=in", 204),
        ("ingress_list=in&ingress_lists=in", 204),
        ("ingress_lists=in&ingress_lists=second", 422),
        ("ingress_list=in&ingress_lists=second", 422),
        ("ingress_lists=in,second", 403),
        ("ingress_list=", 403),
        ("", 422),
    ],
)
async def test_one_list_is_named(
    partner: httpx.AsyncClient, served: Served, query: str, status: int
) -> None:
    """Under either name; several are refused, as is none."""
    answer = await partner.post(f"{PATH}?{query}", json=a_vcon())
    assert answer.status_code == status, answer.text
    assert len(served.queued("in")) == (status == 204)
    if not query:
        assert answer.json()["detail"] == [
            {
                "type": "missing",
                "loc": ["query", "ingress_list"],
                "msg": "Field required",
                "input": None,
            }
        ]


REFUSED = [
    ("in", None, "API Key required"),
    ("in", "", "API Key required"),
    ("nowhere", "", "API Key required"),
    ("in", "wrong", "Invalid API Key for ingress list 'in'"),
    ("in", "the-token-of-the-http-api", "Invalid API Key for ingress list 'in'"),
    ("second", KEY, "Ingress list 'second' not configured"),
    ("nowhere", "wrong", "Ingress list 'nowhere' not configured"),
    ("x" * 300, "wrong", f"Ingress list '{'x' * 200}' not configured"),
    ("pc:locks", "wrong", "Ingress list 'pc:locks' not configured"),
    ("empty", KEY, "Invalid configuration for ingress list 'empty'"),
]


@pytest.mark.parametrize("body", ["{", json.dumps(a_vcon()), '{"test": true}'])
async def test_a_refused_key_has_vcon_servers_text(start: Start, body: str) -> None:
    """Before the body is looked at; nothing is stored."""
    async with start(CONFIG + "  empty:\n") as served, served.http(None) as http:
        for name, key, text in REFUSED:
            headers = {} if key is None else {HEADER: key}
            params = {"ingress_list": name}
            answer = await http.post(PATH, params=params, content=body, headers=headers)
            assert (answer.status_code, answer.json()) == (403, {"detail": text})
        assert served.client.keys("vcon:*") == []


async def test_without_any_key_that_is_told(start: Start) -> None:
    """Until an action makes a key: it counts as one of the configuration."""
    without = "chains: {main: {ingress_lists: [in, second]}}\n"
    async with start(without) as served, served.http("wrong") as http:
        refused = await push(http, a_vcon())
        assert refused.json() == {"detail": "No ingress authentication configured"}
        new = NewKey(ingress_list="second", label="made by an action")
        await asyncio.to_thread(served.records.keys.create, new, hashed(KEY), ADMIN)
        served.pipeline.service.partners._refusals._asked = 0.0
        texts = {}
        for name in ("in", "second"):
            answer = await push(http, a_vcon(), params={"ingress_list": name})
            texts[name] = answer.json()["detail"]
        assert texts == {
            "in": "Ingress list 'in' not configured",
            "second": "Invalid API Key for ingress list 'second'",
        }
        accepted = await push(
            http, a_vcon(), params={"ingress_list": "second"}, headers={HEADER: KEY}
        )
        assert accepted.status_code == 204


async def test_wrong_keys_are_limited(start: Start) -> None:
    """429 with the seconds to wait instead of any of the texts of 403; a known key goes on."""
    async with start(failed_keys_per_minute=2) as served, served.http(KEY) as http:
        assert (await push(http, a_vcon())).status_code == 204
        for name in ("in", "nowhere"):
            params = {"ingress_list": name}
            answers = [
                await push(http, a_vcon(), params=params, headers={HEADER: key})
                for key in ("", "wrong", "wrong")
            ]
            assert [each.status_code for each in answers] == [403, 403, 429]
            assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert (await push(http, a_vcon())).status_code == 204


async def test_the_body_is_not_read_before_the_key(served: Served) -> None:
    """403 while the body is still on its way."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = f"POST {PATH}?ingress_list=in HTTP/1.1\r\nhost: x\r\n{HEADER}: wrong\r\n"
    writer.write(f"{head}content-length: 5000\r\n\r\n{{".encode())
    assert b" 403 " in await reader.readline()
    writer.close()


async def test_a_vcon_of_another_owner_is_refused(http: httpx.AsyncClient, served: Served) -> None:
    """409 for one that came in with the token; busy and invalid ones as at POST /vcon."""
    vcon = a_vcon()
    assert (await http.post("/vcon", json=vcon)).status_code == 201
    async with served.http(KEY) as partner:
        assert (await push(partner, vcon)).status_code == 409
        assert (await push(partner, {})).status_code == 422
        mine = a_vcon()
        assert (await push(partner, mine)).status_code == 204
        served.client.hset("pc:locks", mine["uuid"], "a run")
        busy = await push(partner, mine | {"subject": "x"})
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")


async def test_keys_of_requests_are_a_partners_own(
    partner: httpx.AsyncClient, http: httpx.AsyncClient, served: Served
) -> None:
    """Repeated: 204 and no work; other content: 422; the token's keys are others."""
    vcon, key = a_vcon(), {"idempotency-key": "delivery 1"}
    answers = [await push(partner, each, headers=key) for each in (vcon, vcon, a_vcon())]
    assert [each.status_code for each in answers] == [204, 204, 422]
    assert "Idempotency-Key" in answers[-1].text
    assert (await http.post("/vcon", json=a_vcon(), headers=key)).status_code == 201
    assert served.queued("in") == [vcon["uuid"]]


async def test_a_key_may_have_any_letters(start: Start) -> None:
    """As UTF-8, which clients send, or as Latin-1, which others send."""
    key = "schlüssel-des-partners"
    async with start(CONFIG.replace(KEY, key)) as served, served.http(None) as http:
        for encoding in ("utf-8", "latin-1"):
            answer = await push(http, a_vcon(), headers={HEADER: key.encode(encoding)})
            assert answer.status_code == 204, answer.text


async def test_any_list_if_the_setting_says_so(start: Start) -> None:
    """A key opens a list that no chain reads; without the setting the partner comes again."""
    key = f"another-{KEY}"
    text = f"{CONFIG}  unread: {key}\n"
    for is_any, status in ((True, 204), (False, 503)):
        async with start(text, api_any_list=is_any) as served, served.http(key) as http:
            answer = await push(http, a_vcon(), params={"ingress_list": "unread"})
            assert answer.status_code == status
            assert len(served.queued("unread")) == 1


async def test_a_list_of_a_disabled_chain_takes_vcons_in(start: Start) -> None:
    """From partners and with the token of the API, without `api_any_list`; they wait there."""
    text = (
        "chains: {stopped: {ingress_lists: [waits], enabled: 0}}\n"
        + f"ingress_auth: {{waits: {KEY}}}"
    )
    async with start(text) as served, served.http(KEY) as partner, served.http() as http:
        answer = await push(partner, a_vcon(), params={"ingress_list": "waits"})
        assert answer.status_code == 204, answer.text
        for lists, status in (("waits", 201), ("nowhere", 404)):
            answer = await http.post("/vcon", params={"ingress_lists": lists}, json=a_vcon())
            assert answer.status_code == status, answer.text
        stored = (await http.get(f"/vcon/{served.queued('waits')[0]}")).json()
        answer = await http.post("/vcon/ingress?ingress_list=waits", json=[stored["uuid"]])
        assert answer.status_code == 204, answer.text
        assert len(served.queued("waits")) == 3
