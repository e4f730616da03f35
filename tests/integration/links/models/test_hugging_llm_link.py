"""`hugging_llm_link`, with a server with the rules of Hugging Face's router."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.canaries import canary
from tests.integration.links.vendor_links_scene import MISSING, after, problem
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.vendors.hugging_face_router import PATH, HuggingFaceRouter
from tests.integration.support.vendors.openai import JSON_ANSWER, chat
from tests.integration.support.vendors_scene import (
    FAULTS,
    HEARD,
    QUICK,
    SHORT,
    transcribed,
    written,
)
from tests.plugins.scene import Later

link = Later("links.hugging_llm_link")
TOKEN = canary("hf_token_of_a_model-3c46")
KIND = "llm_analysis"
TRANSFORMERS = """
calls = []


def pipeline(task, model, device):
    def generate(text, **options):
        calls.append((task, model, device, text, options))
        return [{"generated_text": '{"summary": "local"}'}]
    return generate
"""
"""The two calls of the package `transformers` that the link makes: its models take gigabytes."""


@pytest.fixture(scope="module")
def router() -> Iterator[StandIn]:
    """The router."""
    with stand_in(HuggingFaceRouter()) as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(router: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The router as new, and no token in the environment."""
    router.answers.clear()
    router.got.clear()
    router.replies[PATH] = chat(json.dumps(JSON_ANSWER))
    for name in ("HUGGINGFACE_API_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def options(router: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of the link."""
    return {"HUGGINGFACE_API_KEY": TOKEN, "base_url": f"{router.url}/v1", **QUICK, **changes}


async def test_the_answer_is_an_analysis_as_the_readme_has_it(
    store: VconStore, router: StandIn
) -> None:
    """With model and parameters, and no token; the router gets the transcript once."""
    found = await after(link, store, transcribed(), options(router))
    [asked] = router.asked(PATH)
    assert asked["model"] == "meta-llama/Llama-3.3-70B-Instruct"
    assert (asked["max_tokens"], asked["temperature"]) == (1000, 0.7)
    assert asked["messages"][0]["content"].endswith(HEARD)
    [entry] = written(found, KIND)
    assert (entry["vendor"], entry["dialog"], entry["encoding"]) == ("huggingface", 0, "json")
    parameters = {"max_length": 1000, "temperature": 0.7}
    body = json.loads(entry["body"])
    assert body["analysis"]["summary"] == "A broken bike."
    assert (body["model"], body["parameters"]) == (asked["model"], parameters)
    assert entry["vendor_schema"] == {"opts": {"model": asked["model"], **parameters}}
    assert TOKEN not in json.dumps(found)


async def test_a_second_run_sends_nothing(store: VconStore, router: StandIn) -> None:
    """And changes nothing."""
    once = await after(link, store, transcribed(), options(router))
    assert await after(link, store, once, options(router)) == once
    assert len(router.got) == 1


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_may_pass_is_asked_again(store: VconStore, router: StandIn, fault: str) -> None:
    """And the result is as if nothing had been."""
    router.answers = [fault]
    changes = SHORT if fault == "hang" else {}
    found = await after(link, store, transcribed(), options(router, **changes))
    assert len(written(found, KIND)) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"HUGGINGFACE_API_KEY": "wrong"}, "answered 401$"),
        ({"model": "no/model"}, "answered 400: The requested model 'no/model' is not supported"),
    ],
)
async def test_what_the_router_refuses_fails_the_link(
    store: VconStore, router: StandIn, changes: dict[str, Any], words: str
) -> None:
    """With its own words, except about tokens; vcon-server goes on without an analysis."""
    document = transcribed()
    await store.put(document)
    with pytest.raises(VendorError, match=words):
        await link.run(document["uuid"], "a_link", options(router, **changes))
    assert len(router.got) == 1


@pytest.mark.parametrize(
    "reply", [{}, [], {"choices": []}, {"choices": [{"message": {"content": None}}]}, chat(" ")]
)
async def test_answers_without_a_text(store: VconStore, router: StandIn, reply: Any) -> None:
    """Are errors."""
    router.replies[PATH] = reply
    document = transcribed()
    await store.put(document)
    with pytest.raises(VendorError, match="without text"):
        await link.run(document["uuid"], "a_link", options(router))


