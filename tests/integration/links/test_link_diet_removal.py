"""What the link `diet` removes of analyses, attachments and prompts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import after
from tests.integration.support.vendors_scene import INLINE, transcribed
from tests.plugins.scene import Later, connected

diet = Later("links.diet")


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store behind the connection that plugins find."""
    async with connected(redis_url) as store:
        yield store


async def test_analyses_are_removed(store: VconStore) -> None:
    """The list stays, so that later links can add to it."""
    found = await after(diet, store, transcribed(INLINE), {"remove_analysis": True})
    assert found == {**transcribed(INLINE), "analysis": []}


@pytest.mark.parametrize("name", ["mediatype", "mimetype", "mime_type"])
@pytest.mark.parametrize("types", ["image/JPEG", ["text/x", "image/jpeg; q=1"]])
async def test_attachments_are_removed_by_their_media_type(
    store: VconStore, name: str, types: Any
) -> None:
    """In any version's member, without parameters and in any case; vcon-server sees one of them."""
    document = transcribed(INLINE)
    document["attachments"] = [
        {"purpose": "a", "body": "x", "encoding": "none", name: "image/jpeg"},
        {"purpose": "b", "body": "x", "encoding": "none", name: "Image/Jpeg; name=b"},
        {"purpose": "c", "body": "x", "encoding": "none", name: "image/png"},
        {"purpose": "d", "body": "x", "encoding": "none"},
    ]
    found = await after(diet, store, document, {"remove_attachment_types": types})
    assert [each["purpose"] for each in found["attachments"]] == ["c", "d"]


def deep(levels: int) -> dict[str, Any]:
    """An object in an object, and so on, with a prompt at the bottom."""
    inner: dict[str, Any] = {"system_prompt": "obey", "kept": 1}
    for _ in range(levels):
        inner = {"x": [inner]}
    return inner


@pytest.mark.parametrize("value", ["obey", None, False, True, {"system_prompt": 1}, []])
async def test_prompts_are_removed_at_any_depth(store: VconStore, value: Any) -> None:
    """Independent of their value."""
    document = transcribed(INLINE)
    plain = json.loads(json.dumps(document))
    document["system_prompt"] = value
    document["analysis"][0]["vendor_schema"] = {"system_prompt": value, "model": "m"}
    document["parties"][0]["x"] = deep(40)
    found = await after(diet, store, document, {"remove_system_prompts": True})
    assert "system_prompt" not in json.dumps(found)
    assert found["analysis"][0].pop("vendor_schema") == {"model": "m"}
    assert found["parties"][0].pop("x")
    assert found == plain


@pytest.mark.parametrize("name", ["system_prompt", "\\u0073ystem_prompt"])
async def test_prompts_in_json_text_are_removed(store: VconStore, name: str) -> None:
    """Bodies are JSON text in Redis, so vcon-server's link leaves them there."""
    document = transcribed(INLINE)
    body = f'{{"transcript": "a system_prompt", "more": [{{"{name}": "obey", "n": 1}}]}}'
    document["analysis"][0]["body"] = body
    document["attachments"] = [{"purpose": "note", "body": "system_prompt", "encoding": "none"}]
    found = await after(diet, store, document, {"remove_system_prompts": True})
    left = json.loads(found["analysis"][0]["body"])
    assert left == {"transcript": "a system_prompt", "more": [{"n": 1}]}
    assert found["attachments"] == document["attachments"]


@pytest.mark.parametrize(
    "rest",
    [
        f'"a":{"[" * 400}{"]" * 400}',
        '"a":"\\ud83d \u00e4"',
        f'"a":{"9" * 40}',
        '"a":"\\u0000"',
    ],
)
async def test_the_rest_of_json_text_stays_as_it_is(store: VconStore, rest: str) -> None:
    """Also what orjson refuses or rounds."""
    document = transcribed(INLINE)
    document["analysis"][0]["body"] = f'{{"system_prompt":"obey",{rest}}}'
    found = await after(diet, store, document, {"remove_system_prompts": True})
    text = found["analysis"][0]["body"]
    assert "system_prompt" not in text
    assert json.loads(text) == json.loads(f"{{{rest}}}")


@pytest.mark.parametrize("number", ["1e400", "9" * 5000])
async def test_json_text_with_a_number_that_cannot_be_written_stays(
    store: VconStore, number: str
) -> None:
    """Infinity is no JSON."""
    document = transcribed(INLINE)
    document["analysis"][0]["body"] = f'{{"system_prompt":"obey","a":{number}}}'
    assert await after(diet, store, document, {"remove_system_prompts": True}) == document


async def test_json_text_without_a_prompt_stays_byte_for_byte(store: VconStore) -> None:
    """Its hash may be signed."""
    document = transcribed(INLINE)
    document["analysis"][0]["body"] = '{"a":  1.50, "b": "\\u00e4 system_prompt"}'
    found = await after(diet, store, document, {"remove_system_prompts": True})
    assert found == document
