"""Clients on Node's `fetch`, and what a browser asks before it shows an answer to a page."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.http_api.http_scene import HEADER, TOKEN, Served
from tests.integration.support.missing import missing
from tests.integration.support.pipeline_fixtures import a_vcon

SCRIPT = Path(__file__).with_name("fetching.mjs")
PARTNER = "key-of-a-partner-1"
PORTAL = "https://portal.example"


async def fetched(client: str, served: Served, vcon: dict[str, Any], **changes: str) -> Any:
    """What one of the clients in the script makes of its requests."""
    node = shutil.which("node") or missing("there is no Node here, which clients are written for")
    request = {"client": client, "url": served.url, "token": TOKEN, "list": "in", "vcon": vcon}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(node, SCRIPT, stdin=pipe, stdout=pipe)
    output, _ = await process.communicate(json.dumps(request | changes).encode())
    return json.loads(output)


@pytest.mark.parametrize("client", ["meet", "proxy", "stream"])
async def test_a_client_on_fetch_delivers_at_once(client: str, served: Served) -> None:
    """By its own measure, without a second try; what it reads is the vCon."""
    vcon = a_vcon(subject="Grüße")
    outcome = await fetched(client, served, vcon)
    assert (outcome["end"], outcome["statuses"], outcome["waits"]) == ("delivered", [201], [])
    assert json.loads(outcome["text"])["uuid"] == vcon["uuid"]
    assert outcome.get("healthy", True)
    assert served.queued("in") == [vcon["uuid"]]


async def test_a_refusal_is_final_for_a_client_on_fetch(served: Served) -> None:
    """A wrong token, and a vCon that is not valid: one request each."""
    for token, vcon, status in (("another", a_vcon(), 403), (TOKEN, {}, 422)):
        for client in ("meet", "proxy"):
            outcome = await fetched(client, served, vcon, token=token)
            assert (outcome["end"], outcome["statuses"]) == ("failed", [status])


async def test_a_partner_on_fetch_is_told_by_204(served: Served) -> None:
    """No body then; otherwise it reads the body as JSON."""
    for key, vcon, status in (
        (PARTNER, a_vcon(), {"end": "delivered", "body": ""}),
        ("x", {}, {"body": {"detail": "Invalid API Key for ingress list 'in'"}}),
        (PARTNER, {}, {"end": "failed"}),
    ):
        outcome = await fetched("partner", served, vcon, token=key)
        assert outcome == outcome | status
    assert len(served.queued("in")) == 1


async def test_a_page_of_another_origin_reads_a_vcon(served: Served) -> None:
    """A portal's request with the token's header: the browser asks first, and lets it read."""
    asked = {
        "Origin": PORTAL,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": HEADER,
    }
    vcon = a_vcon()
    async with served.http(None) as browser:
        await browser.post("/vcon", json=vcon, headers={HEADER: TOKEN})
        before = await browser.options(f"/vcon/{vcon['uuid']}", headers=asked)
        assert before.status_code == 200
        assert before.headers["access-control-allow-origin"] in ("*", PORTAL)
        assert HEADER in before.headers["access-control-allow-headers"].lower()
        own = {"Origin": PORTAL, HEADER: TOKEN}
        answer = await browser.get(f"/vcon/{vcon['uuid']}", headers=own)
        assert answer.json() == vcon
        assert answer.headers["access-control-allow-origin"] in ("*", PORTAL)
        cookie = {**own, "Cookie": "session=1"}
        with_cookie = await browser.get(f"/vcon/{vcon['uuid']}", headers=cookie)
        assert with_cookie.headers["access-control-allow-origin"] == PORTAL
        assert with_cookie.headers["access-control-allow-credentials"] == "true"


async def test_a_page_reads_the_reason_of_a_refusal(served: Served) -> None:
    """Errors have the headers as well, or a browser hides them from the page."""
    async with served.http(None) as browser:
        for path in ("/vcon/x", "/nope"):
            answer = await browser.get(path, headers={"Origin": PORTAL, HEADER: TOKEN})
            assert answer.status_code in (422, 404)
            assert answer.headers["access-control-allow-origin"] in ("*", PORTAL)
