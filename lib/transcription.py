"""What the links that transcribe recordings have in common."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from lib.dialogs import (
    Entry,
    add_analysis,
    analysis_of,
    duration_of,
    measured_duration,
    media,
    recordings,
)
from lib.metrics import increment_counter, record_histogram
from lib.openai_options import ProxyOptions
from lib.patience import VendorError, ask
from lib.vcon_redis import AsyncVconRedis

type Transcript = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who transcribes: `transcribe` gives None for a recording whose transcript is not to be kept.

    `metric` is what its metrics are called: `conserver.link.METRIC.transcription_time`.
    """

    name: str
    metric: str
    transcribe: Callable[[Entry], Awaitable[Transcript | None]]
    minimum_duration: float
    vendor_schema: Mapping[str, Any]


async def add_transcripts(vcon_uuid: str, vendor: Vendor) -> str | None:
    """Add the transcripts that are missing; the uuid, or None when there is no such vCon.

    Each is stored as it comes, so what was paid for is not lost when a later one fails.
    """
    redis = AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    for index, dialog in recordings(document):
        if analysis_of(document, index, "transcript") or not await _is_long(dialog, vendor):
            continue
        transcript = await _measured(dialog, vendor)
        if transcript is None:
            continue
        add_analysis(
            document,
            kind="transcript",
            dialog=index,
            vendor=vendor.name,
            body=transcript,
            vendor_schema=vendor.vendor_schema,
        )
        await redis.store_vcon_dict(document)
    return vcon_uuid


async def _is_long(dialog: Entry, vendor: Vendor) -> bool:
    duration = await asyncio.to_thread(measured_duration, dialog)
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
    """What a LiteLLM proxy answers to a recording, with the `text` that it hears.

    Raises:
        VendorError: when there is no answer in the end, or none in words.
    """
    content = await asyncio.to_thread(media, dialog)
    access = {
        "LITELLM_PROXY_URL": options.litellm_proxy_url,
        "LITELLM_MASTER_KEY": options.litellm_master_key.get_secret_value(),
    }
    # Only here: who transcribes without a proxy needs no library of OpenAI's.
    openai_client = import_module("lib.openai_client")
    client = openai_client.get_async_openai_client(access, timeout=options.timeout)
    file = (file_name(dialog), content)
    answer: Any = await ask(
        lambda: client.audio.transcriptions.create(model=model, file=file),
        *(options.patience, "the LiteLLM proxy"),
    )
    text = text_of(answer, "the LiteLLM proxy")
    return {**answer.model_dump(mode="json", exclude_none=True), "text": text}


def used(answer: Transcript, dialog: Entry) -> tuple[str, float, float]:
    """What an answer of OpenAI's kind cost: the unit, and how many of input and of output.

    Some models are paid by the token, and some by the second, which not every server tells.
    """
    usage = answer.get("usage") or {}
    if tokens := usage.get("input_tokens"):
        return "tokens", tokens, usage.get("output_tokens") or 0
    told = (usage.get("seconds"), answer.get("duration"), duration_of(dialog))
    return "seconds", next((round(float(each)) for each in told if each), 0), 0


def text_of(answer: Any, server: str) -> str:
    """The text of an answer of OpenAI's kind.

    Raises:
        VendorError: when there is none.
    """
    text = getattr(answer, "text", None)
    if not isinstance(text, str):
        raise VendorError(f"{server} answered without a transcript")
    return text


def file_name(dialog: Entry) -> str:
    """A name for a recording, with an ending that tells its kind, which vendors go by."""
    path = urlsplit(str(dialog.get("url") or "")).path
    given = dialog.get("filename") or path.rpartition("/")[2]
    kind = str(dialog.get("mediatype") or "").rpartition("/")[2].removeprefix("x-")
    ending = {"mpeg": "mp3", "mp4": "m4a"}.get(kind, kind) or "wav"
    return str(given) if "." in str(given) else f"recording.{ending}"
