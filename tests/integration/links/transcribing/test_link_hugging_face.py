"""The link that transcribes with an endpoint of Hugging Face, against one that keeps its rules."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    KEY,
    after,
    hugging,
    now,
    problem,
)
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors.hugging_face import PATH
from tests.integration.support.vendors_scene import (
    HEARD,
    INLINE,
    QUICK,
    streamed,
    tone,
    with_recording,
    written,
)
from tests.plugins.scene import Later, canonical

link = Later("links.hugging_face_whisper")
transcribe = Later("links.transcribe")
LONG = 31
MEBIBYTE = 1024 * 1024


def transcript(found: dict[str, Any]) -> dict[str, Any]:
    """The body of the only transcript."""
    [entry] = written(found, "transcript")
    body: dict[str, Any] = json.loads(entry["body"])
    return body


async def test_the_bytes_are_sent_and_the_answer_is_stored(
    store: VconStore, vendors: StandIn
) -> None:
    """With the recording's own type; neither the key nor the URL is in the vCon."""
    found = await after(link, store, canonical(INLINE), hugging(vendors))
    [(_, headers, body)] = vendors.got
    assert (headers["authorization"], headers["content-type"]) == (f"Bearer {KEY}", "audio/wav")
    assert body.startswith(b"RIFF")
    [entry] = written(found, "transcript")
    assert (entry["vendor"], transcript(found)) == ("hugging_face_whisper", {"text": HEARD})
    assert set(entry["vendor_schema"]["opts"]) == {
        "minimum_duration",
        "Content-Type",
        "return_timestamps",
    }
    assert KEY not in json.dumps(found)


@pytest.mark.parametrize("where", ["option", "environment"])
async def test_a_key_may_have_its_scheme_and_be_in_the_environment(
    store: VconStore, vendors: StandIn, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """As in vcon-server's default; the scheme is sent once."""
    key = f"Bearer {KEY}" if where == "option" else None
    monkeypatch.setenv("HF_TOKEN", KEY)
    await after(link, store, canonical(INLINE), hugging(vendors, API_KEY=key))
    [(_, headers, _)] = vendors.got
    assert headers["authorization"] == f"Bearer {KEY}"


async def test_transcribe_and_its_vendor_hugging_face(store: VconStore, vendors: StandIn) -> None:
    """The options are those of the vendor's own link."""
    options = {"vendor": "hugging_face", "vendor_options": hugging(vendors)}
    assert transcript(await after(transcribe, store, canonical(INLINE), options))["text"] == HEARD


async def test_a_long_recording_needs_timestamps(store: VconStore, vendors: StandIn) -> None:
    """Without them the endpoint's advice is in the error; with them they are stored."""
    document = with_recording(tone(LONG))
    await store.put(document)
    with pytest.raises(VendorError, match=r"Hugging Face answered 400: .*return_timestamps"):
        await link.run(document["uuid"], "a_link", hugging(vendors))
    assert not (await now(document))["analysis"]
    found = await after(link, store, document, hugging(vendors, return_timestamps=True))
    assert transcript(found)["chunks"] == [{"text": HEARD, "timestamp": [0.0, 1.5]}]
    sent = json.loads(vendors.got[-1][2])
    assert base64.b64decode(sent["inputs"]).startswith(b"RIFF")


async def test_a_long_recording_may_be_cut(store: VconStore, vendors: StandIn) -> None:
    """Each part keeps the limit, and all text is in one transcript."""
    document = with_recording(tone(LONG))
    found = await after(link, store, document, hugging(vendors, max_chunk_duration=16))
    assert [headers["content-type"] for _, headers, _ in vendors.got] == ["audio/mpeg"] * 2
    body = transcript(found)
    assert body["text"] == f"{HEARD} {HEARD}"
    assert body.keys() == {"text", "chunked_transcription"}


async def test_parts_may_have_a_usage_of_any_form(store: VconStore, vendors: StandIn) -> None:
    """It is of the server's own making, and each part's answer is kept."""
    answers = iter([{"text": "a", "usage": [1]}, {"text": "b", "usage": {"input_tokens": "x"}}])
    options = hugging(vendors, max_chunk_duration=16)
    vendors.replies[PATH] = lambda _: json.dumps(next(answers)).encode()
    body = transcript(await after(link, store, with_recording(tone(LONG)), options))
    assert body["text"] == "a b"
    assert body["chunked_transcription"]["chunk_results"][0]["usage"] == [1]


async def test_base64_counts_in_the_limit_of_bytes(store: VconStore, vendors: StandIn) -> None:
    """A recording that fits only as bytes is encoded."""
    document = with_recording(tone(55))  # 0.84 MiB
    options = hugging(vendors, max_upload_bytes=MEBIBYTE, return_timestamps=True)
    await after(link, store, document, options)
    assert all(len(body) <= MEBIBYTE for _, _, body in vendors.got)
    assert len(vendors.got) == 2


@pytest.mark.parametrize(("form", "kind"), [("au", "audio/mpeg"), ("flac", "audio/flac")])
async def test_a_kind_that_is_not_accepted_is_encoded(
    store: VconStore, vendors: StandIn, form: str, kind: str
) -> None:
    """By its content, independent of its name."""
    document = with_recording([])
    body = base64.urlsafe_b64encode(streamed(form, 0.5)).decode()
    document["dialog"][0].update(body=body, filename="call.wav", mediatype="audio/x-wav")
    await after(link, store, document, hugging(vendors))
    [(_, headers, _)] = vendors.got
    assert headers["content-type"] == kind


@pytest.mark.parametrize("reply", [{"error": "loading"}, [], {"text": None}, "text"])
async def test_an_answer_without_a_text_is_no_transcript(
    store: VconStore, vendors: StandIn, reply: Any
) -> None:
    """Also with the status 200: vcon-server stores an error as the transcript."""
    document, options = canonical(INLINE), hugging(vendors)
    vendors.replies[PATH] = reply
    await store.put(document)
    with pytest.raises(VendorError, match="without a transcript"):
        await link.run(document["uuid"], "a_link", options)
    assert not (await now(document))["analysis"]


async def test_an_answer_without_end_is_not_read_to_its_end(
    store: VconStore, vendors: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of bytes; the request is not repeated, since the next answer would be as large."""
    document, options = canonical(INLINE), hugging(vendors)
    monkeypatch.setattr("links.hugging_face_whisper.MOST_BYTES", 1000)
    vendors.replies[PATH] = {"text": "x" * 2000}
    await store.put(document)
    with pytest.raises(VendorError, match="Hugging Face answered with more than 1000 bytes"):
        await link.run(document["uuid"], "a_link", options)
    assert len(vendors.got) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"API_KEY": "Bearer hf_XXXXX"}, "set API_KEY here or HF_TOKEN"),
        ({"API_KEY": "k", "API_URL": ""}, "set API_URL"),
        ({"API_KEY": "k", "API_URL": "https://xxxxxx.us-east-1.example"}, "set API_URL"),
        ({"API_KEY": "k", "API_URL": "file:///etc/passwd"}, "begins with http:// or https://"),
        ({"API_KEY": "k", "API_URL": "http://host:port"}, "begins with http:// or https://"),
        ({"API_KEY": "k", "max_upload_bytes": 10}, "max_upload_bytes"),
        ({"API_KEY": "k", "minimum_duration": "long"}, "minimum_duration"),
    ],
)
def test_wrong_options_are_told_at_the_start(
    options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vcon-server's placeholders, too, which would fail with the first vCon."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert words in problem("links.hugging_face_whisper", {**QUICK, **options})
