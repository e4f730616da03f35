"""The links that transcribe with OpenAI, Groq or whom one likes."""

from __future__ import annotations

import base64
import json
import struct
import sys
from typing import Any

import pytest

from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    KEY,
    after,
    groq_hearing,
    hearing,
    problem,
)
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors_scene import (
    ANSWER,
    HEARD,
    INLINE,
    streamed,
    tone,
    wav,
    with_recording,
    written,
)
from tests.plugins.scene import Later, canonical

groq_whisper, openai_transcribe = Later("links.groq_whisper"), Later("links.openai_transcribe")
transcribe = Later("links.transcribe")
PROXY = {"LITELLM_PROXY_URL": "http://proxy.example", "LITELLM_MASTER_KEY": "k"}


async def test_openai_is_sent_the_recording_and_its_answer_is_kept(
    store: VconStore, vendors: StandIn
) -> None:
    """With text and usage; no key is in the vCon."""
    found = await after(openai_transcribe, store, canonical(INLINE), hearing(vendors))
    [(_, headers, body)] = vendors.got
    assert headers["authorization"] == f"Bearer {KEY}"
    assert b'name="model"\r\n\r\ngpt-4o-transcribe' in body
    assert b'filename="beep.wav"' in body
    assert b"language" not in body
    [entry] = written(found, "transcript")
    assert json.loads(entry["body"]) == ANSWER
    assert entry["vendor"] == "openai"
    assert KEY not in json.dumps(found)


async def test_a_long_recording_is_sent_in_parts(store: VconStore, vendors: StandIn) -> None:
    """In their order, and the answers become one."""
    document = with_recording(tone(1.0) + tone(1.0, 0) + tone(1.0) + tone(1.0, 0) + tone(0.5))
    options = hearing(vendors, max_chunk_duration=1.5, silence_len=500)
    found = await after(openai_transcribe, store, document, options)
    assert len(vendors.got) == 3
    names = [body.partition(b'filename="')[2].partition(b'"')[0] for _, _, body in vendors.got]
    assert names == [b"beep_chunk_000.mp3", b"beep_chunk_001.mp3", b"beep_chunk_002.mp3"]
    body = json.loads(written(found, "transcript")[0]["body"])
    assert body["text"] == f"{HEARD} {HEARD} {HEARD}"
    assert body["usage"]["input_tokens"] == 3 * ANSWER["usage"]["input_tokens"]
    assert body["chunked_transcription"]["total_chunks"] == 3


async def test_groq_is_sent_the_recording_and_its_answer_is_kept(
    store: VconStore, vendors: StandIn
) -> None:
    """Under the name `groq_whisper`; no key is in the vCon."""
    found = await after(groq_whisper, store, canonical(INLINE), groq_hearing(vendors))
    [(path, headers, body)] = vendors.got
    assert (path, headers["authorization"]) == ("/openai/v1/audio/transcriptions", f"Bearer {KEY}")
    assert b'name="model"\r\n\r\nwhisper-large-v3-turbo' in body
    [entry] = written(found, "transcript")
    assert json.loads(entry["body"])["text"] == HEARD
    assert entry["vendor"] == "groq_whisper"
    assert KEY not in json.dumps(found)


def sent(vendors: StandIn) -> list[tuple[str, int]]:
    """The name of each recording that came, and how many bytes its request had."""
    return [
        (body.partition(b'filename="')[2].partition(b'"')[0].decode(), len(body))
        for _, _, body in vendors.got
    ]


LINKS = [(openai_transcribe, hearing), (groq_whisper, groq_hearing)]
MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(("link", "options_for"), LINKS)
async def test_a_recording_with_too_many_bytes_is_encoded_and_cut(
    store: VconStore, vendors: StandIn, link: Any, options_for: Any
) -> None:
    """However short it is: vendors count bytes. All that was said is in one transcript."""
    document = with_recording(tone(70))
    found = await after(link, store, document, options_for(vendors, max_upload_bytes=MEBIBYTE))
    names = [name for name, _ in sent(vendors)]
    assert names == ["beep_chunk_000.mp3", "beep_chunk_001.mp3"]
    assert all(size <= MEBIBYTE for _, size in sent(vendors))
    body = json.loads(written(found, "transcript")[0]["body"])
    assert body["text"] == f"{HEARD} {HEARD}"


