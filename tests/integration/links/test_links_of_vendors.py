"""What all links that ask a vendor do alike: retry, second runs, missing keys."""

from __future__ import annotations

import pytest

from lib.web.http_retry import VendorError
from pipeline.runs.call_scope import time_limit
from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    KEY,
    MISSING,
    after,
    asking_vfun,
    chosen,
    engaging,
    groq_hearing,
    hearing,
    hugging,
    judging,
    labelling,
    listening,
    problem,
    summing_up,
    tagging,
)
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors_scene import BY_URL, FAULTS, INLINE, SHORT, transcribed
from tests.plugins.scene import Later, canonical

analyze = Later("links.analyze")
analyze_and_label = Later("links.analyze_and_label")
analyze_vcon = Later("links.analyze_vcon")
check_and_tag = Later("links.check_and_tag")
detect_engagement = Later("links.detect_engagement")
deepgram_link = Later("links.deepgram_link")
groq_whisper = Later("links.groq_whisper")
openai_transcribe = Later("links.openai_transcribe")
hugging_face_whisper = Later("links.hugging_face_whisper")
transcribe = Later("links.transcribe")
wtf_transcribe = Later("links.wtf_transcribe")


PLUGINS = {
    "check_and_tag": (check_and_tag, transcribed, tagging),
    "openai": (openai_transcribe, lambda: canonical(INLINE), hearing),
    "groq": (groq_whisper, lambda: canonical(INLINE), groq_hearing),
    "hugging_face": (hugging_face_whisper, lambda: canonical(INLINE), hugging),
    "wtf": (wtf_transcribe, lambda: canonical(INLINE), asking_vfun),
    "transcribe": (transcribe, lambda: canonical(INLINE), chosen),
    "analyze_and_label": (analyze_and_label, transcribed, labelling),
    "analyze_vcon": (analyze_vcon, transcribed, judging),
    "detect_engagement": (detect_engagement, transcribed, engaging),
    "analyze": (analyze, transcribed, summing_up),
    "deepgram": (deepgram_link, lambda: canonical(BY_URL), listening),
}
pytestmark = pytest.mark.usefixtures("store")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", [name for name in PLUGINS if name != "transcribe"])
async def test_what_may_pass_is_asked_again(
    store: VconStore, vendors: StandIn, name: str, fault: str
) -> None:
    """Once more, and the result is as if nothing had been."""
    plugin, document, options = PLUGINS[name]
    vendors.answers = [fault]
    before = document()
    changes = SHORT if fault == "hang" else {}
    found = await after(plugin, store, before, options(vendors, **changes))
    assert len(found["analysis"]) == len(before["analysis"]) + 1
    assert len(vendors.got) == 2 or (fault == "hang" and len(vendors.got) > 2)


@pytest.mark.parametrize("name", PLUGINS)
async def test_a_second_run_sends_and_changes_nothing(
    store: VconStore, vendors: StandIn, name: str
) -> None:
    """The vCon is the same after it."""
    plugin, document, options = PLUGINS[name]
    once = await after(plugin, store, document(), options(vendors))
    asked = len(vendors.got)
    assert await after(plugin, store, once, options(vendors)) == once
    assert len(vendors.got) == asked


@pytest.mark.parametrize("answer", ["401", "404", "429 Retry-After: 3600"])
@pytest.mark.parametrize("name", PLUGINS)
async def test_what_will_not_pass_fails_the_link_at_once(
    store: VconStore, vendors: StandIn, name: str, answer: str
) -> None:
    """A refusal, and a wait longer than anybody should; the error has no key in it."""
    plugin, document, options = PLUGINS[name]
    vendors.answers = [answer]
    before = document()
    await store.put(before)
    with pytest.raises(VendorError, match=f"answered {answer[:3]}") as failure:
        await plugin.run(before["uuid"], "a_link", options(vendors))
    assert KEY not in str(failure.value)
    assert failure.value.__suppress_context__
    assert len(vendors.got) == 1


@pytest.mark.parametrize("name", PLUGINS)
async def test_no_pause_outlasts_the_time_that_is_left(
    store: VconStore, vendors: StandIn, name: str
) -> None:
    """A pause that the chain's timeout would cut off is not begun: the vendor's answer is told."""
    plugin, document, options = PLUGINS[name]
    vendors.answers = ["503 Retry-After: 50"]
    before = document()
    await store.put(before)
    with pytest.raises(VendorError, match="answered 503"):
        async with time_limit(40):
            await plugin.run(before["uuid"], "a_link", options(vendors))


@pytest.mark.parametrize("answers", [["hang"], ["503", "hang"]])
async def test_an_attempt_ends_before_the_time_that_is_left(
    store: VconStore, vendors: StandIn, answers: list[str]
) -> None:
    """So that the vendor is named, and not that time was up; also in a repeat."""
    plugin, document, options = PLUGINS["analyze"]
    vendors.answers = answers
    before = document()
    await store.put(before)
    with pytest.raises(VendorError, match=r"could not be reached: \w*Time"):
        async with time_limit(1):
            await plugin.run(before["uuid"], "a_link", options(vendors))


@pytest.mark.parametrize("name", PLUGINS)
async def test_a_vcon_that_is_not_there_ends_the_run(vendors: StandIn, name: str) -> None:
    """No request is sent."""
    plugin, _, options = PLUGINS[name]
    assert await plugin.run(MISSING, "a_link", options(vendors)) is None
    assert vendors.got == []


@pytest.mark.parametrize(
    "module",
    ["analyze", "deepgram_link", "openai_transcribe", "groq_whisper", "hugging_face_whisper"],
)
def test_missing_credentials_are_told_at_the_start(module: str) -> None:
    """By the option that has to be set."""
    assert "_KEY" in problem(f"links.{module}", {})
