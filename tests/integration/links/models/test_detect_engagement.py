"""`detect_engagement`, with OpenAI's own library and a server with OpenAI's rules."""

from __future__ import annotations

import json

import pytest

from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    KEY,
    after,
    engaging,
    problem,
)
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors.openai import RESPONSES, response
from tests.integration.support.vendors_scene import HEARD, transcribed, written
from tests.plugins.scene import Later, tags

link = Later("links.detect_engagement")
KIND = "engagement_analysis"


async def test_the_answer_is_an_analysis_and_a_tag(store: VconStore, vendors: StandIn) -> None:
    """OpenAI gets the prompt with the transcript, and is asked not to keep it."""
    found = await after(link, store, transcribed(), engaging(vendors, prompt="Both?"))
    assert vendors.asked(RESPONSES) == [
        {"model": "gpt-4.1", "input": f"Both?\n\nTranscript: {HEARD}", "store": False}
    ]
    [entry] = written(found, KIND)
    assert (entry["body"], entry["encoding"], entry["vendor"]) == ("true", "none", "openai")
    schema = {"model": "gpt-4.1", "prompt": "Both?", "is_engaged": "true"}
    assert entry["vendor_schema"] == schema
    assert tags(found) == ["engagement:true"]
    assert KEY not in json.dumps(found)


@pytest.mark.parametrize(
    ("answer", "word"), [("False", "false"), ("**true**.", "true"), ("`false`\n", "false")]
)
async def test_one_word_in_any_dress(
    store: VconStore, vendors: StandIn, answer: str, word: str
) -> None:
    """Capital letters and marks around it do not matter."""
    options = engaging(vendors)
    vendors.replies[RESPONSES] = response(answer)
    found = await after(link, store, transcribed(), options)
    assert written(found, KIND)[0]["body"] == word
    assert tags(found) == [f"engagement:{word}"]


@pytest.mark.parametrize("answer", ["yes", "I think that true is right", "false, true"])
async def test_an_answer_that_is_neither_is_an_error(
    store: VconStore, vendors: StandIn, answer: str
) -> None:
    """vcon-server takes it for a no."""
    options, document = engaging(vendors), transcribed()
    vendors.replies[RESPONSES] = response(answer)
    await store.put(document)
    with pytest.raises(VendorError, match="neither true nor false"):
        await link.run(document["uuid"], "a_link", options)


async def test_usage_is_reported(store: VconStore, vendors: StandIn) -> None:
    """In the units of the Responses API."""
    usage = {"send_ai_usage_data_to_url": f"{vendors.base}/usage", "ai_usage_api_token": KEY}
    await after(link, store, transcribed(), engaging(vendors, **usage))
    [report] = vendors.asked("/usage")
    assert (report["input_units"], report["output_units"]) == (12, 1)
    assert report["sub_type"] == "DETECT_ENGAGEMENT"


def test_missing_credentials_are_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """vcon-server skips every vCon then."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert "OPENAI_API_KEY" in problem("links.detect_engagement", {})
