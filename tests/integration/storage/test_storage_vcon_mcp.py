"""The storage at vCon-MCP, against its rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from storage import vcon_mcp
from tests.integration.support.vendors.vcon_mcp import (
    BASE,
    KEY,
    READ_ONLY,
    VconMcpStandIn,
)
from tests.integration.support.vendors.vcon_mcp import vcon_mcp as stand_in
from tests.integration.support.vendors_scene import transcribed
from tests.plugins.scene import canonical, sample_names

VCON = canonical("tags-as-json-text-0.4.0")
UUID = VCON["uuid"]
OTHER = "00000000-0000-8000-8000-000000000000"


@pytest.fixture(params=[True, False], ids=["1.2 and later", "before 1.2"])
def either(request: pytest.FixtureRequest) -> Iterator[VconMcpStandIn]:
    """A server that replaces vCons, and one that refuses to."""
    with stand_in(upserts=request.param) as server:
        yield server


@pytest.fixture
def server() -> Iterator[VconMcpStandIn]:
    """A server of today."""
    with stand_in() as server:
        yield server


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


async def test_a_repeated_save_leaves_one_vcon(either: VconMcpStandIn, store: VconStore) -> None:
    """With the last content, and nothing of what it had before."""
    for document in (VCON, transcribed() | {"uuid": UUID}, VCON | {"subject": "fewer parts"}, VCON):
        await store.put(document)
        await vcon_mcp.save(UUID, either.options)
        assert either.vcons == {UUID: document}
        assert await vcon_mcp.get(UUID, either.options) == document


async def test_leftovers_may_be_left(server: VconMcpStandIn, store: VconStore) -> None:
    """Then a save is one request."""
    await store.put(transcribed() | {"uuid": UUID})
    await vcon_mcp.save(UUID, server.options)
    await store.put(VCON)
    server.methods.clear()
    await vcon_mcp.save(UUID, server.options | {"remove_leftovers": False})
    assert server.methods == ["POST"]
    assert len(server.vcons[UUID]["analysis"]) == 1


async def test_an_invalid_newer_vcon_leaves_the_older(
    either: VconMcpStandIn, store: VconStore
) -> None:
    """It is refused before anything is deleted; the error says why."""
    await vcon_mcp.save(UUID, either.options)
    await store.put(VCON | {"parties": []})
    with pytest.raises(VendorError, match="answered 400: vCon must have at least one party"):
        await vcon_mcp.save(UUID, either.options)
    assert either.vcons == {UUID: VCON}
    assert "DELETE" not in either.methods


async def test_every_sample_that_it_takes_comes_back(
    server: VconMcpStandIn, store: VconStore
) -> None:
    """Equal; the others are refused by its rules, with a word on each."""
    refused = {}
    for document in map(canonical, sample_names()):
        await store.put(document)
        try:
            await vcon_mcp.save(document["uuid"], server.options)
        except VendorError as error:
            refused[document["uuid"]] = str(error)
        else:
            assert await vcon_mcp.get(document["uuid"], server.options) == document
    assert len(refused) < len(sample_names()) / 2
    assert all("answered 400: " in text for text in refused.values())


async def test_delete_and_get_say_whether_there_was_anything(server: VconMcpStandIn) -> None:
    """True once, then False; a vCon, then None."""
    await vcon_mcp.save(UUID, server.options)
    assert [await vcon_mcp.delete(UUID, server.options) for _ in range(2)] == [True, False]
    assert await vcon_mcp.get(UUID, server.options) is None


@pytest.mark.parametrize(
    "fault", ["500", "503 Retry-After: 0", "429 Retry-After: 0", "drop", "cut"]
)
async def test_what_may_pass_is_sent_again(server: VconMcpStandIn, fault: str) -> None:
    """Also an answer that was lost after the vCon was stored: it is there once."""
    server.answers = [fault]
    await vcon_mcp.save(UUID, server.options)
    server.answers = [fault]
    assert await vcon_mcp.get(UUID, server.options) == VCON
    assert list(server.vcons) == [UUID]


async def test_an_outage_is_not_an_absence(server: VconMcpStandIn) -> None:
    """Where the reader would go on without the vCon."""
    server.answers = ["503"] * 4
    with pytest.raises(VendorError, match="vCon-MCP answered 503") as caught:
        await vcon_mcp.get(UUID, server.options)
    assert caught.value.peer_failed is True


@pytest.mark.parametrize(
    ("key", "status"), [(READ_ONLY, 403), ("", 401), ("another", 401)], ids=["read", "none", "bad"]
)
async def test_a_key_that_may_not_write(server: VconMcpStandIn, key: str, status: int) -> None:
    """One attempt, and an error without the key."""
    with pytest.raises(VendorError, match=rf"^vCon-MCP answered {status}$") as caught:
        await vcon_mcp.save(UUID, server.options | {"api_key": key})
    assert caught.value.peer_failed is False
    assert len(server.got) == 1


async def test_a_key_in_a_header_of_its_own() -> None:
    """As `API_KEY_HEADER` of the server says."""
    with stand_in(header="x-api-key") as server:
        await vcon_mcp.save(UUID, server.options | {"api_key_header": "X-API-Key"})
        assert {headers["x-api-key"] for _, headers, _ in server.got} == {KEY}
        assert {path for path, _, _ in server.got} == {f"{BASE}/vcons", f"{BASE}/vcons/{UUID}"}


async def test_another_vcon_is_none(server: VconMcpStandIn) -> None:
    """An answer with a wrong uuid, or with a vCon that has no envelope."""
    path = f"{BASE}/vcons/{UUID}"
    for body, found in (
        ({"success": True, "vcon": VCON | {"uuid": OTHER}}, None),
        (VCON, VCON),
    ):
        server.vcons[UUID] = VCON
        server.reply_to = lambda _, body=body: json.dumps(body).encode()  # type: ignore[method-assign]
        assert await vcon_mcp.get(UUID, server.options) == found
        assert server.got[-1][0] == path


@pytest.mark.parametrize(
    "body", ["", "null", "{}", "[]", '{"success": false}', f"[{{}}, {UUID!r}]"]
)
async def test_an_answer_of_another_server(server: VconMcpStandIn, body: str) -> None:
    """200 of a proxy or a wrong path is neither a saved vCon, nor a deleted one, nor an absence."""
    server.reply_to = lambda _: body.encode()  # type: ignore[method-assign]
    for call in (vcon_mcp.save, vcon_mcp.get, vcon_mcp.delete):
        with pytest.raises(VendorError):
            await call(UUID, server.options | {"transient_retries": 0})


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "mcp.example.com"},
        {"base_url": "https://me:secret@mcp.example.com"},
        {"base_url": "https://mcp.example.com?a=1"},
        {"timeout": 0},
        {"transient_retries": -1},
    ],
)
def test_wrong_options(wrong: dict[str, Any]) -> None:
    """Each is named, without its value."""
    [name] = wrong
    with pytest.raises(ValueError, match=name) as caught:
        vcon_mcp.Options.of(wrong)
    assert "secret" not in str(caught.value)
