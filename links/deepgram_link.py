"""Transcribes recordings with Deepgram.

Reads each dialog of the type `recording`: Deepgram is given its URL, or its content where that is
in the vCon. Writes an analysis of the type `transcript`: the first alternative that Deepgram gives,
with `detected_language`, as JSON. Where Deepgram gives several channels (`multichannel`), the words
and paragraphs of all of them are in it in the order of time, each with its `channel` and, where
there is no other, that as its `speaker`; `channels` has each channel's own answer. Recordings that
are shorter than `minimum_duration` or have a transcript are left alone, so a second run asks for
nothing again; a WAV that does not say how long it is, is measured, and one whose length is not
known is transcribed. Nothing is written of an answer in which no channel reaches
`minimum_confidence`, so that is asked for again. Each transcript is stored as it comes. A vCon that
is not there ends the run.

With a LiteLLM proxy, that is asked for `model` in Deepgram's place, through OpenAI's library (extra
`openai`); it is sent the recording, and tells no confidence. Raises `VendorError` when there is no
answer in the end, `MediaError` and `FetchError` when a recording cannot be had.
"""

import asyncio
import logging
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Self

from deepgram import AsyncDeepgramClient, DeepgramClientEnvironment
from pydantic import Field, SecretStr, field_validator, model_validator

from lib.ai.deepgram_channels import confidence_of, transcript_of
from lib.ai.transcription import Transcript, Vendor, add_transcripts, transcribe_by_proxy, used
from lib.ai_usage import report_usage
from lib.dialogs import Entry, media
from lib.fetching import refuse_private
from lib.metrics import record_histogram
from lib.openai_options import UNSET, ProxyOptions
from lib.plain_calls import plain_too
from lib.web.http_client import shared_client
from lib.web.http_retry import VendorError, ask

with warnings.catch_warnings():
    # It imports itself when it is first used, in the middle of a vCon, and uses old names then.
    warnings.simplefilter("ignore", DeprecationWarning)
    import_module("deepgram.listen.v1.client")
    import_module("deepgram.listen.v1.media.client")

only_through_lib = True

log = logging.getLogger(__name__)

REPORTED = "DEEPGRAM_TRANSCRIBE"
"""What its usage is reported as."""

HOST = "https://api.deepgram.com"
_TEXTS = frozenset({"language", "model", "tier", "version", "encoding"})
"""Options of Deepgram's that are never a switch."""


class Options(ProxyOptions):
    """What to transcribe, and how."""

    deepgram_key: SecretStr = Field(UNSET, alias="DEEPGRAM_KEY", description="Deepgram's key")
    minimum_duration: float = Field(60, description="seconds; shorter recordings are left alone")
    minimum_confidence: float = Field(
        0.5, description="the least confidence, from 0 to 1, of a transcript that is kept"
    )
    api: dict[str, Any] = Field(
        {}, description="Deepgram's own options, such as `model` or `detect_language`"
    )
    model: str = Field("nova-3", description="the model that a LiteLLM proxy is asked for")
    base_url: str = Field(HOST, description="+ where Deepgram is, such as a server of your own")

    @field_validator("api")
    @classmethod
    def _has_texts(cls, api: dict[str, Any]) -> dict[str, Any]:
        """Norway is `no`, which YAML reads as false."""
        for name in _TEXTS & api.keys():
            if isinstance(api[name], bool):
                raise ValueError(f"{name} must be a text; quote it")  # noqa: TRY004 - pydantic's
        return api

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        if not (self.has_proxy or self.deepgram_key.get_secret_value()):
            raise ValueError("set DEEPGRAM_KEY, or LITELLM_PROXY_URL with LITELLM_MASTER_KEY")
        if self.has_proxy:
            # OpenAI's library asks a proxy: that it is missing is told now, not by the first vCon.
            import_module("lib.openai_client")
            import_module("lib.recordings.audio")
        return self

    @property
    def kept(self) -> dict[str, Any]:
        """What a vCon may tell of these options."""
        api = {name: value for name, value in self.api.items() if "callback" not in name}
        told = self.model_dump(include={"minimum_duration", "minimum_confidence"})
        return {**told, "model": self.model} if self.has_proxy else {**told, "api": api}


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the transcripts that are missing; the uuid, or None when there is no such vCon."""
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
    """The transcript if it is good enough."""
    confidence = confidence_of(transcript)
    if confidence is None:
        return transcript
    record_histogram("conserver.link.deepgram.confidence", confidence)
    if confidence >= options.minimum_confidence:
        return transcript
    log.warning("transcript is too uncertain", extra={"vcon": vcon_uuid})
    return None


async def _transcribed(dialog: Entry, vcon_uuid: str, options: Options) -> dict[str, Any]:
    listen = _client(options).listen.v1.media
    # As query parameters: the library's own arguments would be those of one version only.
    asked: Any = {"additional_query_parameters": options.api, "max_retries": 0}
    if dialog.get("body"):
        content = await asyncio.to_thread(media, dialog)
        answer = await ask(
            lambda: listen.transcribe_file(request=content, request_options=asked),
            *(options.patience, "Deepgram"),
        )
    else:
        await asyncio.to_thread(refuse_private, dialog["url"])  # a Deepgram may be the operator's
        answer = await ask(
            lambda: listen.transcribe_url(url=dialog["url"], request_options=asked),
            *(options.patience, "Deepgram"),
        )
    said = answer.model_dump(mode="json", exclude_none=True)
    seconds = round((said.get("metadata") or {}).get("duration") or 0)
    model = str(options.api.get("model", ""))
    await report_usage(options, vcon_uuid, REPORTED, model, "seconds", seconds)
    return _best(said)


def _best(said: dict[str, Any]) -> dict[str, Any]:
    transcript = transcript_of(said.get("results") or {})
    if transcript is None:
        raise VendorError("Deepgram answered without a transcript")
    return transcript


def _client(options: Options) -> AsyncDeepgramClient:
    base = options.base_url.rstrip("/")
    return AsyncDeepgramClient(
        api_key=options.deepgram_key.get_secret_value(),
        environment=DeepgramClientEnvironment(
            base=base, production=base, agent=base, agent_rest=base
        ),
        timeout=options.timeout,
        httpx_client=shared_client(),
    )
