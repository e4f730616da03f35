"""Whisper in this process, with `faster-whisper`.

Each model has a pool of its own with as many threads as it may have transcriptions at once: the
library computes without the GIL, so the event loop goes on. A thread cannot be interrupted. A
transcription that is given up ends with the segment that is being computed, which is at most 30
seconds of the recording, and one that waits for a thread is not begun.

The recording comes from another party, so ffmpeg decodes it in a process with limits, not the
library with PyAV, which therefore need not be installed.
"""

import asyncio
import logging
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from lib.ai.transcription import Transcript
from lib.recordings.audio import samples
from lib.vcon.dialogs import Entry
from lib.web.http_client import kept

PART_SECONDS = 1200.0
"""A longer recording is transcribed in parts; one takes 150 MB while it is computed."""
MOST_MODELS = 2
"""Models that a process keeps; with a further one, that which was unused longest is dropped."""
FULL_SCALE = 32768.0
_LEFT_OUT = ("tokens", "words", "seek")

# The library imports PyAV, of which it uses nothing here, so an empty module is enough.
_PLACED = "av" not in sys.modules and find_spec("av") is None
if _PLACED:
    sys.modules["av"] = ModuleType("av")
try:
    import faster_whisper
    from faster_whisper.tokenizer import _LANGUAGE_CODES
    from tqdm import tqdm
finally:
    if _PLACED:
        del sys.modules["av"]

tqdm.monitor_interval = 0  # its bars are switched off, so they need no thread that watches them
logging.getLogger("faster_whisper").setLevel(logging.WARNING)
LANGUAGES: frozenset[str] = frozenset(_LANGUAGE_CODES)
SIZES: tuple[str, ...] = tuple(faster_whisper.available_models())


class Model(NamedTuple):
    """What is to be loaded, and how many transcriptions it may have at once."""

    name: str
    device: str
    compute_type: str
    cpu_threads: int
    at_once: int
    is_local: bool


class WhisperError(RuntimeError):
    """The model cannot be loaded, or failed."""


class _Loaded:
    """A model and its threads; the first of them loads it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._whisper: Any = None
        self.pool = ThreadPoolExecutor(model.at_once, thread_name_prefix="whisper")

    def heard(
        self, dialog: Entry, given: Mapping[str, Any], given_up: threading.Event
    ) -> Transcript | None:
        """The transcript; None if it was given up."""
        whisper = self._ready()
        segments: list[dict[str, Any]] = []
        language, seconds = "", 0.0
        for start, content in samples(dialog, PART_SECONDS):
            if given_up.is_set():
                return None
            audio = _floats(content)
            found, info = whisper.transcribe(audio, **given)
            language, seconds = language or info.language, start + len(audio) / 16_000
            for segment in _segments(found, start, len(segments)):
                if given_up.is_set():
                    return None
                segments.append(segment)
        text = "".join(each["text"] for each in segments).strip()
        return {"text": text, "language": language, "duration": seconds, "segments": segments}

    def _ready(self) -> Any:
        model = self._model
        with self._lock:
            if self._whisper is None:
                try:
                    self._whisper = faster_whisper.WhisperModel(
                        model.name,
                        device=model.device,
                        compute_type=model.compute_type,
                        cpu_threads=model.cpu_threads,
                        num_workers=model.at_once,
                        local_files_only=model.is_local,
                    )
                except (OSError, RuntimeError, ValueError) as error:
                    text = f"the model {model.name} cannot be loaded: {type(error).__name__}"
                    raise WhisperError(f"{text}: {error}"[:500]) from None
            return self._whisper


_lock = threading.Lock()
_models: OrderedDict[tuple[int, Model], _Loaded] = OrderedDict()


async def transcribed(model: Model, dialog: Entry, given: Mapping[str, Any]) -> Transcript:
    """The transcript of a recording; `given` are options of the library's `transcribe`.

    Raises:
        WhisperError: if the model cannot be loaded.
        MediaError, FetchError, AudioError: see `lib.recordings.audio.samples`.
    """
    kept(("whisper", "models"), _Models)
    loaded, given_up = _loaded(model), threading.Event()
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(loaded.pool, loaded.heard, dialog, given, given_up)
    finally:
        given_up.set()
    assert found is not None
    return found


def close() -> None:
    """Drop all models of this process; the next transcription loads its model again."""
    with _lock:
        dropped = list(_models.values())
        _models.clear()
    for each in dropped:
        each.pool.shutdown(cancel_futures=True)


class _Models:
    """Stands for all models among the clients of an event loop, which the worker closes."""

    async def aclose(self) -> None:
        await asyncio.to_thread(close)


def _loaded(model: Model) -> _Loaded:
    key = (os.getpid(), model)
    with _lock:
        if key not in _models:
            _models[key] = _Loaded(model)
            while len(_models) > MOST_MODELS:
                _, dropped = _models.popitem(last=False)
                dropped.pool.shutdown(wait=False)  # what runs or waits in it is done first
        _models.move_to_end(key)
        return _models[key]


def _floats(content: bytes) -> Any:
    numpy = import_module("numpy")
    return numpy.frombuffer(content, dtype="<i2").astype(numpy.float32) / FULL_SCALE


def _segments(found: Any, offset: float, count: int) -> Iterator[dict[str, Any]]:
    """The segments as the library yields them, with times from the recording's beginning."""
    for number, segment in enumerate(found, count):
        kept = {name: value for name, value in asdict(segment).items() if name not in _LEFT_OUT}
        times = {name: round(kept[name] + offset, 3) for name in ("start", "end")}
        yield {**kept, **times, "id": number}
