"""Transcribes recordings with Whisper on Hugging Face.

Reads each dialog of the type `recording`, from the vCon or from its URL, and sends its bytes to an
endpoint of Hugging Face for speech recognition. Writes an analysis of the type `transcript`: the
answer as JSON with `text`. Recordings shorter than `minimum_duration` and recordings with a
transcript are skipped, so a second run sends no request; a recording of unknown length is
transcribed. A recording of a kind that Hugging Face does not accept, or of more than
`max_upload_bytes`, is encoded as MP3, and sent in parts if it is still too large or longer than
`max_chunk_duration`; then `chunked_transcription` has each part's answer. Each transcript is stored
at once. If the vCon is not in Redis, the chain ends.

Many models refuse more than 30 seconds unless they return timestamps: set `return_timestamps`, or
`max_chunk_duration: 30`. Raises `VendorError` with Hugging Face's message if the last attempt
failed (vcon-server stores an error as the transcript, or continues without one), `MediaError` and
`FetchError` if a recording is missing or cannot be fetched, and `AudioError` if it must be encoded
and ffmpeg cannot read it.
"""

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import orjson
from pydantic import Field, SecretStr, model_validator

from lib.ai.transcription import MOST_BYTES, Transcript, Vendor, add_transcripts, combined
from lib.options import vendor_variable
from lib.plain_calls import plain_too
from lib.recordings.audio import MAX_UPLOAD_BYTES, MEBIBYTE, Accepted, Part, uploaded
from lib.vcon.dialogs import Entry
from lib.web.http_retry import HttpRetryOptions, VendorError
from lib.web.json_api import HttpUrl, call_json

__all__ = ["Options", "effect", "only_through_lib", "run"]

only_through_lib = True
effect = "idempotent"

SERVER = "Hugging Face"
SHARED = "https://router.huggingface.co/hf-inference/models/openai/whisper-large-v3-turbo"
TYPES = {
    **dict.fromkeys(["ogg", "oga", "opus"], "audio/ogg"),
    "amr": "audio/amr",
    "flac": "audio/flac",
    "m4a": "audio/m4a",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "webm": "audio/webm",
}
"""The kinds that Hugging Face accepts, with the media types that it documents, November 2026."""
_PLACEHOLDERS = ("hf_xxxxx", "//xxxxxx.")
"""Parts of vcon-server's default key and URL, which stand for one's own."""
_OF_ONE_PART = ("chunks", "usage")


class Options(HttpRetryOptions):
    """Options of the link."""

    minimum_duration: float = Field(30, description="seconds; shorter recordings are skipped")
    api_url: HttpUrl = Field(
        SHARED,
        alias="API_URL",
        description="the URL of your endpoint; unset: a model on Hugging Face's shared servers",
    )
    api_key: SecretStr = Field(
        SecretStr(""),
        alias="API_KEY",
        description="the token, with or without `Bearer`; unset: Hugging Face's own variable "
        "`HF_TOKEN`",
    )
    content_type: str = Field(
        "",
        alias="Content-Type",
        description="the media type that is sent; unset: the recording's own (vcon-server sends "
        "audio/flac for all)",
    )
    return_timestamps: bool = Field(
        False,
        description="+ request timestamps, which most models need for more than 30 seconds; the "
        "recording is then sent as base64 in JSON",
    )
    max_chunk_duration: float | None = Field(
        None, gt=0, description="+ seconds of one part; longer recordings are cut; unset: no limit"
    )
    max_upload_bytes: int = Field(25 * MEBIBYTE, ge=MEBIBYTE, description=MAX_UPLOAD_BYTES)

    @model_validator(mode="after")
    def _can_call(self) -> Self:
        if not self.key or _PLACEHOLDERS[0] in self.key.lower():
            raise ValueError("set API_KEY here or HF_TOKEN in the environment")
        if not self.api_url or _PLACEHOLDERS[1] in self.api_url:
            raise ValueError("set API_URL to the URL of your endpoint")
        return self

    @property
    def accepted(self) -> Accepted:
        """Hugging Face's limits for one request; base64 makes a third more of the bytes."""
        most = self.max_upload_bytes * 3 // 4 if self.return_timestamps else self.max_upload_bytes
        return Accepted(frozenset(TYPES), most, self.max_chunk_duration)

    @property
    def key(self) -> str:
        """The token alone."""
        named = vendor_variable("HF_TOKEN") or vendor_variable("HUGGINGFACE_API_KEY")
        given = self.api_key.get_secret_value() or named
        return given.strip().removeprefix("Bearer ").strip()

    @property
    def kept(self) -> dict[str, Any]:
        """The options that are stored in the vCon as `vendor_schema`; the URL may have a key."""
        return self.model_dump(
            by_alias=True, include={"minimum_duration", "content_type", "return_timestamps"}
        )


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the missing transcripts; returns the uuid, or None if the vCon is not in Redis."""
    options = Options.of(opts)

    async def transcribe(dialog: Entry) -> Transcript:
        parts = await uploaded(dialog, options.accepted)
        return _joined([await _transcribed(part, options) for part in parts])

    name = "hugging_face_whisper"
    vendor = Vendor(name, name, transcribe, options.minimum_duration, {"opts": options.kept})
    return await add_transcripts(vcon_uuid, vendor)


async def _transcribed(part: Part, options: Options) -> Transcript:
    kind, content = await asyncio.to_thread(_payload, part, options)
    headers = {
        "accept": "application/json",
        "authorization": f"Bearer {options.key}",
        "content-type": kind,
    }
    answer = await call_json(
        "POST",
        options.api_url,
        server=SERVER,
        retry=options.http_retry,
        most_bytes=MOST_BYTES,
        headers=headers,
        content=content,
    )
    found: Any = answer.body
    if not isinstance(found, dict) or not isinstance(found.get("text"), str):
        raise VendorError(f"{SERVER} answered without a transcript")
    return found


def _payload(part: Part, options: Options) -> tuple[str, bytes]:
    """The media type and the bytes of a request."""
    name, content = part
    if not options.return_timestamps:
        ending = Path(name).suffix[1:].lower()
        return options.content_type or TYPES.get(ending, "audio/flac"), content
    request = {
        "inputs": base64.b64encode(content).decode(),
        "parameters": {"return_timestamps": True},
    }
    return "application/json", orjson.dumps(request)


def _joined(answers: list[Transcript]) -> Transcript:
    """One transcript; the times of several parts are only in each part's own answer."""
    if len(answers) == 1:
        return answers[0]
    return {name: value for name, value in combined(answers).items() if name not in _OF_ONE_PART}
