"""What the links that transcribe report of what the vendor will charge for."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    KEY,
    PROXIED,
    after,
    hearing,
    listening,
)
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors_scene import (
    ANSWER,
    HEARD,
    INLINE,
    QUICK,
    tone,
    with_recording,
)
from tests.plugins.scene import Later, canonical

deepgram_link, openai_transcribe = Later("links.deepgram_link"), Later("links.openai_transcribe")
BY_TIME = {"type": "duration", "seconds": 3}


def reporting(vendors: StandIn, options: dict[str, Any]) -> dict[str, Any]:
    """The same options, with where to report to."""
    usage = {"send_ai_usage_data_to_url": f"{vendors.base}/usage", "ai_usage_api_token": KEY}
    return options | usage | {"minimum_duration": 0}


def reported(vendors: StandIn) -> tuple[Any, ...]:
    """Model, unit, and units of input and output of the one report that came."""
    [report] = vendors.asked("/usage")
    [headers] = [headers for path, headers, _ in vendors.got if path == "/usage"]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert report["type"] == "VCON_PROCESSING"
    return tuple(report[name] for name in ("ai_model", "unit_type", "input_units", "output_units"))


async def test_deepgram_is_paid_by_the_second(store: VconStore, vendors: StandIn) -> None:
    """As it says itself; the report names the link and the vCon."""
    document = canonical(INLINE)
    await after(deepgram_link, store, document, reporting(vendors, listening(vendors)))
    assert reported(vendors) == ("nova-2", "seconds", 25, 0)
    [report] = vendors.asked("/usage")
    assert (report["sub_type"], report["record_id"]) == ("DEEPGRAM_TRANSCRIBE", document["uuid"])


@pytest.mark.parametrize(
    ("said", "units"),
    [
        ({"usage": ANSWER["usage"]}, ("tokens", 14, 45)),
        ({"usage": BY_TIME}, ("seconds", 3, 0)),
        ({"duration": 4.2}, ("seconds", 4, 0)),
        ({}, ("seconds", 7, 0)),
    ],
)
async def test_a_proxy_is_paid_as_it_says(
    store: VconStore, vendors: StandIn, said: dict[str, Any], units: tuple[Any, ...]
) -> None:
    """And by the recording's length where it says nothing."""
    vendors.replies[PROXIED] = {"text": HEARD, **said}
    proxy = {"LITELLM_PROXY_URL": vendors.base, "LITELLM_MASTER_KEY": KEY}
    document = canonical(INLINE)
    document["dialog"][0]["duration"] = 7
    await after(deepgram_link, store, document, reporting(vendors, QUICK | proxy))
    assert reported(vendors) == ("nova-3", *units)
    assert vendors.asked("/usage")[0]["sub_type"] == "DEEPGRAM_TRANSCRIBE"


@pytest.mark.parametrize(
    ("usage", "units"),
    [(ANSWER["usage"], ("tokens", 3 * 14, 3 * 45)), (BY_TIME, ("seconds", 9, 0))],
)
async def test_all_parts_of_a_recording_are_reported_at_once(
    store: VconStore, vendors: StandIn, usage: dict[str, Any], units: tuple[Any, ...]
) -> None:
    """By the token or by the second, as the model is paid."""
    options = reporting(vendors, hearing(vendors, max_chunk_duration=1))
    vendors.replies[f"/v1{PROXIED}"] = {"text": HEARD, "usage": usage}
    await after(openai_transcribe, store, with_recording(tone(2.5)), options)
    assert reported(vendors) == ("gpt-4o-transcribe", *units)
    assert vendors.asked("/usage")[0]["sub_type"] == "OPENAI_TRANSCRIBE"
