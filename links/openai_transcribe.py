"""Transcribes recordings with OpenAI, Azure or a LiteLLM proxy.

Reads each dialog of the type `recording`, from the vCon or from its URL. Writes an analysis of the
type `transcript`: what the vendor answers (`text`, `usage`) as JSON. A recording of more than
`max_chunk_duration` is cut, in a silence near each mark if there is one, and sent in parts; then
there is also `chunked_transcription` with each part's answer. One that does not say how long it is,
is measured; where that fails and the vCon does not say either, it is sent whole. What the vendor
does not take, by its kind or because it has more than `max_upload_bytes`, is encoded as MP3 first.
Recordings that are shorter than `minimum_duration` or have a transcript are left alone, so a second
run asks for nothing again; one whose length is not known is transcribed. Each transcript is stored
as it comes. A vCon that is not there ends the run.

Where OpenAI is, its own variable `OPENAI_BASE_URL` may say. Raises `VendorError` when there is no
answer in the end, `MediaError` and `FetchError` when a recording cannot be had, and `AudioError`
for one that has to be encoded or cut and cannot be read.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.ai.transcription import Transcript, Vendor, add_transcripts, combined, heard, used
from lib.ai_usage import report_usage
from lib.dialogs import Entry
from lib.openai_client import get_async_openai_client
from lib.openai_options import OpenAIOptions
from lib.plain_calls import plain_too
from lib.recordings.audio import MAX_UPLOAD_BYTES, MEBIBYTE, OPENAI_ENDINGS, Accepted, Part, uploads
from lib.web.http_retry import ask

only_through_lib = True

SERVER = "the transcription server"


class Options(OpenAIOptions):
    """What to transcribe, and how."""

    model: str = Field("gpt-4o-transcribe", description="the model")
    minimum_duration: float = Field(3, description="seconds; shorter recordings are left alone")
    max_chunk_duration: float = Field(
        480, gt=0, description="seconds of a part; longer recordings are cut"
    )
    max_upload_bytes: int = Field(25 * MEBIBYTE, ge=MEBIBYTE, description=MAX_UPLOAD_BYTES)
    use_silence_chunking: bool = Field(
        True, description="whether to cut where nobody speaks, rather than right at the marks"
    )
    silence_thresh: float = Field(-40, le=0, description="dBFS; what is quieter is silence")
    silence_len: float = Field(2000, gt=0, description="milliseconds that it has to last")
    language: str = Field(
        "",
        description="the language spoken, in ISO 639-1; left to the vendor where not given, as "
        "vcon-server always does, whose default `en` is not sent",
    )

    @property
    def accepted(self) -> Accepted:
        """What the vendor takes in one request."""
        return Accepted(OPENAI_ENDINGS, self.max_upload_bytes, self.max_chunk_duration)

    @property
    def silence(self) -> tuple[float, float] | None:
        """How quiet, in dBFS, for how many seconds; None for cuts at the marks."""
        return (self.silence_thresh, self.silence_len / 1000) if self.use_silence_chunking else None

    @property
    def kept(self) -> dict[str, Any]:
        """What a vCon may tell of these options."""
        cut = {"max_chunk_duration", "use_silence_chunking", "silence_thresh", "silence_len"}
        return self.model_dump(include={"model", "language", "minimum_duration"} | cut)


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the transcripts that are missing; the uuid, or None when there is no such vCon."""
    options = Options.of(opts)

    async def transcribe(dialog: Entry) -> Transcript:
        parts = await asyncio.to_thread(uploads, dialog, options.accepted, options.silence)
        transcript = combined([await _heard(part, options) for part in parts])
        what = (vcon_uuid, "OPENAI_TRANSCRIBE", options.model)
        await report_usage(options, *what, *used(transcript, dialog))
        return transcript

    schema = {"opts": options.kept}
    vendor = Vendor("openai", "openai", transcribe, options.minimum_duration, schema)
    return await add_transcripts(vcon_uuid, vendor)


async def _heard(part: Part, options: Options) -> Transcript:
    client = get_async_openai_client(options.access, timeout=options.timeout)
    request: dict[str, Any] = {"language": options.language} if options.language else {}
    answer: Any = await ask(
        lambda: client.audio.transcriptions.create(model=options.model, file=part, **request),
        *(options.patience, SERVER),
    )
    return heard(answer, SERVER)
