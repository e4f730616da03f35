"""The steps that the transcribing links share."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from lib.ai.openai_api import OpenAIApi, without_none
from lib.metrics import increment_counter, record_histogram
from lib.openai_options import ProxyOptions
from lib.recordings.media import is_at_hand, measured_duration
from lib.vcon.dialogs import Document, Entry, add_analysis, analysis_of, duration_of, recordings
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_retry import VendorError

type Transcript = dict[str, Any]

PROXY = "the LiteLLM proxy"
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of an answer with the transcript of one recording, which may have a time for each word."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A transcription vendor. `transcribe` returns None for a transcript that must not be stored.

    `metric` stands in the metrics' names: `conserver.link.METRIC.transcription_time`. `kind` is the
    type of the analysis, and `members` are those it has besides the usual ones and
    `vendor_schema`, which is left out if it is empty. `extension` is listed in the vCon's
    `extensions`.
    """

    name: str
    metric: str
    transcribe: Callable[[Entry], Awaitable[Transcript | None]]
    minimum_duration: float
    vendor_schema: Mapping[str, Any]
    kind: str = "transcript"
    members: Mapping[str, Any] = field(default_factory=dict)
    extension: str = ""

    @property
    def further(self) -> dict[str, Any]:
        """The members of an analysis besides type, dialog, vendor, body and encoding."""
        schema = {"vendor_schema": dict(self.vendor_schema)} if self.vendor_schema else {}
        return {**self.members, **schema}


async def add_transcripts(vcon_uuid: str, vendor: Vendor) -> str | None:
    """Add the missing transcripts; returns the uuid, or None if the vCon is not in Redis.

    Each transcript is stored at once, so a later failure does not lose one that was paid for.
    """
    redis = AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    for index, dialog in recordings(document):
        if analysis_of(document, index, vendor.kind) or not await _is_long(dialog, vendor):
            continue
        transcript = await _measured(dialog, vendor)
        if transcript is None:
            continue
        add_analysis(
            document,
            kind=vendor.kind,
            dialog=index,
            vendor=vendor.name,
            body=transcript,
            **vendor.further,
        )
        _list_extension(document, vendor.extension)
        await redis.store_vcon_dict(document)
    return vcon_uuid


def _list_extension(document: Document, name: str) -> None:
    listed = document.get("extensions") or []
    if name and isinstance(listed, list) and name not in listed:
        document["extensions"] = [*listed, name]


async def _is_long(dialog: Entry, vendor: Vendor) -> bool:
    if vendor.minimum_duration <= 0:
        return True
    at_once = duration_of(dialog) is not None or is_at_hand(dialog)
    find = measured_duration
    duration = find(dialog) if at_once else await asyncio.to_thread(find, dialog)
    return duration is None or duration >= vendor.minimum_duration


async def _measured(dialog: Entry, vendor: Vendor) -> Transcript | None:
    began, metric = time.perf_counter(), f"conserver.link.{vendor.metric}"
    try:
        transcript = await vendor.transcribe(dialog)
    except VendorError:
        increment_counter(f"{metric}.transcription_failures")
        raise
    record_histogram(f"{metric}.transcription_time", time.perf_counter() - began)
    if transcript is None:
        increment_counter(f"{metric}.transcription_failures")
    return transcript


async def transcribe_by_proxy(options: ProxyOptions, model: str, dialog: Entry) -> Transcript:
    """A LiteLLM proxy's answer for a recording, with the transcript as `text`.

    Raises:
        VendorError: if the last attempt failed, or the answer has no text.
        AudioError: if the recording must be converted for the proxy and ffmpeg cannot read it.
    """
    access = {
        "LITELLM_PROXY_URL": options.litellm_proxy_url,
        "LITELLM_MASTER_KEY": options.litellm_master_key.get_secret_value(),
    }
    api = OpenAIApi.of(access)
    # Imported here: transcription without a proxy does not need ffmpeg.
    audio = import_module("lib.recordings.audio")
    parts = await audio.uploaded(dialog, audio.Accepted(audio.OPENAI_ENDINGS))

    async def hear(part: tuple[str, bytes]) -> Transcript:
        answer = await api.ask(
            "audio/transcriptions",
            model,
            server=PROXY,
            retry=options.http_retry,
            data={},
            files={"file": part},
        )
        return transcript_in(answer, PROXY)

    return combined([await hear(part) for part in parts])


def used(answer: Transcript, dialog: Entry) -> tuple[str, float, float]:
    """The billed usage of an OpenAI-style answer: the unit, the input units, the output units.

    Some models are billed by token, others by second. If the answer has no seconds, the dialog's
    duration is used.
    """
    usage = _usage(answer)
    if tokens := usage.get("input_tokens"):
        return "tokens", tokens, usage.get("output_tokens") or 0
    seconds = (usage.get("seconds"), answer.get("duration"), duration_of(dialog))
    return "seconds", next((round(float(each)) for each in seconds if each), 0), 0


def combined(answers: Sequence[Transcript]) -> Transcript:
    """One transcript from the answers to all parts of a recording."""
    if len(answers) == 1:
        return answers[0]
    return {
        **answers[0],
        "text": " ".join(each["text"] for each in answers if each["text"]),
        "usage": _sum([_usage(each) for each in answers]),
        "chunked_transcription": {"total_chunks": len(answers), "chunk_results": list(answers)},
    }


def _usage(answer: Transcript) -> Mapping[str, Any]:
    """The billed usage; servers of other makers may send something else under that name."""
    usage = answer.get("usage")
    return usage if isinstance(usage, Mapping) else {}


def _sum(usages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    by_time = any(each.get("type") == "duration" for each in usages)
    names = ("seconds",) if by_time else ("input_tokens", "output_tokens", "total_tokens")
    found = {name: [each.get(name) for each in usages] for name in names}
    sums = {name: sum(n for n in found[name] if isinstance(n, int | float)) for name in names}
    return {"type": "duration" if by_time else "tokens", **sums}


def transcript_in(answer: Transcript, server: str) -> Transcript:
    """An OpenAI-style answer with its `text`, without members that are None.

    Raises:
        VendorError: if it has no text.
    """
    if not isinstance(answer.get("text"), str):
        raise VendorError(f"{server} answered without a transcript")
    found: Transcript = without_none(answer)
    return found
