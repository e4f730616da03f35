"""Transcribes recordings with OpenAI, Azure or a LiteLLM proxy.

Reads each dialog of the type `recording`, from the vCon or from its URL. Writes an analysis of the
type `transcript`: the vendor's answer (`text`, `usage`) as JSON. A recording longer than
`max_chunk_duration` is cut at each multiple of it, or in a silence nearby, and sent in parts; then
`chunked_transcription` has each part's answer. The duration is read from the file or measured; if
that fails, the vCon's `duration` counts, and without it the recording is sent whole. A recording of
a kind that the vendor does not accept, or of more than `max_upload_bytes`, is encoded as MP3 first.
Recordings shorter than `minimum_duration` and recordings with a transcript are skipped, so a second
run sends no request; a recording of unknown length is transcribed. Each transcript is stored at
once. If the vCon is not in Redis, the chain ends.

OpenAI's own variable `OPENAI_BASE_URL` changes the address of its API. Raises `VendorError` if the
last attempt failed, `MediaError` and `FetchError` if a recording is missing or cannot be fetched,
and `AudioError` if it must be encoded or cut and ffmpeg cannot read it.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import Field

from lib.ai.openai_api import OpenAIApi
from lib.ai.transcription import Transcript, Vendor, add_transcripts, combined, transcript_in, used
from lib.ai_usage import report_usage
from lib.openai_options import OpenAIOptions
from lib.plain_calls import plain_too
from lib.recordings.audio import (
    MAX_UPLOAD_BYTES,
    MEBIBYTE,
    OPENAI_ENDINGS,
    Accepted,
    Part,
    uploaded,
)
from lib.vcon.dialogs import Entry

only_through_lib = True
effect = "idempotent"

SERVER = "the transcription server"


class Options(OpenAIOptions):
    """Options of the link."""

    model: str = Field("gpt-4o-transcribe", description="the model")
    minimum_duration: float = Field(3, description="seconds; shorter recordings are skipped")
    max_chunk_duration: float = Field(
        480, gt=0, description="seconds of one part; longer recordings are cut"
    )
    max_upload_bytes: int = Field(25 * MEBIBYTE, ge=MEBIBYTE, description=MAX_UPLOAD_BYTES)
    use_silence_chunking: bool = Field(
        True, description="whether to cut in a silence near a multiple of `max_chunk_duration`"
    )
    silence_thresh: float = Field(-40, le=0, description="dBFS; quieter audio is silence")
    silence_len: float = Field(2000, gt=0, description="the minimum milliseconds of a silence")
    language: str = Field(
        "",
        description="the language spoken, in ISO 639-1; unset: detected by the vendor, as always "
        "with vcon-server, which does not send its default `en`",
    )

    @cached_property
    def api(self) -> OpenAIApi:
        """Where the model is."""
        return OpenAIApi.of(self.access)

    @property
    def accepted(self) -> Accepted:
        """The vendor's limits for one request."""
        return Accepted(OPENAI_ENDINGS, self.max_upload_bytes, self.max_chunk_duration)

    @property
    def silence(self) -> tuple[float, float] | None:
        """Threshold in dBFS and duration in seconds; None for cuts at exact multiples."""
        return (self.silence_thresh, self.silence_len / 1000) if self.use_silence_chunking else None

    @property
    def kept(self) -> dict[str, Any]:
        """The options that are stored in the vCon as `vendor_schema`."""
        cut = {"max_chunk_duration", "use_silence_chunking", "silence_thresh", "silence_len"}
        return self.model_dump(include={"model", "language", "minimum_duration"} | cut)


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the missing transcripts; returns the uuid, or None if the vCon is not in Redis."""
    options = Options.of(opts)

    async def transcribe(dialog: Entry) -> Transcript:
        parts = await uploaded(dialog, options.accepted, options.silence)
        transcript = combined([await _transcribe_part(part, options) for part in parts])
        usage = used(transcript, dialog)
        await report_usage(options, vcon_uuid, "OPENAI_TRANSCRIBE", options.model, *usage)
        return transcript

    schema = {"opts": options.kept}
    vendor = Vendor("openai", "openai", transcribe, options.minimum_duration, schema)
    return await add_transcripts(vcon_uuid, vendor)


async def _transcribe_part(part: Part, options: Options) -> Transcript:
    form = {"language": options.language} if options.language else {}
    answer = await options.api.ask(
        "audio/transcriptions",
        options.model,
        server=SERVER,
        retry=options.http_retry,
        data=form,
        files={"file": part},
    )
    return transcript_in(answer, SERVER)