async def test_an_answer_without_an_object_is_kept_as_text(
    store: VconStore, router: StandIn
) -> None:
    """It was paid for."""
    router.replies[PATH] = chat("A bike \ud83d that is broken")
    found = await after(link, store, transcribed(), options(router))
    told = json.loads(written(found, KIND)[0]["body"])
    assert told["analysis"] == "A bike \ufffd that is broken"


@pytest.mark.parametrize(
    "body",
    [
        {"transcript": HEARD},
        {"text": HEARD},
        {"paragraphs": {"transcript": HEARD}},
        {"transcript": {"text": HEARD}},
    ],
)
async def test_transcripts_of_all_vendors_are_read(
    store: VconStore, router: StandIn, body: dict[str, Any]
) -> None:
    """vcon-server reads those with `transcript` only; several dialogs make one analysis."""
    document = transcribed()
    document["dialog"].append(document["dialog"][0])
    entry = document["analysis"][0]
    document["analysis"] = [entry | {"body": json.dumps(body), "dialog": each} for each in (0, 1)]
    found = await after(link, store, document, options(router))
    [asked] = router.asked(PATH)
    assert asked["messages"][0]["content"].endswith(f"{HEARD}\n{HEARD}")
    assert written(found, KIND)[0]["dialog"] == [0, 1]


@pytest.mark.parametrize("named", [None, True, "0", [], [False]])
async def test_an_analysis_names_only_the_dialogs_that_transcripts_name(
    store: VconStore, router: StandIn, named: Any
) -> None:
    """A transcript that names none is read, too."""
    document = transcribed()
    document["analysis"][0]["dialog"] = named
    found = await after(link, store, document, options(router))
    assert written(found, KIND)[0]["dialog"] == []


async def test_vcons_without_a_transcript_go_on_unchanged(
    store: VconStore, router: StandIn
) -> None:
    """And nothing is sent; the chain of a vCon that is not there ends."""
    document = transcribed() | {"analysis": [7, {"type": "transcript", "body": None}]}
    await store.put(document)
    assert await link.run(document["uuid"], "a_link", options(router)) == document["uuid"]
    assert await link.run(MISSING, "a_link", options(router)) is None
    assert router.got == []


@pytest.mark.parametrize("name", ["HUGGINGFACE_API_KEY", "HF_TOKEN"])
async def test_a_token_from_the_environment(
    store: VconStore, router: StandIn, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It is enough."""
    monkeypatch.setenv(name, f" {TOKEN}\n")
    await after(link, store, transcribed(), options(router, HUGGINGFACE_API_KEY=None, top_p=0.9))
    assert router.got[0][1]["authorization"] == f"Bearer {TOKEN}"
    assert router.asked(PATH)[0]["top_p"] == 0.9


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "set HUGGINGFACE_API_KEY here"),
        ({"use_local_model": True}, "pip install transformers torch"),
        ({"HUGGINGFACE_API_KEY": TOKEN, "base_url": "ftp://x"}, "base_url"),
        ({"HUGGINGFACE_API_KEY": TOKEN, "max_length": 0}, "max_length"),
    ],
)
def test_what_is_told_at_the_start(changes: dict[str, Any], words: str) -> None:
    """With what to do."""
    assert words in problem("links.hugging_llm_link", changes)


async def test_a_local_model(
    store: VconStore, router: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the same text, and nothing is sent."""
    (tmp_path / "transformers.py").write_text(TRANSFORMERS)
    monkeypatch.syspath_prepend(tmp_path)
    local = {"use_local_model": True, "model": "some/model", "top_k": 5, "max_length": 7}
    found = await after(link, store, transcribed(), local)
    [(task, model, device, text, generating)] = sys.modules["transformers"].calls
    monkeypatch.delitem(sys.modules, "transformers")
    assert (task, model, device) == ("text-generation", "some/model", "cpu")
    assert text.endswith(HEARD)
    assert (generating["max_new_tokens"], generating["top_k"]) == (7, 5)
    assert json.loads(written(found, KIND)[0]["body"])["analysis"] == {"summary": "local"}
    assert router.got == []
