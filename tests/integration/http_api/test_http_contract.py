"""Every answer of vcon-server, letter for letter, and those that differ, with the reason."""

from __future__ import annotations

from pathlib import Path

import httpx
import orjson
import pytest

from http_api.routes import ROUTES
from http_api.routing import Access
from tests.integration.http_api.contract import ANY, KNOWN, ROWS, UNKNOWN, VCON, Row
from tests.integration.http_api.http_scene import HEADER, TOKEN, Served

PARTNER = "key-of-a-partner-1"
SENT = {"token": {HEADER: TOKEN}, "partner": {HEADER: PARTNER}, "wrong": {HEADER: "x"}, "none": {}}


TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "http-api.md"
TESTED = {
    "no token configured": "test_what_is_wrong_is_told_and_nothing_starts",
    "content type": "test_a_body_is_json_whatever_its_content_type",
    "list of `POST /vcon`": "test_lists_are_named_in_every_form",
    "a misspelt `ingress...` parameter": "test_a_misspelt_name_of_the_lists_is_told",
    "the same vCon again": "test_each_sender_delivers",
    "a vCon that a run works on": "test_every_refusal_says_when_to_come_again",
    "a full list, a lack of memory": "test_every_refusal_says_when_to_come_again",
    "sizes, times, rates": "test_a_length_above_the_limit_is_refused_unread",
    "`Content-Encoding`": "test_packed_bodies_are_unpacked",
    "`Idempotency-Key`, `X-Hub-Signature-256`": "test_the_bytes_as_received_are_signed",
    '`{"test": true}`': "test_the_test_of_an_address_is_healthy",
    "`GET /vcon/{vcon_uuid}`": "test_a_storage_that_fails_is_passed_over",
    "`GET /vcon/egress`": "test_egress_with_leases",
    "`DELETE /vcon/{vcon_uuid}`": "test_a_deletion_that_is_not_complete",
    "`POST /dlq/reprocess`": "test_dead_letters",
    "`GET /index_vcons`": "test_index_again",
    "500": "test_an_application_that_fails_is_answered_for",
    "`/docs`, `/redoc`": "test_a_page_loads_from_this_host_only",
    "OpenAPI document": "test_every_route_is_described",
}
"""The tests of differences that one request does not show, by the subject on the page."""


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
        changed = True
        for row in ROWS:
            if changed:
                await arranged(served, http)
            changed = not (row.request.startswith("GET") and "egress" not in row.request)
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


def subjects() -> set[str]:
    """The first cells of the table "What differs" of the page."""
    table = PAGE.read_text().partition("## What differs")[2].partition("\n## ")[0]
    return {line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[6:]}


def test_every_difference_is_on_the_page() -> None:
    """With its reason there; and each on the page has rows here, or a test of its own."""
    named = {row.differs for row in ROWS if row.differs}
    assert named - subjects() == set()
    assert subjects() - named - TESTED.keys() == set()
    assert named & TESTED.keys() == set()


def test_every_difference_without_rows_has_its_test() -> None:
    """The tests that are named exist."""
    text = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    assert [name for name in TESTED.values() if f"def {name}(" not in text] == []


def test_every_difference_says_what_vcon_server_answers() -> None:
    """A reader of the table sees both answers."""
    assert [row.request for row in ROWS if row.there and not row.differs] == []
