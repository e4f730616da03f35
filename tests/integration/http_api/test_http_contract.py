"""Every answer of vcon-server, letter for letter, and those that differ, with the reason."""

from __future__ import annotations

import httpx
import orjson
import pytest

from http_api.routes import ROUTES
from http_api.routing import Access
from tests.integration.http_api.contract import ANY, KNOWN, ROWS, UNKNOWN, VCON, Row
from tests.integration.http_api.http_scene import HEADER, TOKEN, Served

PARTNER = "key-of-a-partner-1"
SENT = {"token": {HEADER: TOKEN}, "partner": {HEADER: PARTNER}, "wrong": {HEADER: "x"}, "none": {}}


async def arranged(served: Served, http: httpx.AsyncClient) -> None:
    """One vCon that is stored, and done: it is in the egress list alone."""
    for name in (KNOWN, UNKNOWN):
        await http.delete(f"/vcon/{name}", headers=SENT["token"])
    await http.post("/vcon", json=VCON, headers=SENT["token"])
    served.client.delete("in", "second", "out")
    served.client.rpush("out", KNOWN)


def complaint(row: Row, answer: httpx.Response) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if answer.status_code != row.status:
        return f"{answer.status_code} {answer.text}"
    wanted = {"x-vcon-server-version": "dev", "x-vcon-server-commit": "unknown"}
    if row.body != b"":
        wanted["content-type"] = "application/json"
    for name, value in (wanted | dict(row.headers)).items():
        if answer.headers.get(name) != value:
            return f"{name}: {answer.headers.get(name)}"
    if row.body is ANY:
        return ""
    body = answer.content if isinstance(row.body, bytes) else orjson.loads(answer.content)
    return "" if body == row.body else f"{answer.text}\n  instead of {row.body}"


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_every_answer_is_that_of_vcon_server(served: Served, prefix: str) -> None:
    """Status, body, and headers of each row, with the prefix and without."""
    found = {}
    async with served.http(None) as http:
        for row in ROWS:
            await arranged(served, http)
            method, path = row.request.split(" ", 1)
            content = None if row.sent is None else row.sent.encode()
            answer = await http.request(
                method, prefix + path, content=content, headers=SENT[row.who]
            )
            if problem := complaint(row, answer):
                found[f"{row.request} {row.sent or ''} ({row.who})"] = problem
    assert not found, "\n".join(f"{name}: {text}" for name, text in found.items())


async def test_every_route_needs_what_it_needs(served: Served) -> None:
    """403 in vcon-server's words without the token; the open ones answer."""
    async with served.http(None) as http:
        for route in ROUTES:
            path = route.path.replace("{vcon_uuid}", KNOWN).replace("{name}", "x")
            for headers in (SENT["none"], SENT["wrong"], SENT["partner"]):
                answer = await http.request(route.method, path, headers=headers)
                if route.access is Access.TOKEN:
                    refused = (answer.status_code, answer.json())
                    assert refused == (403, {"detail": "Invalid API Key"}), route.path
                if route.access is Access.OPEN:
                    assert answer.status_code != 403, route.path


def test_every_route_has_rows() -> None:
    """A route of the table that no row asks for is not covered."""
    asked = [row.request.replace(KNOWN, "{vcon_uuid}").partition("?")[0] for row in ROWS]
    own = {"GET /docs/{name}", "POST /vcon/egress/ack"}  # vcon-server has neither
    assert {f"{each.method} {each.path}" for each in ROUTES} - {*asked, *own} == set()


def test_every_difference_says_what_vcon_server_answers() -> None:
    """A reader of the table sees both answers."""
    assert [row.request for row in ROWS if row.there and not row.differs] == []
