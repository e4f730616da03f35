"""`analyze_vcon`, with OpenAI's own library and a server with OpenAI's rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lib.ai import chat as lib_chat
from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import KEY, after, judging
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors.openai import CHAT, chat
from tests.integration.support.vendors_scene import INLINE, transcribed, written
from tests.plugins.scene import Later

link = Later("links.analyze_vcon")
KIND = "json_analysis"


def sent(vendors: StandIn) -> str:
    """The text that the model was asked with."""
    [asked] = vendors.asked(CHAT)
    return str(asked["messages"][1]["content"])


async def test_the_vcon_is_sent_without_bodies(store: VconStore, vendors: StandIn) -> None:
    """The analysis is for dialog 0, and has the model's object and no key."""
    document = transcribed(INLINE)
    found = await after(link, store, document, judging(vendors, prompt="What? As JSON."))
    prompt, _, text = sent(vendors).partition("\n\n")
    assert prompt == "What? As JSON."
    told = json.loads(text)
    assert told["uuid"] == document["uuid"]
    assert "body" not in told["dialog"][0]
    assert told["analysis"][0]["body"] == document["analysis"][0]["body"]
    [entry] = written(found, KIND)
    assert (entry["dialog"], json.loads(entry["body"])) == (0, {"topic": "bike"})
    assert entry["vendor_schema"].keys() == {"model", "prompt", "system_prompt"}
    assert found["dialog"] == document["dialog"]
    assert KEY not in json.dumps(found)


async def test_bodies_are_sent_where_the_option_says_so(store: VconStore, vendors: StandIn) -> None:
    """The vCon is sent as it is."""
    document = transcribed(INLINE)
    await after(link, store, document, judging(vendors, remove_body_properties=False))
    assert document["dialog"][0]["body"] in sent(vendors)


@pytest.mark.parametrize(
    "system", ['Judge "all"\nof it', "Judge \u00e4ll of it", "a", "dialog", "JSON", '":"']
)
async def test_a_system_prompt_in_the_vcon_is_not_repeated(
    store: VconStore, vendors: StandIn, system: str
) -> None:
    """As a former analysis with another type has it; vcon-server fails with such a vCon."""
    document = transcribed()
    document["analysis"].append({"type": "x", "vendor_schema": {"system_prompt": system}})
    await after(link, store, document, judging(vendors, system_prompt=system))
    told = json.loads(sent(vendors).partition("\n\n")[2])
    assert told["analysis"][1]["vendor_schema"] == {"system_prompt": ""}
    document["analysis"].pop()
    assert told["parties"] == document["parties"]
    assert told["analysis"][0] == document["analysis"][0]


@pytest.mark.parametrize("prompts", [{"prompt": "Judge.", "system_prompt": ""}])
async def test_prompts_without_the_word_that_openai_demands(
    store: VconStore, vendors: StandIn, prompts: dict[str, Any]
) -> None:
    """It is added; the vCon is asked for once."""
    found = await after(link, store, transcribed(), judging(vendors, **prompts))
    assert len(written(found, KIND)) == 1


@pytest.mark.parametrize("dialog", [None, [], [7, {"body": "x"}], "text"])
async def test_vcons_of_every_shape(store: VconStore, vendors: StandIn, dialog: Any) -> None:
    """Without dialogs, or with entries that are no objects."""
    document = transcribed() | {"dialog": dialog}
    await store.put(document)
    assert await link.run(document["uuid"], "a_link", judging(vendors)) == document["uuid"]
    assert '"body":"x"' not in sent(vendors)


async def test_an_answer_without_json_is_an_error(store: VconStore, vendors: StandIn) -> None:
    """And nothing is written."""
    options, document = judging(vendors), transcribed()
    vendors.replies[CHAT] = chat("I cannot.")
    await store.put(document)
    with pytest.raises(VendorError, match="without a JSON object"):
        await link.run(document["uuid"], "a_link", options)


async def test_a_vcon_that_openai_would_refuse_is_not_sent(
    store: VconStore, vendors: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says how large it is, and what to do."""
    monkeypatch.setattr(lib_chat, "MOST_CHARACTERS", 100)
    document = transcribed()
    await store.put(document)
    with pytest.raises(ValueError, match=r"has \d+ characters, more than the 100 .* remove media"):
        await link.run(document["uuid"], "a_link", judging(vendors))
    assert vendors.got == []
