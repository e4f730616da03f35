"""Transcribes recordings with Deepgram.

Reads each dialog of the type `recording`: its URL, or its content if that is in the vCon, is sent
to Deepgram. Writes an analysis of the type `transcript`: Deepgram's first alternative, with
`detected_language`, as JSON. If Deepgram returns several channels (`multichannel`), the transcript
has the words and paragraphs of all channels sorted by time, each with its `channel`, and with the
channel as `speaker` if there is no other; `channels` has each channel's own answer. Recordings
shorter than `minimum_duration` and recordings with a transcript are skipped, so a second run sends
no request; the length of a WAV without a stated duration is measured, and a recording of unknown
length is transcribed. An answer in which no channel reaches `minimum_confidence` is not stored, so
a second run requests it again. Each transcript is stored at once. If the vCon is not in Redis, the
chain ends.

With a LiteLLM proxy, `model` is requested from the proxy instead of Deepgram (with ffmpeg: the
extra `audio`); the content is sent, and there is no confidence. Raises `VendorError` if
the last attempt failed, `MediaError` and `FetchError` if a recording is missing or cannot be
fetched.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from typing import Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from lib.ai.deepgram_channels import confidence_of, transcript_of
from lib.ai.openai_api import without_none
from lib.ai.transcription import (
    MOST_BYTES,
    Transcript,
    Vendor,
    add_transcripts,
    transcribe_by_proxy,
    used,
)
from lib.ai_usage import report_usage
from lib.fetching import refuse_private
from lib.metrics import record_histogram
from lib.openai_options import UNSET, ProxyOptions
from lib.options import vendor_variable
from lib.plain_calls import plain_too
from lib.recordings.media import is_at_hand, media
from lib.vcon.dialogs import Entry
from lib.web.answers import malformed, reading
from lib.web.client_library import httpx
from lib.web.http_retry import VendorError
from lib.web.json_api import call_json

only_through_lib = True
effect = "idempotent"

log = logging.getLogger(__name__)

SERVER = "Deepgram"
REPORTED = "DEEPGRAM_TRANSCRIBE"
"""The `sub_type` of the usage report."""

HOST = "https://api.deepgram.com"
KEYS = ("DEEPGRAM_KEY", "DEEPGRAM_API_KEY")
"""The variables that have Deepgram's key."""
_TEXTS = frozenset({"language", "model", "tier", "version", "encoding"})
"""Deepgram's options that are never a boolean."""


