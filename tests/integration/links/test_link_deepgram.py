"""Deepgram's link, with a server in Deepgram's place."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from lib import limits
from lib.fetching import FetchRefusedError
from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    KEY,
    PROXIED,
    after,
    listening,
)
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors_scene import BY_URL, DEEPGRAM, HEARD, INLINE, QUICK, written
from tests.plugins.scene import Later, canonical

deepgram_link = Later("links.deepgram_link")


async def test_nobody_sends_deepgram_into_the_operators_network(
    store: VconStore, vendors: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be one of the operator's own."""
    allowing = replace(limits.current(), allow_private_urls=False)
    monkeypatch.setattr(limits, "_limits", allowing)
    document = canonical(BY_URL)
    document["dialog"][0]["url"] = "http://169.254.169.254/latest/meta-data/a.wav"
    await store.put(document)
    with pytest.raises(FetchRefusedError, match="not a public address"):
        await deepgram_link.run(document["uuid"], "a_link", listening(vendors))
    assert vendors.got == []


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
    with pytest.raises(RuntimeError, match="does not match its sha512"):
        await deepgram_link.run(document["uuid"], "x", listening(vendors, minimum_duration=0))
    assert vendors.got == []


async def test_all_channels_of_a_recording_are_kept(store: VconStore, vendors: StandIn) -> None:
    """One of them would be what one party said."""
    first = DEEPGRAM["results"]["channels"][0]
    second = {"alternatives": [{"transcript": "It is ready.", "confidence": 0.4, "words": []}]}
    options = listening(vendors, api={"multichannel": True}, minimum_confidence=0.5)
    vendors.replies["/v1/listen"] = DEEPGRAM | {"results": {"channels": [first, second]}}
    found = await after(deepgram_link, store, canonical(BY_URL), options)
    body = json.loads(written(found, "transcript")[0]["body"])
    assert body["transcript"] == f"{HEARD}\nIt is ready."
    assert [each["alternatives"][0]["transcript"] for each in body["channels"]] == [
        HEARD,
        "It is ready.",
    ]
