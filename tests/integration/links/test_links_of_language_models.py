"""The links that ask a language model, with a server in its place."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    CHAT,
    KEY,
    after,
    now,
    summing_up,
    tagging,
)
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors.openai import chat
from tests.integration.support.vendors_scene import HEARD, QUICK, transcribed, written
from tests.plugins.scene import Later, tags

analyze, check_and_tag = Later("links.analyze"), Later("links.check_and_tag")


async def test_analyze_asks_with_the_transcript_and_keeps_the_answer(
    store: VconStore, vendors: StandIn
) -> None:
    """Prompt, text and model go out as OpenAI takes them; prompt and model are kept, no key."""
    found = await after(analyze, store, transcribed(), summing_up(vendors))
    [(path, headers, body)] = vendors.got
    assert (path, headers["authorization"]) == (CHAT, f"Bearer {KEY}")
    assert json.loads(body) == {
        "model": "gpt-4",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": f"Summarize this transcript...\n\n{HEARD}"},
        ],
    }
    assert written(found, "summary") == [
        {
            "type": "summary",
            "dialog": 0,
            "vendor": "openai",
            "body": "A broken bike.",
            "encoding": "none",
            "vendor_schema": {"model": "gpt-4", "prompt": "Summarize this transcript..."},
        }
    ]


@pytest.mark.parametrize("temperature", [0, 0.7])
async def test_a_temperature_is_sent_where_it_is_given(
    store: VconStore, vendors: StandIn, temperature: float
) -> None:
    """And only there: some models refuse any."""
    await after(analyze, store, transcribed(), summing_up(vendors, temperature=temperature))
    assert json.loads(vendors.got[0][2])["temperature"] == temperature


@pytest.mark.parametrize("answer", ['```json\n{"applies": true}\n```', 'Yes. {"applies": true} !'])
async def test_an_answer_with_more_than_json_in_it(
    store: VconStore, vendors: StandIn, answer: str
) -> None:
    """Is read, and asked for once."""
    options = tagging(vendors)
    vendors.replies[CHAT] = chat(answer)
    found = await after(check_and_tag, store, transcribed(), options)
    assert len(vendors.got) == 1
    assert written(found, "tag_evaluation")


async def test_what_was_paid_for_is_kept_when_a_later_dialog_fails(
    store: VconStore, vendors: StandIn
) -> None:
    """A second run asks for what is missing only."""
    document = transcribed()
    document["dialog"].append(dict(document["dialog"][0]))
    document["analysis"].append(document["analysis"][0] | {"dialog": [1]})
    await store.put(document)
    vendors.answers = ["ok", "400"]
    options = summing_up(vendors)
    with pytest.raises(VendorError, match="answered 400"):
        await analyze.run(document["uuid"], "a_link", options)
    found = await after(analyze, store, await now(document), options)
    assert [each["dialog"] for each in written(found, "summary")] == [0, 1]
    assert len(vendors.got) == 3


@pytest.mark.parametrize("changes", [{"sampling_rate": 0}, {"only_if": {"section": "analysis"}}])
async def test_vcons_that_the_link_is_not_for_go_on_unchanged(
    store: VconStore, vendors: StandIn, changes: dict[str, Any]
) -> None:
    """A rate of 0 is none at all, and a filter that is not whole lets nothing through."""
    document = transcribed()
    found = await after(analyze, store, document, summing_up(vendors, **changes))
    assert (found, vendors.got) == (document, [])


async def test_usage_is_reported_and_a_failing_report_costs_nothing(
    store: VconStore, vendors: StandIn
) -> None:
    """The model is not asked again because of it."""
    usage = {"send_ai_usage_data_to_url": f"{vendors.base}/usage", "ai_usage_api_token": KEY}
    vendors.answers = ["ok", "500"]
    document = transcribed()
    await after(analyze, store, document, summing_up(vendors, **usage))
    [report] = vendors.asked("/usage")
    assert (report["record_id"], report["ai_model"]) == (document["uuid"], "gpt-4")
    assert (report["input_units"], report["output_units"]) == (11, 4)
    assert len(vendors.asked(CHAT)) == 1


async def test_check_and_tag_tags_where_the_answer_is_yes(
    store: VconStore, vendors: StandIn
) -> None:
    """Beside the analysis that says so; the tag counts once for all dialogs."""
    found = await after(check_and_tag, store, transcribed(), tagging(vendors))
    assert tags(found) == ["topic:bike"]
    [entry] = written(found, "tag_evaluation")
    assert json.loads(entry["body"]) == {
        "link_name": "a_link",
        "tag": "topic:bike",
        "applies": True,
    }
    question = {"model": "gpt-5", "evaluation_question": "Is it about a bike?"}
    assert (entry["vendor"], entry["vendor_schema"]) == ("openai", question)
    [asked] = vendors.asked(CHAT)
    assert asked["response_format"] == {"type": "json_object"}
    assert "Is it about a bike?" in asked["messages"][1]["content"]


async def test_each_tag_has_its_own_question(store: VconStore, vendors: StandIn) -> None:
    """Two links with the same `analysis_type` do not stand in for each other."""
    once = await after(check_and_tag, store, transcribed(), tagging(vendors))
    vendors.replies[CHAT] = chat('{"applies": false}')
    other = tagging(vendors, tag_value="car")
    vendors.replies[CHAT] = chat('{"applies": false}')
    found = await after(check_and_tag, store, once, other)
    assert len(written(found, "tag_evaluation")) == 2
    assert tags(found) == ["topic:bike"]


async def test_an_answer_that_is_neither_yes_nor_no_is_an_error(
    store: VconStore, vendors: StandIn
) -> None:
    """It must not be taken for a no."""
    document, options = transcribed(), tagging(vendors)
    vendors.replies[CHAT] = chat('{"applies": "false"}')
    await store.put(document)
    with pytest.raises(VendorError, match="neither yes nor no"):
        await check_and_tag.run(document["uuid"], "a_link", options)


async def test_azure_is_asked_by_its_endpoint_and_key(store: VconStore, vendors: StandIn) -> None:
    """With the version of its API; the analysis names it as the vendor."""
    path = "/openai/deployments/gpt-4/chat/completions"
    vendors.replies[path] = chat()
    azure = {"AZURE_OPENAI_ENDPOINT": vendors.base, "AZURE_OPENAI_API_KEY": KEY, "model": "gpt-4"}
    found = await after(analyze, store, transcribed(), QUICK | azure)
    [(asked, headers, _)] = vendors.got
    assert (asked, headers["api-key"]) == (f"{path}?api-version=2024-10-21", KEY)
    assert written(found, "summary")[0]["vendor"] == "azure"


async def test_the_account_is_that_of_the_options_or_of_openais_own_variables(
    store: VconStore, vendors: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with OpenAI's library."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-all")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-all")
    options = summing_up(vendors, organization="org-of-this")
    await after(analyze, store, transcribed(), options)
    headers = vendors.got[0][1]
    assert headers["openai-organization"] == "org-of-this"
    assert headers["openai-project"] == "project-of-all"


async def test_a_proxy_is_asked_in_everybodys_place(store: VconStore, vendors: StandIn) -> None:
    """The model's name tells the vendor."""
    vendors.replies["/chat/completions"] = chat()
    proxy = {"LITELLM_PROXY_URL": vendors.base, "LITELLM_MASTER_KEY": KEY, "model": "claude-3"}
    found = await after(analyze, store, transcribed(), QUICK | proxy)
    assert vendors.got[0][1]["authorization"] == f"Bearer {KEY}"
    assert written(found, "summary")[0]["vendor"] == "anthropic"


async def test_plugins_of_vcon_server_get_a_client_that_waits(vendors: StandIn) -> None:
    """With the names they know."""
    client = Later("lib.openai_client").get_openai_client({"api_key": KEY}, max_retries=3)
    vendors.replies[CHAT] = chat("Hello.")
    vendors.answers = ["503 Retry-After: 0"]
    with client:
        answer = await asyncio.to_thread(
            client.chat.completions.create, model="m", messages=[{"role": "user", "content": "x"}]
        )
    assert answer.choices[0].message.content == "Hello."
    assert len(vendors.got) == 2
