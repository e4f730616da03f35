"""The requests that vcon-server's documents show, in each of their forms, unchanged."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from flowlang.connections.tls import web_trust
from tests.integration.http_api.http_scene import HEADER, TOKEN, Served
from tests.integration.http_api.page_examples import Answer, as_curl_sends, run_curl, run_node

HOST = "https://your-domain.com"
VCON = {
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
    "vcon": "0.0.1",
    "created_at": "2024-01-15T10:30:00Z",
    "parties": [],
}
LISTS = ["customer_data", "support_calls", "my_ingress"]
KEYS = {
    "customer_data": "customer-api-key-12345",
    "support_calls": ["support-api-key-67890", "support-client-2-key"],
}

CURL = {
    "one partner": (
        f"""curl -X POST "{HOST}/vcon/external-ingress?ingress_list=customer_data" \\
         -H "Content-Type: application/json" \\
         -H "x-conserver-api-token: customer-api-key-12345" \\
         -d '{json.dumps(VCON, indent=7)}'""",
        "customer_data",
    ),
    "the first of two partners": (
        f"""curl -X POST "{HOST}/vcon/external-ingress?ingress_list=support_calls" \\
         -H "x-conserver-api-token: support-api-key-67890" \\
         -d @vcon_data.json""",
        "support_calls",
    ),
    "the second of two partners": (
        f"""curl -X POST "{HOST}/vcon/external-ingress?ingress_list=support_calls" \\
         -H "x-conserver-api-token: support-client-2-key" \\
         -d @vcon_data.json""",
        "support_calls",
    ),
}
"""The second and third have no content type: curl then sends that of a form."""

NODE = """
const submit = async (vcon, list, key, base) => {
  const response = await fetch(`${base}/vcon/external-ingress?ingress_list=${list}`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json', 'x-conserver-api-token': key},
    body: JSON.stringify(vcon),
  });
  return response.status === 204
    ? {success: true}
    : {success: false, error: await response.json()};
};
for (const key of ['customer-api-key-12345', 'wrong']) {
  console.log(JSON.stringify(await submit(VCON, 'customer_data', key, 'HOST')));
}
"""
REFUSED = {"detail": "Invalid API Key for ingress list 'customer_data'"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The lists and keys of the examples; the vCon in a file."""
    (tmp_path / "vcon_data.json").write_text(json.dumps(VCON, indent=2))
    chains = {f"chain of {name}": {"ingress_lists": [name]} for name in LISTS}
    (path := tmp_path / "config.yml").write_text(
        json.dumps({"chains": chains, "ingress_auth": KEYS})
    )
    return path


def queued_in(served: Served, name: str) -> bool:
    """Whether the vCon is in this list and in no other."""
    found = {each: served.queued(each) for each in LISTS}
    return found == {each: [VCON["uuid"]] if each == name else [] for each in LISTS}


@pytest.mark.parametrize("by", ["as curl sends", "curl"])
@pytest.mark.parametrize("example", CURL)
async def test_a_partner_submits_with_curl(
    served: Served, tmp_path: Path, example: str, by: str
) -> None:
    """204 without a body, with a content type and without."""
    command, name = CURL[example]
    text = command.replace(HOST, served.url)
    if by == "as curl sends":
        async with httpx.AsyncClient(verify=web_trust()) as client:
            sent = await client.send(as_curl_sends(text, tmp_path))
        answer = Answer(sent.status_code, {}, sent.text)
    elif shutil.which("curl"):
        answer = await asyncio.to_thread(run_curl, text, tmp_path)
    else:
        pytest.skip("curl is not installed; the same commands are parsed and sent")
    assert (answer.status, answer.body) == (204, "")
    assert queued_in(served, name)


async def test_a_vcon_is_submitted_with_the_main_token(served: Served) -> None:
    """`ingress_list`, which vcon-server itself ignores, queues it as the document says."""
    head = {"Content-Type": "application/json", HEADER: TOKEN}
    async with httpx.AsyncClient(verify=web_trust()) as client:
        url = f"{served.url}/vcon?ingress_list=my_ingress"
        answer = await client.post(url, headers=head, content=json.dumps(VCON))
    assert (answer.status_code, answer.json()["uuid"]) == (201, VCON["uuid"])
    assert queued_in(served, "my_ingress")


def submit(vcon: Mapping[str, Any], name: str, key: str, base: str) -> dict[str, Any]:
    """As the document's example in Python."""
    headers = {"Content-Type": "application/json", "x-conserver-api-token": key}
    url = f"{base}/vcon/external-ingress"
    response = requests.post(
        url, json=vcon, headers=headers, params={"ingress_list": name}, timeout=60
    )
    if response.status_code == 204:
        return {"success": True}
    return {"success": False, "error": response.json()}


async def test_a_partner_submits_with_requests(served: Served) -> None:
    """In Python; a wrong key is told in the words of the document."""
    call = [VCON, "customer_data", KEYS["customer_data"], served.url]
    assert await asyncio.to_thread(submit, *call) == {"success": True}
    assert queued_in(served, "customer_data")
    call[2] = "wrong"
    assert await asyncio.to_thread(submit, *call) == {"success": False, "error": REFUSED}


async def test_a_partner_submits_with_fetch(served: Served, tmp_path: Path) -> None:
    """In Node, which must be installed for this test."""
    program = NODE.replace("HOST", served.url).replace("VCON", json.dumps(VCON))
    printed = await asyncio.to_thread(run_node, program, tmp_path)
    if printed is None:
        pytest.skip("node is not installed")
    results = [json.loads(line) for line in printed.splitlines()]
    assert results == [{"success": True}, {"success": False, "error": REFUSED}]
    assert queued_in(served, "customer_data")


async def test_a_vcon_without_a_uuid_is_told_in_todays_words(served: Served) -> None:
    """The document shows the words of Pydantic 1; vcon-server answers those of Pydantic 2."""
    async with httpx.AsyncClient(
        headers={HEADER: "customer-api-key-12345"}, verify=web_trust()
    ) as client:
        url = f"{served.url}/vcon/external-ingress?ingress_list=customer_data"
        answer = await client.post(url, json={key: VCON[key] for key in VCON if key != "uuid"})
    assert answer.status_code == 422
    problem = answer.json()["detail"][0]
    assert (problem["loc"], problem["msg"]) == (["body", "uuid"], "Field required")
    assert problem["type"] == "missing"