class Options(ProxyOptions):
    """Options of the link."""

    deepgram_key: SecretStr = Field(
        UNSET,
        alias="DEEPGRAM_KEY",
        description="Deepgram's key; unset: the variable `DEEPGRAM_KEY` or `DEEPGRAM_API_KEY`",
    )
    minimum_duration: float = Field(60, description="seconds; shorter recordings are skipped")
    minimum_confidence: float = Field(
        0.5, description="the lowest confidence, from 0 to 1, of a transcript that is stored"
    )
    api: dict[str, Any] = Field(
        {}, description="Deepgram's own options, such as `model` or `detect_language`"
    )
    model: str = Field("nova-3", description="the model requested from a LiteLLM proxy")
    base_url: str = Field(HOST, description="+ the URL of Deepgram, for example your own server")

    @field_validator("api")
    @classmethod
    def _has_texts(cls, api: dict[str, Any]) -> dict[str, Any]:
        """Refuse booleans, such as the language `no` (Norwegian), which YAML parses as false."""
        for name in _TEXTS & api.keys():
            if isinstance(api[name], bool):
                msg = f"{name} must be a text; put it in quotes"
                raise ValueError(msg)  # noqa: TRY004 -- pydantic reports ValueError only
        return api

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        if not (self.has_proxy or self.own_key):
            raise ValueError(
                "set DEEPGRAM_KEY, here or in the environment, or LITELLM_PROXY_URL with"
                " LITELLM_MASTER_KEY"
            )
        if self.has_proxy:
            # The proxy needs ffmpeg; a missing one is reported at load, not in a run.
            import_module("lib.recordings.audio")
        return self

    @cached_property
    def listen_url(self) -> str:
        """The URL of a request, with Deepgram's own options in its query."""
        query = {name: value for name, value in self.api.items() if value is not None}
        return str(httpx.URL(f"{self.base_url.rstrip('/')}/v1/listen", params=query))

    @property
    def own_key(self) -> str:
        """The key of these options, else of the environment."""
        given = self.deepgram_key.get_secret_value().strip()
        return given or next(filter(None, map(vendor_variable, KEYS)), "")

    @property
    def kept(self) -> dict[str, Any]:
        """The options that are stored in the vCon as `vendor_schema`."""
        api = {name: value for name, value in self.api.items() if "callback" not in name}
        told = self.model_dump(include={"minimum_duration", "minimum_confidence"})
        return {**told, "model": self.model} if self.has_proxy else {**told, "api": api}


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the missing transcripts; returns the uuid, or None if the vCon is not in Redis."""
    options = Options.of(opts)

    async def transcribe(dialog: Entry) -> Transcript | None:
        if options.has_proxy:
            return await _by_proxy(dialog, vcon_uuid, options)
        return _certain(await _transcribed(dialog, vcon_uuid, options), vcon_uuid, options)

    schema = {"opts": options.kept}
    vendor = Vendor("deepgram", "deepgram", transcribe, options.minimum_duration, schema)
    return await add_transcripts(vcon_uuid, vendor)


async def _by_proxy(dialog: Entry, vcon_uuid: str, options: Options) -> Transcript:
    answer = await transcribe_by_proxy(options, options.model, dialog)
    await report_usage(options, vcon_uuid, REPORTED, options.model, *used(answer, dialog))
    return {"transcript": answer["text"]}


def _certain(transcript: Transcript, vcon_uuid: str, options: Options) -> Transcript | None:
    """The transcript; None if its confidence is below `minimum_confidence`."""
    confidence = confidence_of(transcript)
    if confidence is None:
        return transcript
    record_histogram("conserver.link.deepgram.confidence", confidence)
    if confidence >= options.minimum_confidence:
        return transcript
    log.warning("transcript below minimum_confidence", extra={"vcon": vcon_uuid})
    return None


async def _transcribed(dialog: Entry, vcon_uuid: str, options: Options) -> dict[str, Any]:
    content: dict[str, Any]
    if dialog.get("body"):
        at_hand = is_at_hand(dialog)
        body = media(dialog) if at_hand else await asyncio.to_thread(media, dialog)
        content = {"content": body}
    else:
        # Deepgram may run in the operator's network, where it could fetch internal URLs.
        await asyncio.to_thread(refuse_private, dialog["url"])
        content = {"json": {"url": dialog["url"]}}
    answer = without_none(await _asked(options, content))
    with reading(SERVER, "a transcript", answer):
        transcript = _readable(transcript_of(answer.get("results") or {}))
        seconds = round((answer.get("metadata") or {}).get("duration") or 0)
    model = str(options.api.get("model", ""))
    await report_usage(options, vcon_uuid, REPORTED, model, "seconds", seconds)
    if transcript is None:
        raise VendorError(f"{SERVER} answered without a transcript")
    return transcript


def _readable(transcript: dict[str, Any] | None) -> dict[str, Any] | None:
    """The transcript, whose text and confidence are of the types that later steps expect."""
    if transcript is not None and not isinstance(transcript.get("transcript", ""), str):
        raise TypeError("transcript")
    confidence_of(transcript or {})
    return transcript


async def _asked(options: Options, content: Mapping[str, Any]) -> dict[str, Any]:
    kind = {"content-type": "application/octet-stream"} if "content" in content else {}
    answer = await call_json(
        "POST",
        options.listen_url,
        server=SERVER,
        retry=options.http_retry,
        headers={"authorization": f"Token {options.own_key}", **kind},
        most_bytes=MOST_BYTES,
        **content,
    )
    if not isinstance(answer.body, dict):
        raise malformed(SERVER, "a transcript", answer.body)
    return answer.body
