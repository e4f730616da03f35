"""Transcribes recordings with a vfun server, in the World Transcription Format.

Reads each dialog of the type `recording`, from the vCon or from its URL, and sends it to the server
in a form (`multipart/form-data`) as `file-binary`, with `diarize` and `language`. Writes an
analysis of the type `wtf_transcription` with the schema `wtf-1.0` of
draft-howe-vcon-wtf-extension: the server's answer as JSON, which has a `transcript` with its
`text`. The name of the extension is added to the vCon's `extensions`. Recordings that have such an
analysis are skipped, so a second run sends no request. Each transcription is stored at once. If the
vCon is not in Redis, the chain ends.

A `file://` URL is refused, since it would send a file of this host to the server (vcon-server opens
it). Raises `VendorError` if the last attempt failed or the answer is no transcription (vcon-server
logs it and continues without one), `MediaError` and `FetchError` if a recording is missing or
cannot be fetched.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import Field, SecretStr

from lib.ai.transcription import MOST_BYTES, Transcript, Vendor, add_transcripts
from lib.plain_calls import plain_too
from lib.recordings.kinds import media_type, name_for
from lib.recordings.media import media
from lib.vcon.dialogs import Entry
from lib.web.http_retry import HttpRetryOptions, VendorError
from lib.web.json_api import HttpUrl, call_json

__all__ = ["Options", "effect", "only_through_lib", "run"]

only_through_lib = True
effect = "idempotent"

SERVER = "the vfun server"
KIND = "wtf_transcription"
SCHEMA = "wtf-1.0"


class Options(HttpRetryOptions):
    """Options of the link."""

    url: HttpUrl = Field(min_length=1, alias="vfun-server-url", description="the server's URL")
    language: str = Field(
        "", description="the language spoken, such as `en`; unset: detected by the server"
    )
    diarize: bool = Field(False, description="whether to tell speakers apart")
    timeout: float = Field(300, gt=0, alias="vfun-timeout", description="seconds for one attempt")
    url_timeout: float = Field(
        60, gt=0, alias="url-timeout", description="seconds to fetch a recording"
    )
    api_key: SecretStr = Field(
        SecretStr(""), alias="api-key", description="the key, sent as a bearer token"
    )

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request besides those of the form."""
        key = self.api_key.get_secret_value()
        return {"accept": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})

    @property
    def form(self) -> dict[str, str]:
        """The fields of a request besides the recording."""
        language = {"language": self.language} if self.language else {}
        return {"diarize": str(self.diarize).lower()} | language


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the missing transcriptions; returns the uuid, or None if the vCon is not in Redis."""
    options = Options.of(opts)

    async def transcribe(dialog: Entry) -> Transcript:
        return await _transcribed(dialog, options)

    members = {"mediatype": "application/json", "schema": SCHEMA}
    vendor = Vendor("vfun", "wtf_transcribe", transcribe, 0, {}, KIND, members, extension=KIND)
    return await add_transcripts(vcon_uuid, vendor)


async def _transcribed(dialog: Entry, options: Options) -> Transcript:
    content = await asyncio.to_thread(media, dialog, options.url_timeout)
    name = name_for(dialog, content, frozenset())
    file = (name, content, media_type(name, dialog.get("mediatype")))
    answer = await call_json(
        "POST",
        options.url,
        server=SERVER,
        retry=options.http_retry,
        most_bytes=MOST_BYTES,
        headers=options.headers,
        data=options.form,
        files={"file-binary": file},
    )
    found = _transcription(answer.body)
    if options.language:
        found["transcript"]["language"] = options.language
    return found


def _transcription(answer: Any) -> Transcript:
    """The transcription in an answer, which some servers send as JSON text in JSON.

    Raises:
        VendorError: if it has no transcript with a text, or segments that are no list.
    """
    try:
        found = orjson.loads(answer) if isinstance(answer, str) else answer
        text, segments = found["transcript"]["text"], found.get("segments", [])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise VendorError(f"{SERVER} answered without a transcript") from None
    if not isinstance(text, str) or not isinstance(segments, list):
        raise VendorError(f"{SERVER} answered with a transcript that is not in the format {SCHEMA}")
    transcription: Transcript = found
    return transcription
