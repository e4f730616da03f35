"""Recordings that do not say how long they are, as those are that were written while they ran."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import PROXIED, after, hearing
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors_scene import INLINE, streamed
from tests.plugins.scene import Later, canonical

audio = Later("lib.recordings.audio")
openai_transcribe = Later("links.openai_transcribe")
NO_RECORDING = b"neither sound nor picture"


def with_content(content: bytes, **dialog: Any) -> dict[str, Any]:
    """A vCon with such a recording, which says nothing of its length but what is given here."""
    document = canonical(INLINE)
    body = base64.urlsafe_b64encode(content).decode().rstrip("=")
    kept = {"type": "recording", "encoding": "base64url", "filename": "call.webm"}
    return document | {"dialog": [{**kept, "body": body, **dialog}]}


def accepted(seconds: float | None = None, **changes: Any) -> Any:
    """A vendor that takes these files."""
    return audio.Accepted(frozenset({"webm", "matroska", "flac", "mp3"}), 2**24, seconds, **changes)


@pytest.mark.parametrize("form", ["webm", "matroska", "flac"])
def test_a_streamed_recording_is_measured_and_cut(form: str) -> None:
    """Where its length says that it must be."""
    content = streamed(form, 2.5)
    whole = (f"call.{form}", content)
    assert audio.chunks(whole, accepted(3)) == [whole]
    parts = audio.chunks(whole, accepted(1))
    assert [name for name, _ in parts] == [f"call_chunk_00{number}.mp3" for number in range(3)]
    again = [len(audio.chunks(part, accepted(0.4))) for part in parts]
    assert again == [3, 3, 2]


async def test_the_parts_of_a_streamed_recording_are_sent(
    store: VconStore, vendors: StandIn
) -> None:
    """One by one."""
    document = with_content(streamed("webm", 2.5))
    await after(openai_transcribe, store, document, hearing(vendors, max_chunk_duration=1))
    assert len(vendors.got) == 3


async def test_a_recording_of_unknown_length_is_sent_whole(
    store: VconStore, vendors: StandIn
) -> None:
    """The vendor may recognise its format."""
    document = with_content(NO_RECORDING)
    await after(openai_transcribe, store, document, hearing(vendors))
    [(path, _, body)] = vendors.got
    assert path == f"/v1{PROXIED}"
    assert NO_RECORDING in body


async def test_what_the_vcon_says_of_a_length_counts_where_nothing_else_does(
    store: VconStore, vendors: StandIn
) -> None:
    """So one that is too long, and cannot be cut, is an error and is not sent."""
    document = with_content(NO_RECORDING, duration=2.5)
    options = hearing(vendors, max_chunk_duration=1)
    await store.put(document)
    with pytest.raises(audio.AudioError, match="cannot be converted"):
        await openai_transcribe.run(document["uuid"], "a_link", options)
    assert vendors.got == []
