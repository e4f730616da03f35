"""Transcribes recordings with Groq's Whisper.

Reads each dialog of the type `recording`, from the vCon or from its URL. Writes an analysis of the
type `transcript`: what Groq answers, as JSON with `text`. Recordings that are shorter than
`minimum_duration` or have a transcript are left alone, so a second run asks for nothing again; one
whose length is not known is transcribed. What Groq does not take, by its kind or because it has
more than `max_upload_bytes`, is encoded as MP3, and sent in parts if that is still too large; then
there is also `chunked_transcription` with each part's answer. Each transcript is stored as it
comes. A vCon that is not there ends the run.

Where Groq is, its own variable `GROQ_BASE_URL` may say. Raises `VendorError` when there is no
answer in the end, `MediaError` and `FetchError` when a recording cannot be had, and `AudioError`
for one that has to be encoded and cannot be read.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from groq import AsyncGroq, Groq, GroqError
from pydantic import Field, SecretStr, model_validator

from lib.ai.transcription import Transcript, Vendor, add_transcripts, combined, heard
from lib.dialogs import Entry
from lib.plain_calls import plain_too
from lib.recordings.audio import GROQ_ENDINGS, MAX_UPLOAD_BYTES, MEBIBYTE, Accepted, Part, uploads
from lib.web.http_client import kept
from lib.web.http_retry import PatientOptions, ask

only_through_lib = True

SERVER = "Groq"


class Options(PatientOptions):
    """What to transcribe, and how."""

    api_key: SecretStr = Field(
        SecretStr(""),
        alias="API_KEY",
        description="Groq's key; where it is not given, Groq's own variable `GROQ_API_KEY` counts",
    )
    minimum_duration: float = Field(30, description="seconds; shorter recordings are left alone")
    content_type: str = Field(
        "audio/flac",
        alias="Content-Type",
        description="not sent, as with vcon-server: the recording's name says what it is",
    )
    model: str = Field("whisper-large-v3-turbo", description="+ the model")
    max_upload_bytes: int = Field(25 * MEBIBYTE, ge=MEBIBYTE, description=MAX_UPLOAD_BYTES)

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        try:
            Groq(api_key=self.key).close()
        except GroqError:
            raise ValueError("set API_KEY here or GROQ_API_KEY in the environment") from None
        return self

    @property
    def accepted(self) -> Accepted:
        """What Groq takes in one request."""
        return Accepted(GROQ_ENDINGS, self.max_upload_bytes)

    @property
    def key(self) -> str | None:
        """The key, or None for that of the environment."""
        return self.api_key.get_secret_value() or None


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the transcripts that are missing; the uuid, or None when there is no such vCon."""
    options = Options.of(opts)
    told = {"minimum_duration": options.minimum_duration, "Content-Type": options.content_type}

    async def transcribe(dialog: Entry) -> Transcript:
        return await _transcribed(dialog, options)

    schema = {"opts": {**told, "model": options.model}}
    vendor = Vendor("groq_whisper", "groq_whisper", transcribe, options.minimum_duration, schema)
    return await add_transcripts(vcon_uuid, vendor)


async def _transcribed(dialog: Entry, options: Options) -> Transcript:
    parts = await asyncio.to_thread(uploads, dialog, options.accepted)
    return combined([await _heard(part, options) for part in parts])


async def _heard(part: Part, options: Options) -> Transcript:
    client = kept(
        ("groq", options.key, options.timeout),
        lambda: AsyncGroq(api_key=options.key, timeout=options.timeout, max_retries=0),
    )
    answer: Any = await ask(
        lambda: client.audio.transcriptions.create(
            model=options.model, file=part, response_format="json"
        ),
        *(options.patience, SERVER),
    )
    return heard(answer, SERVER)
