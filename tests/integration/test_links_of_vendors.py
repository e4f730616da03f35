"""The links that ask a vendor, with the vendors' own libraries and a server in their place."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from core.errors import ConfigurationError
from lib.http_client import close
from lib.patience import VendorError
from lib.vcon_redis import AsyncVconRedis
from links import analyze, deepgram_link
from pipeline.config import parse
from pipeline.deadline import time_limit
from pipeline.modules import load
from pipeline.store import VconStore
from tests.canaries import canary
from tests.guests.scene import canonical, connected
from tests.integration.http_stand_in import StandIn
from tests.integration.vendors_scene import (
    BY_URL,
    DEEPGRAM,
    FAULTS,
    HEARD,
    INLINE,
    QUICK,
    SHORT,
    chat,
    transcribed,
    written,
)

CHAT, LISTEN, PROXIED = "/v1/chat/completions", "/v1/listen", "/audio/transcriptions"
KEY = canary("key-of-the-vendor")
CEILING_SECONDS = 20
MISSING = "00000000-0000-8000-8000-000000000000"


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store behind the connection that guests find."""
    async with connected(redis_url) as store, asyncio.timeout(CEILING_SECONDS):
        yield store
        await close()


def listening(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `deepgram_link` as the document has them, with a host of our own."""
    vendors.replies[LISTEN] = DEEPGRAM
    return {
        "DEEPGRAM_KEY": KEY,
        "minimum_duration": 30,
        "api": {"model": "nova-2", "smart_format": True, "detect_language": True},
        "base_url": vendors.base,
        **QUICK,
        **changes,
    }


def summing_up(vendors: StandIn, **changes: Any) -> dict[str, Any]:
    """Options of `analyze` as the document has them."""
    vendors.replies[CHAT] = chat()
    options = {"OPENAI_API_KEY": KEY, "prompt": "Summarize this transcript...", "model": "gpt-4"}
    return {**options, "analysis_type": "summary", **QUICK, **changes}


async def after(
    guest: Any, store: VconStore, document: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """The vCon after the link, which has gone on with it."""
    await store.put(document)
    assert await guest.run(document["uuid"], "a_link", options) == document["uuid"]
    found = await AsyncVconRedis().get_vcon_dict(document["uuid"])
    assert found is not None
    return found


async def test_deepgram_is_given_the_url_and_its_transcript_is_kept(
    store: VconStore, vendors: StandIn
) -> None:
    """With its own options in the query; the first alternative comes back, and no key."""
    document = canonical(BY_URL)
    found = await after(deepgram_link, store, document, listening(vendors))
    [(path, headers, body)] = vendors.got
    assert parse_qs(urlsplit(path).query) == {
        "model": ["nova-2"],
        "smart_format": ["true"],
        "detect_language": ["true"],
    }
    assert headers["authorization"] == f"Token {KEY}"
    assert json.loads(body) == {"url": document["dialog"][0]["url"]}
    [entry] = written(found, "transcript")
    assert json.loads(entry.pop("body")) == {
        **DEEPGRAM["results"]["channels"][0]["alternatives"][0],
        "detected_language": "de",
    }
    api = {"model": "nova-2", "smart_format": True, "detect_language": True}
    kept = {"minimum_duration": 30.0, "minimum_confidence": 0.5, "api": api}
    assert entry == {
        "type": "transcript",
        "dialog": 0,
        "vendor": "deepgram",
        "encoding": "json",
        "vendor_schema": {"opts": kept},
    }


async def test_deepgram_is_sent_a_recording_that_is_in_the_vcon(
    store: VconStore, vendors: StandIn
) -> None:
    """The bytes themselves."""
    document = canonical(INLINE)
    await after(deepgram_link, store, document, listening(vendors, minimum_duration=0))
    assert vendors.got[0][2] == base64.urlsafe_b64decode(document["dialog"][0]["body"] + "==")


async def test_a_litellm_proxy_takes_deepgrams_place(store: VconStore, vendors: StandIn) -> None:
    """It is sent the recording, and its text becomes the transcript."""
    vendors.replies[PROXIED] = {"text": HEARD}
    proxy = {"LITELLM_PROXY_URL": vendors.base, "LITELLM_MASTER_KEY": KEY, "minimum_duration": 0}
    found = await after(deepgram_link, store, canonical(INLINE), QUICK | proxy)
    [(_, headers, body)] = vendors.got
    assert headers["authorization"] == f"Bearer {KEY}"
    assert b'name="model"\r\n\r\nnova-3' in body
    assert b'filename="beep.wav"' in body
    [entry] = written(found, "transcript")
    assert json.loads(entry["body"]) == {"transcript": HEARD}
    assert KEY not in json.dumps(found)


async def test_short_recordings_are_left_alone(store: VconStore, vendors: StandIn) -> None:
    """Also one that does not say how long it is, if its WAV does."""
    document = canonical(INLINE)
    del document["dialog"][0]["duration"]
    found = await after(deepgram_link, store, document, listening(vendors))
    assert (found["analysis"], vendors.got) == ([], [])


async def test_an_uncertain_transcript_is_not_kept(store: VconStore, vendors: StandIn) -> None:
    """Below `minimum_confidence` nothing is written."""
    options = listening(vendors, minimum_confidence=0.99)
    found = await after(deepgram_link, store, canonical(BY_URL), options)
    assert found["analysis"] == []
    assert len(vendors.got) == 1


async def test_a_recording_that_was_changed_is_not_sent(store: VconStore, vendors: StandIn) -> None:
    """Its content must have the hash that the vCon says."""
    document = canonical(INLINE)
    document["dialog"][0]["body"] = "UklGRg"
    await store.put(document)
    with pytest.raises(RuntimeError, match="does not have the sha512"):
        await deepgram_link.run(document["uuid"], "x", listening(vendors, minimum_duration=0))
    assert vendors.got == []


async def test_analyze_asks_with_the_transcript_and_keeps_the_answer(
    store: VconStore, vendors: StandIn
) -> None:
    """Prompt, text and model go out as OpenAI takes them; prompt and model are kept, no key."""
    found = await after(analyze, store, transcribed(), summing_up(vendors))
    [(path, headers, body)] = vendors.got
    assert (path, headers["authorization"]) == (CHAT, f"Bearer {KEY}")
    assert json.loads(body) == {
        "model": "gpt-4",
        "temperature": 0.0,
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
    found = await after(analyze, store, await _now(document), options)
    assert [each["dialog"] for each in written(found, "summary")] == [0, 1]
    assert len(vendors.got) == 3


async def _now(document: dict[str, Any]) -> dict[str, Any]:
    found = await AsyncVconRedis().get_vcon_dict(document["uuid"])
    assert found is not None
    return found


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


GUESTS = {
    "analyze": (analyze, transcribed, summing_up),
    "deepgram": (deepgram_link, lambda: canonical(BY_URL), listening),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", GUESTS)
async def test_what_may_pass_is_asked_again(
    store: VconStore, vendors: StandIn, name: str, fault: str
) -> None:
    """Once more, and the result is as if nothing had been."""
    guest, document, options = GUESTS[name]
    vendors.answers = [fault]
    before = document()
    changes = SHORT if fault == "hang" else {}
    found = await after(guest, store, before, options(vendors, **changes))
    assert len(found["analysis"]) == len(before["analysis"]) + 1
    assert len(vendors.got) == 2 or (fault == "hang" and len(vendors.got) > 2)


@pytest.mark.parametrize("name", GUESTS)
async def test_a_second_run_asks_nobody_and_changes_nothing(
    store: VconStore, vendors: StandIn, name: str
) -> None:
    """The vCon is the same after it."""
    guest, document, options = GUESTS[name]
    once = await after(guest, store, document(), options(vendors))
    asked = len(vendors.got)
    assert await after(guest, store, once, options(vendors)) == once
    assert len(vendors.got) == asked


@pytest.mark.parametrize("answer", ["401", "404", "429 Retry-After: 3600"])
@pytest.mark.parametrize("name", GUESTS)
async def test_what_will_not_pass_fails_the_link_at_once(
    store: VconStore, vendors: StandIn, name: str, answer: str
) -> None:
    """A refusal, and a wait longer than anybody should; the error has no key in it."""
    guest, document, options = GUESTS[name]
    vendors.answers = [answer]
    before = document()
    await store.put(before)
    with pytest.raises(VendorError, match=f"answered {answer[:3]}") as failure:
        await guest.run(before["uuid"], "a_link", options(vendors))
    assert KEY not in str(failure.value)
    assert failure.value.__suppress_context__
    assert len(vendors.got) == 1


@pytest.mark.parametrize("name", GUESTS)
async def test_nobody_waits_beyond_the_time_that_is_left(
    store: VconStore, vendors: StandIn, name: str
) -> None:
    """A pause that the chain's timeout would cut off is not begun: the vendor's answer is told."""
    guest, document, options = GUESTS[name]
    vendors.answers = ["503 Retry-After: 50"]
    before = document()
    await store.put(before)
    with pytest.raises(VendorError, match="answered 503"):
        async with time_limit(40):
            await guest.run(before["uuid"], "a_link", options(vendors))


@pytest.mark.parametrize("name", GUESTS)
async def test_a_vcon_that_is_not_there_ends_the_run(vendors: StandIn, name: str) -> None:
    """Nobody is asked."""
    guest, _, options = GUESTS[name]
    assert await guest.run(MISSING, "a_link", options(vendors)) is None
    assert vendors.got == []


@pytest.mark.parametrize("module", ["links.analyze", "links.deepgram_link"])
def test_missing_credentials_are_told_at_the_start(module: str) -> None:
    """By the option that has to be set."""
    config = parse(
        {"links": {"it": {"module": module}}, "chains": {"c": {"links": ["it"]}}},
        {},
    )
    with pytest.raises(ConfigurationError, match="_KEY"):
        load(config)