@pytest.mark.parametrize(("link", "options_for"), LINKS)
@pytest.mark.parametrize(("riff", "data"), [(36, 0), (0, 2), (2**32 - 1, 2**32 - 1)])
async def test_a_wav_whose_header_does_not_tell_its_length(
    store: VconStore, vendors: StandIn, link: Any, options_for: Any, riff: int, data: int
) -> None:
    """It is transcribed, and where it has to be encoded it is so to its end."""
    content = bytearray(wav(tone(70)))
    struct.pack_into("<I", content, 4, riff)
    struct.pack_into("<I", content, 40, data)
    document = with_recording([])
    document["dialog"][0].update(body=base64.urlsafe_b64encode(content).decode(), duration=0)
    options = options_for(vendors, max_upload_bytes=MEBIBYTE, minimum_duration=60)
    await after(link, store, document, options)
    assert [name for name, _ in sent(vendors)] == ["beep_chunk_000.mp3", "beep_chunk_001.mp3"]


@pytest.mark.parametrize(
    ("link", "options_for", "form"),
    [(*LINKS[0], "adts"), (*LINKS[1], "matroska"), (*LINKS[1], "au")],
)
async def test_a_kind_that_the_vendor_does_not_take_is_encoded(
    store: VconStore, vendors: StandIn, link: Any, options_for: Any, form: str
) -> None:
    """By its content, independent of its name."""
    document = with_recording([])
    body = base64.urlsafe_b64encode(streamed(form, 0.5)).decode()
    document["dialog"][0].update(body=body, filename="call.wav", mediatype="audio/x-wav")
    await after(link, store, document, options_for(vendors))
    assert [name for name, _ in sent(vendors)] == ["call.mp3"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"vendor": "whisper"},
            "vendor: Input should be 'openai', 'groq', 'deepgram', 'hugging_face' or",
        ),
        ({"vendor": "openai"}, "vendor_options: Value error, credentials are missing"),
        ({"vendor": "deepgram", "vendor_options": {"minimum_duration": "x"}}, "minimum_duration"),
        (
            {"vendor": "deepgram", "vendor_options": {"DEEPGRAM_KEY": "k", "minimum_duraton": 3}},
            "vendor_options.minimum_duraton: not a known option; did you mean 'minimum_duration'?",
        ),
        (
            {"vendor": "deepgram", "transcribe_options": {"DEEPGRAM_KEY": "k", "modle": "m"}},
            "transcribe_options.modle: not a known option; did you mean 'model'?",
        ),
    ],
)
def test_a_wrong_vendor_or_option_is_told_at_the_start(options: dict[str, Any], words: str) -> None:
    """By its path."""
    assert words in problem("links.transcribe", options)


@pytest.mark.parametrize(
    ("library", "vendor", "options", "extra"),
    [
        ("imageio_ffmpeg", "deepgram", PROXY, "audio"),
        ("imageio_ffmpeg", "openai", {"OPENAI_API_KEY": "k"}, "audio"),
        ("imageio_ffmpeg", "hugging_face", {"API_KEY": "k"}, "audio"),
        ("groq", "groq", {"API_KEY": "k"}, "groq"),
        ("faster_whisper", "whisper_builtin", {}, "whisper"),
    ],
)
def test_a_library_that_is_missing_is_told_with_the_extra_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    vendor: str,
    options: dict[str, Any],
    extra: str,
) -> None:
    """By the vendor's own link and through `transcribe`, also where only a proxy needs it."""
    link = f"links.{transcribe.LINKS[vendor]}"
    for module in (link, "lib.ai.local_whisper", "lib.recordings.audio"):
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.delattr(module, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    advice = f"{library!r}, which is not installed; install the extra {extra!r}: pip install"
    assert advice in problem(link, options)
    chosen = {"vendor": vendor, "vendor_options": options}
    assert advice in problem("links.transcribe", chosen)
