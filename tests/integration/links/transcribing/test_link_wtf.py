"""The link that transcribes with a vfun server, against one that keeps its rules."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lib.fetching import FetchError
from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    KEY,
    after,
    asking_vfun,
    now,
    problem,
)
from tests.integration.support.http_stand_in import Request, StandIn
from tests.integration.support.vendors import vfun
from tests.integration.support.vendors_scene import HEARD, INLINE, streamed, wav, written
from tests.plugins.scene import Later, canonical

link = Later("links.wtf_transcribe")
KIND = "wtf_transcription"


def sent(vendors: StandIn) -> dict[str, tuple[str, bytes]]:
    """The form of the only request."""
    [(path, headers, body)] = vendors.got
    return vfun.form(Request("POST", path, headers, body))


def holding(content: bytes, **dialog: Any) -> dict[str, Any]:
    """A vCon with this recording in it."""
    document = canonical(INLINE)
    del document["dialog"][0]["content_hash"]
    body = base64.urlsafe_b64encode(content).decode()
    document["dialog"][0].update(body=body, **dialog)
    return document


async def test_the_recording_is_sent_as_a_form(store: VconStore, vendors: StandIn) -> None:
    """With its content unchanged, and the key as a bearer token that is not in the vCon."""
    content = wav([0, 1, 2]) + b"\r\n--\r\n"
    found = await after(link, store, holding(content), asking_vfun(vendors))
    form = sent(vendors)
    assert form["file-binary"][1] == content
    assert form["diarize"][1] == b"false"
    assert "language" not in form
    assert vendors.got[0][1]["authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(found)


async def test_the_answer_is_stored_in_its_format(store: VconStore, vendors: StandIn) -> None:
    """As vcon-server does, and the extension is listed in the vCon."""
    found = await after(link, store, canonical(INLINE), asking_vfun(vendors))
    [entry] = written(found, KIND)
    assert json.loads(entry.pop("body")) == vfun.answer(HEARD)
    assert entry == {
        "type": KIND,
        "dialog": 0,
        "vendor": "vfun",
        "encoding": "json",
        "mediatype": "application/json",
        "schema": "wtf-1.0",
    }
    assert found["extensions"] == [KIND]


async def test_language_and_speakers(store: VconStore, vendors: StandIn) -> None:
    """They are sent, and the language is that of the transcript; a key is optional."""
    options = asking_vfun(vendors, language="en", diarize="true", **{"api-key": None})
    found = await after(link, store, canonical(INLINE), options)
    form = sent(vendors)
    assert (form["language"][1], form["diarize"][1]) == (b"en", b"true")
    assert "authorization" not in vendors.got[0][1]
    [entry] = written(found, KIND)
    assert json.loads(entry["body"])["transcript"]["language"] == "en"


@pytest.mark.parametrize(
    ("form", "stated", "name", "kind", "filename"),
    [
        ("flac", "audio/x-wav", "call.wav", "audio/flac", "call.flac"),
        ("ogg", "audio/ogg; codecs=flac", "call", "audio/ogg; codecs=flac", "call.ogg"),
        ("adts", "audio/ogg\r\nx: y", "a\r\nb.aac", "audio/aac", "a%0D%0Ab.aac"),
    ],
)
async def test_the_media_type_is_that_of_the_content(
    store: VconStore,
    vendors: StandIn,
    form: str,
    stated: str,
    name: str,
    kind: str,
    filename: str,
) -> None:
    """vcon-server sends audio/wav for every recording; a line break stays out of the form."""
    document = holding(streamed(form, 0.2), mediatype=stated, filename=name)
    await after(link, store, document, asking_vfun(vendors))
    head, _ = sent(vendors)["file-binary"]
    assert f"Content-Type: {kind}" in head.split("\r\n")
    assert f'filename="{filename}"' in head


async def test_an_answer_of_json_in_json(store: VconStore, vendors: StandIn) -> None:
    """Some servers encode it twice."""
    options = asking_vfun(vendors)
    vendors.replies[vfun.PATH] = json.dumps(vfun.answer(HEARD))
    [entry] = written(await after(link, store, canonical(INLINE), options), KIND)
    assert json.loads(entry["body"]) == vfun.answer(HEARD)


@pytest.mark.parametrize(
    "reply",
    [
        *("text", [], {}, None, {"transcript": None}, {"transcript": {"text": 1}}),
        {"transcript": {"text": "a"}, "segments": {}},
    ],
)
async def test_an_answer_in_another_format_is_not_stored(
    store: VconStore, vendors: StandIn, reply: Any
) -> None:
    """It fails the run; vcon-server continues without a transcription."""
    options, document = asking_vfun(vendors), canonical(INLINE)
    vendors.replies[vfun.PATH] = reply
    await store.put(document)
    with pytest.raises(VendorError, match="transcript"):
        await link.run(document["uuid"], "a_link", options)
    assert not (await now(document))["analysis"]


async def test_a_file_of_this_host_is_not_sent(
    store: VconStore, vendors: StandIn, tmp_path: Path
) -> None:
    """vcon-server opens `file://`, so the author of a vCon could read the host's files."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav([1]))
    document, options = canonical(INLINE), asking_vfun(vendors)
    dialog = document["dialog"][0]
    del dialog["body"], dialog["content_hash"], dialog["encoding"]
    dialog["url"] = secret.as_uri()
    await store.put(document)
    with pytest.raises(FetchError, match="only http:// and https://"):
        await link.run(document["uuid"], "a_link", options)
    assert vendors.got == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "vfun-server-url: Field required"),
        ({"vfun-server-url": None}, "vfun-server-url: Field required"),
        ({"vfun-server-url": "vfun:4380"}, "begins with http:// or https://"),
        ({"vfun-server-url": "http://v", "vfun-timeout": 0}, "vfun-timeout"),
        ({"vfun-server-url": "http://v", "diarize": "perhaps"}, "diarize"),
    ],
)
def test_wrong_options_are_told_at_the_start(options: dict[str, Any], words: str) -> None:
    """Without the URL vcon-server ends every chain."""
    assert words in problem("links.wtf_transcribe", options)
