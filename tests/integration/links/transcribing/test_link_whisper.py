"""Whisper in this process: the real library, with a small model that the tests make."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.recordings.audio import AudioError
from pipeline.runs.vcon_store import VconStore
from tests.integration.links.vendor_links_scene import (
    CEILING_SECONDS,
    MISSING,
    after,
    now,
    problem,
)
from tests.integration.support.vendors_scene import INLINE, tone, with_recording, written
from tests.integration.support.whisper_model import SECONDS, SENTENCE, write_model
from tests.plugins.scene import Later, canonical

link, transcribe = Later("links.whisper_builtin"), Later("links.transcribe")
local_whisper = Later("lib.ai.local_whisper")
pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model."""
    return write_model(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def options(folder: Path) -> Iterator[dict[str, Any]]:
    """Options for it; the tests share the loaded model."""
    yield {"model_path": str(folder), "device": "cpu", "cpu_threads": 1}
    local_whisper.close()


def transcript(found: dict[str, Any]) -> dict[str, Any]:
    """The body of the only transcript."""
    [entry] = written(found, "transcript")
    body: dict[str, Any] = json.loads(entry["body"])
    return body


async def test_a_recording_is_transcribed(
    store: VconStore, options: dict[str, Any], folder: Path
) -> None:
    """With text, language and segments; the folder's place is not in the vCon."""
    found = await after(link, store, with_recording(tone(2)), options)
    [entry] = written(found, "transcript")
    assert (entry["vendor"], entry["dialog"]) == ("whisper_builtin", 0)
    assert entry["vendor_schema"]["opts"]["model_size"] == folder.name
    assert str(folder.parent) not in json.dumps(found)
    body = transcript(found)
    assert (body["text"], body["language"], body["duration"]) == (SENTENCE, "en", 2.0)
    [segment] = body["segments"]
    assert (segment["id"], segment["start"], segment["end"]) == (0, 0.0, SECONDS)
    assert segment["text"].strip() == SENTENCE
    assert {"avg_logprob", "no_speech_prob"} < segment.keys()


@pytest.mark.parametrize("name", ["vendor_options", "transcribe_options"])
async def test_it_is_what_transcribe_does_without_a_vendor(
    store: VconStore, options: dict[str, Any], name: str
) -> None:
    """With vcon-server's options, also under their former name."""
    given = {name: {"model_size": "base", "output_options": ["vendor"], **options}}
    assert transcript(await after(transcribe, store, canonical(INLINE), given))["text"] == SENTENCE


async def test_a_second_run_computes_nothing(store: VconStore, options: dict[str, Any]) -> None:
    """The vCon is the same after it, and a model that does not exist is not missed."""
    once = await after(link, store, canonical(INLINE), options)
    other = {"model_size": "missing/model", "download": False}
    assert await after(link, store, once, other) == once


async def test_a_long_recording_is_transcribed_in_parts(
    store: VconStore, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut in a silence; times count from the beginning, and ids are those of one list."""
    monkeypatch.setattr("lib.ai.local_whisper.PART_SECONDS", 2.0)
    spoken = tone(1.5) + tone(0.8, 0) + tone(1.2)
    body = transcript(await after(link, store, with_recording(spoken), options))
    assert body["text"] == f"{SENTENCE} {SENTENCE}"
    assert body["duration"] == pytest.approx(3.5, abs=0.01)
    assert [each["id"] for each in body["segments"]] == [0, 1]
    cut = body["segments"][1]["start"]
    assert cut == pytest.approx(1.9, abs=0.2)
    assert body["segments"][1]["end"] == pytest.approx(cut + SECONDS)


async def test_the_event_loop_goes_on(store: VconStore, options: dict[str, Any]) -> None:
    """The model computes in its own threads, `at_once` of them."""
    threads: set[str] = set()
    heard = local_whisper._Loaded.heard

    def told(self: Any, *arguments: Any) -> Any:
        threads.add(threading.current_thread().name)
        return heard(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lib.ai.local_whisper._Loaded.heard", told)
        documents = [with_recording(tone(1)) | {"uuid": f"{MISSING[:-1]}{n}"} for n in range(1, 5)]
        for each in documents:
            await store.put(each)
        runs = [link.run(each["uuid"], "a_link", options) for each in documents]
        assert await asyncio.gather(*runs) == [each["uuid"] for each in documents]
    assert len(threads) == 1
    assert threads.pop().startswith("whisper")


async def test_a_transcription_that_is_given_up_ends(
    store: VconStore, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its current segment: the thread is free for the next one."""
    begun, go_on, segments = threading.Event(), threading.Event(), []
    made = local_whisper._segments

    def held(found: Any, offset: float, count: int) -> Iterator[dict[str, Any]]:
        for segment in made(found, offset, count):
            segments.append(segment)
            begun.set()
            go_on.wait(CEILING_SECONDS)
            yield segment

    monkeypatch.setattr("lib.ai.local_whisper._segments", held)
    document = with_recording(tone(70))
    await store.put(document)
    run = asyncio.create_task(link.run(document["uuid"], "a_link", options))
    await asyncio.to_thread(begun.wait, CEILING_SECONDS)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    go_on.set()
    monkeypatch.setattr("lib.ai.local_whisper._segments", made)
    assert not (await now(document))["analysis"]
    assert (await after(link, store, canonical(INLINE), options))["analysis"]
    assert len(segments) == 1  # of three windows


async def test_models_that_are_not_used_are_dropped(folder: Path, tmp_path: Path) -> None:
    """A process keeps two, however many a configuration that changes has named."""
    local_whisper.close()
    for number in range(3):
        other = tmp_path / str(number)
        shutil.copytree(folder, other)
        local_whisper._loaded(link.Options(model_path=str(other)).model)
    kept = [model.name for _, model in local_whisper._models]
    assert kept == [str(tmp_path / "1"), str(tmp_path / "2")]
    local_whisper.close()
    assert not local_whisper._models


async def test_what_ffmpeg_cannot_read_is_told(store: VconStore, options: dict[str, Any]) -> None:
    """And the model is not asked."""
    document = with_recording([])
    document["dialog"][0].update(body="bm8gcmVjb3JkaW5n", duration=10)
    await store.put(document)
    with pytest.raises(AudioError, match="cannot read the recording"):
        await link.run(document["uuid"], "a_link", options)


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
async def test_a_model_that_cannot_be_loaded_is_told(
    store: VconStore, options: dict[str, Any], folder: Path, tmp_path: Path, name: str
) -> None:
    """By its name, with the library's words; the next call tries again."""
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / name).write_bytes(b"{")
    document = canonical(INLINE)
    await store.put(document)
    for _ in range(2):
        with pytest.raises(local_whisper.WhisperError, match=r"broken cannot be loaded: "):
            await link.run(document["uuid"], "a_link", {**options, "model_path": str(broken)})
    assert not (await now(document))["analysis"]


async def test_nothing_is_downloaded_if_that_is_forbidden(store: VconStore) -> None:
    """A model that is not in the cache of this machine is told."""
    document = canonical(INLINE)
    await store.put(document)
    with pytest.raises(local_whisper.WhisperError, match="the model tiny cannot be loaded"):
        await link.run(document["uuid"], "a_link", {"model_size": "tiny", "download": False})


async def test_a_vcon_that_is_not_there_ends_the_run(options: dict[str, Any]) -> None:
    """No model is loaded for it."""
    assert await link.run(MISSING, "a_link", {**options, "at_once": 3}) is None


def test_the_librarys_decoder_is_not_needed_and_not_there() -> None:
    """It has parts under the GPL, and would decode what others send in this process."""
    assert local_whisper.faster_whisper.WhisperModel
    assert "av" not in sys.modules
    assert logging.getLogger("faster_whisper").level == logging.WARNING


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model_size": "huge"}, "must be one of tiny.en, tiny, base"),
        ({"model_size": ""}, "model_size"),
        ({"output_options": ["word_srt"]}, "Input should be 'vendor'"),
        ({"language": "klingon"}, "language: must be a code of Whisper"),
        ({"at_once": 0}, "at_once"),
        ({"device": "tpu"}, "device"),
        ({"model_path": "/nowhere"}, "has no model.bin, config.json, tokenizer.json, vocabulary"),
    ],
)
def test_wrong_options_are_told_at_the_start(options: dict[str, Any], words: str) -> None:
    """Also what is missing in a folder: the library would download it at run time."""
    assert words in problem("links.whisper_builtin", options)
    assert words in problem("links.transcribe", {"vendor_options": options})
