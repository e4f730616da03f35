"""`analyze_and_label`, with OpenAI's own library and a server with OpenAI's rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    KEY,
    after,
    labelling,
    problem,
)
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors.openai import CHAT, chat
from tests.integration.support.vendors_scene import HEARD, transcribed, written
from tests.plugins.scene import Later, tags

link = Later("links.analyze_and_label")
KIND = "labeled_analysis"


async def labelled(
    store: VconStore, vendors: StandIn, answer: str, **changes: Any
) -> dict[str, Any]:
    """The vCon after an answer of the model."""
    options = labelling(vendors, **changes)
    vendors.replies[CHAT] = chat(answer)
    return await after(link, store, transcribed(), options)


async def test_the_model_is_asked_for_json_and_its_labels_become_tags(
    store: VconStore, vendors: StandIn
) -> None:
    """The analysis has the object; model and prompt are kept, no key."""
    found = await after(link, store, transcribed(), labelling(vendors, prompt="Label. JSON."))
    [asked] = vendors.asked(CHAT)
    assert asked["model"] == "gpt-4-turbo"
    assert asked["response_format"] == {"type": "json_object"}
    assert asked["messages"][1]["content"] == f"Label. JSON.\n\n{HEARD}"
    assert "temperature" not in asked
    [entry] = written(found, KIND)
    assert json.loads(entry["body"]) == {"labels": ["bike", "repair"]}
    assert entry["encoding"] == "json"
    assert entry["vendor"] == "openai"
    assert entry["vendor_schema"] == {"model": "gpt-4-turbo", "prompt": "Label. JSON."}
    assert tags(found) == ["bike:bike", "repair:repair"]
    assert KEY not in json.dumps(found)


async def test_a_prompt_without_the_word_that_openai_demands(
    store: VconStore, vendors: StandIn
) -> None:
    """It is accepted: the system prompt has the word."""
    assert tags(await labelled(store, vendors, '{"labels": ["a"]}', prompt="Label it.")) == ["a:a"]


async def test_an_answer_without_json_is_kept_as_text(store: VconStore, vendors: StandIn) -> None:
    """It was paid for; the analysis says what is wrong, and no tag is added."""
    found = await labelled(store, vendors, "Bikes, repairs")
    [entry] = written(found, KIND)
    assert (entry["body"], entry["encoding"]) == ("Bikes, repairs", "none")
    assert entry["vendor_schema"]["parse_error"]
    assert found["attachments"] == transcribed()["attachments"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('```json\n{"labels": ["a", "b"]}\n```', ["a:a", "b:b"]),
        ('{"labels": ["a", "a", " b ", "", 7]}', ["a:a", "b:b", "7:7"]),
        ('{"labels": [null, true, {"a": 1}, ["b"], "c"]}', ["c:c"]),
        (json.dumps({"labels": ["x" * 201, "c"]}), ["c:c"]),
        ('{"labels": ["\\ud83d", "c"]}', ["\ufffd:\ufffd", "c:c"]),
        ('{"labels": ["a"]} and then {"why": 1}', ["a:a"]),
        ('{"labels": "a, b"}', []),
        ('{"labels": null}', []),
        (json.dumps({"labels": [f"{each}" for each in range(150)]}), 100),
        ('{"labels": ["a"], "n": 123456789012345678901234567890}', ["a:a"]),
    ],
)
async def test_labels_of_every_kind(
    store: VconStore, vendors: StandIn, answer: str, expected: list[str] | int
) -> None:
    """Texts and numbers are labels; the analysis is stored with each of these answers."""
    found = await labelled(store, vendors, answer)
    assert len(written(found, KIND)) == 1
    added = [each for each in tags(found) if each not in tags(transcribed())]
    assert (len(added) if isinstance(expected, int) else added) == expected


def test_a_temperature_that_openai_refuses_is_told_at_the_start() -> None:
    """With its path."""
    assert "temperature" in problem("links.analyze_and_label", {"api_key": KEY, "temperature": 3})
