"""What another program lays over a verified document reaches no chain that demands signatures.

What links of this service have made of the verified document does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from lib.vcon_redis import VconRedis
from pipeline.config.law import Law, Trust
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import both, configured, link
from tests.integration.vcon.test_opened import envelope, pinned, put, sealed
from tests.signed_vcons import UUID

SEEN: list[dict[str, Any]] = []


def look(vcon_uuid: str, _name: str, _options: Any) -> str:
    """A link that remembers what it got."""
    document = VconRedis().get_vcon(vcon_uuid)
    assert document is not None
    SEEN.append(document.to_dict())
    return vcon_uuid


def note(vcon_uuid: str, name: str, options: Any) -> str:
    """A link that adds an analysis."""
    redis = VconRedis()
    document = redis.get_vcon(vcon_uuid)
    assert document is not None
    body = name + "x" * options["length"]
    document.add_analysis(type="note", dialog=0, vendor="x", body=body, encoding="none")
    redis.store_vcon(document)
    return vcon_uuid


@pytest.fixture(params=[10, 300_000], ids=["small", "large"])
async def ops(redis_url: str, request: Any) -> AsyncIterator[Operations]:
    """Chains that demand signatures, of which one changes the vCon, and one that demands none."""
    SEEN.clear()
    length = {"length": request.param}
    chains = configured(links=[link(note, "note", options=length)], verify="required")
    key = pinned().as_law_key()
    for name, links, how in (
        ("keys", [link(look, "look")], {"verify": "required", "decrypt_with": (key,)}),
        ("free", [link(note, "again", options=length)], {}),
    ):
        more = configured(name=name, links=links, ingress=(name,), egress=(), **how)
        chains = both(chains, more)
    config = replace(chains.config, law=Law(trust=Trust(pinned=(pinned().digest,))))
    async with operations(redis_url) as opened:
        opened.configure(Configuration(config, chains.plugins))
        yield opened


def lay(ops: Operations, document: dict[str, Any], *, as_text: bool = False) -> None:
    """Write a document as a program does that knows only `vcon:` keys."""
    text = orjson.dumps(document)
    if as_text:
        ops.client.set(keys.vcon(UUID), text)
    else:
        ops.client.execute_command("JSON.SET", keys.vcon(UUID), "$", text)


def here(ops: Operations) -> dict[str, Any]:
    """The document in Redis."""
    found: dict[str, Any] = orjson.loads(ops.client.execute_command("JSON.GET", keys.vcon(UUID)))
    return found


async def refused(ops: Operations, name: str) -> None:
    """The run of this list ends as a dead letter that says why; no link sees the vCon."""
    assert {each.status for each in await ops.work()} == {"failed"}
    [letter] = (await ops.operations.dead_letters(name, None, 10, None)).entries
    assert "another program has changed" in str(letter.error)
    assert SEEN == []


@pytest.mark.parametrize("how", ["another", "added", "text"])
async def test_a_document_laid_over_the_verified_one_is_refused(ops: Operations, how: str) -> None:
    """Before the first run: another one, one with an addition, one as a string."""
    await ops.take(envelope(), "keys")
    document = here(ops)
    if how == "added":
        document["attachments"] = [{"purpose": "tags", "encoding": "json", "body": "[]"}]
    else:
        document["parties"] = [{"name": "Mallory"}]
    lay(ops, document, as_text=how == "text")
    await refused(ops, "keys")


@pytest.mark.parametrize("form", ["open", "encrypted"])
@pytest.mark.parametrize("door", ["ingest", "list"])
async def test_what_links_have_changed_goes_on(ops: Operations, door: str, form: str) -> None:
    """In a chain that demands, and in one that does not."""
    given, first = (envelope(), "in") if form == "open" else (sealed(envelope()), "keys")
    if door == "ingest":
        await ops.take(given, first)
    else:
        put(ops, given, first)
    for name in ("in", "free", "keys"):
        assert {each.status for each in await ops.work()} == {"done"}
        ops.client.rpush(name, UUID)
    assert {each.status for each in await ops.work()} == {"done"}
    by = {each["body"] for each in SEEN[-1]["analysis"]}
    assert len(by) == len(("in", "free"))


@pytest.mark.parametrize("between", [[], ["free"]])
async def test_one_laid_over_what_links_have_changed_is_refused(
    ops: Operations, between: list[str]
) -> None:
    """Also if a chain that demands nothing has worked on it afterwards."""
    await ops.take(envelope(), "in")
    await ops.work()
    document = here(ops)
    document["parties"][0]["name"] = "Mallory"
    document["dialog"] = []
    lay(ops, document)
    for name in between:
        ops.client.rpush(name, UUID)
        assert {each.status for each in await ops.work()} == {"done"}
    ops.client.rpush("keys", UUID)
    await refused(ops, "keys")


async def test_the_same_content_laid_over_it_changes_nothing(ops: Operations) -> None:
    """A program that writes what it has read."""
    await ops.take(envelope(), "keys")
    lay(ops, here(ops))
    assert {each.status for each in await ops.work()} == {"done"}
    assert len(SEEN) == 1
