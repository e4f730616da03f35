"""Transcribes recordings with Groq's Whisper.

Reads each dialog of the type `recording`, from the vCon or from its URL. Writes an analysis of the
type `transcript`: Groq's answer as JSON with `text`. Recordings shorter than `minimum_duration` and
recordings with a transcript are skipped, so a second run sends no request; a recording of unknown
length is transcribed. A recording of a kind that Groq does not accept, or of more than
`max_upload_bytes`, is encoded as MP3, and sent in parts if it is still too large; then
`chunked_transcription` has each part's answer. Each transcript is stored at once. If the vCon is
not in Redis, the chain ends.

Groq's own variable `GROQ_BASE_URL` changes the address of its API. Raises `VendorError` if the last
attempt failed, `MediaError` and `FetchError` if a recording is missing or cannot be fetched, and
`AudioError` if it must be encoded and ffmpeg cannot read it.
"""

from collections.abc import Mapping
from typing import Any, Self

from groq import AsyncGroq, Groq, GroqError
from pydantic import Field, SecretStr, model_validator

from lib.ai.transcription import Transcript, Vendor, add_transcripts, combined, transcript_in
from lib.plain_calls import plain_too
from lib.recordings.audio import GROQ_ENDINGS, MAX_UPLOAD_BYTES, MEBIBYTE, Accepted, Part, uploaded
from lib.vcon.dialogs import Entry
from lib.web.answers import reading
from lib.web.http_client import following_client, kept
from lib.web.http_retry import HttpRetryOptions, call_vendor

only_through_lib = True
effect = "idempotent"

SERVER = "Groq"


class Options(HttpRetryOptions):
    """Options of the link."""

    api_key: SecretStr = Field(
        SecretStr(""),
        alias="API_KEY",
        description="Groq's key; unset: Groq's own variable `GROQ_API_KEY`",
    )
    minimum_duration: float = Field(30, description="seconds; shorter recordings are skipped")
    content_type: str = Field(
        "audio/flac",
        alias="Content-Type",
        description="not sent, as with vcon-server: Groq uses the ending of the file name",
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
        """Groq's limits for one request."""
        return Accepted(GROQ_ENDINGS, self.max_upload_bytes)

    @property
    def key(self) -> str | None:
        """The key, or None for `GROQ_API_KEY`."""
        return self.api_key.get_secret_value() or None


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the missing transcripts; returns the uuid, or None if the vCon is not in Redis."""
    options = Options.of(opts)

    async def transcribe(dialog: Entry) -> Transcript:
        return await _transcribed(dialog, options)

    stored_options = {
        "minimum_duration": options.minimum_duration,
        "Content-Type": options.content_type,
        "model": options.model,
    }
    vendor = Vendor(
        "groq_whisper",
        "groq_whisper",
        transcribe,
        options.minimum_duration,
        {"opts": stored_options},
    )
    return await add_transcripts(vcon_uuid, vendor)


async def _transcribed(dialog: Entry, options: Options) -> Transcript:
    parts = await uploaded(dialog, options.accepted)
    return combined([await _transcribe_part(part, options) for part in parts])


async def _transcribe_part(part: Part, options: Options) -> Transcript:
    client = kept(
        ("groq", options.key, options.timeout),
        lambda: AsyncGroq(
            api_key=options.key,
            timeout=options.timeout,
            max_retries=0,
            http_client=following_client(),
        ),
    )
    answer: Any = await call_vendor(
        lambda: client.audio.transcriptions.create(
            model=options.model, file=part, response_format="json"
        ),
        options.http_retry,
        SERVER,
    )
    with reading(SERVER, "a transcript", answer):
        found = answer.model_dump(mode="json", warnings=False)  # the library checks no types
    return transcript_in(found, SERVER)
