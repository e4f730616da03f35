"""Hugging Face's rules for speech recognition: what its endpoints refuse.

From the documented list of media types, the input's schema of the task and the serving container's
errors, as of November 2026.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import wave
from typing import Any

from tests.integration.support.http_stand_in import Refused, Request

PATH = "/hf/whisper"
TYPES = {
    *("audio/x-flac", "audio/flac", "audio/mpeg", "audio/x-mpeg-3", "audio/wave", "audio/wav"),
    *("audio/x-wav", "audio/ogg", "audio/x-audio", "audio/webm", "audio/amr", "audio/amr-wb"),
    *("audio/amr-wb+", "audio/m4a", "audio/x-m4a", "application/json"),
}
SECONDS = 30
"""More needs timestamps."""
TOO_LONG = (
    "You have passed more than 3000 mel input features (> 30 seconds) which automatically enables "
    "long-form generation. Please pass `return_timestamps=True`"
)
PARAMETERS = {"return_timestamps", "generation_parameters"}
_TOKEN = re.compile(r"Bearer [\x21-\x7e]+")
_AUDIO = re.compile(
    rb"RIFF|fLaC|OggS|ID3|\xff[\xe0-\xff]|....ftyp|\x1a\x45\xdf\xa3|#!AMR", re.DOTALL
)


def refuse(status: int, message: str) -> Refused:
    """An error in Hugging Face's form."""
    return Refused(status, {"error": message})


def check(request: Request) -> None:
    """The rules of a POST to an endpoint."""
    if request.method != "POST":
        raise refuse(405, "Method Not Allowed")
    if not _TOKEN.fullmatch(request.headers.get("authorization", "")):
        raise refuse(401, "Invalid username or password.")
    if request.headers.get("accept", "*/*") not in ("*/*", "application/json"):
        raise refuse(400, "Accept type not supported")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise refuse(400, f'Content type "{kind}" not supported')
    audio, parameters = _input(request) if kind == "application/json" else (request.body, {})
    if not _AUDIO.match(audio):
        raise refuse(400, "Malformed soundfile")
    if _seconds(audio) > SECONDS and not parameters.get("return_timestamps"):
        raise refuse(400, TOO_LONG)


def answer(text: str) -> Any:
    """A reply that makes the text, and a chunk if timestamps were requested."""

    def reply(body: bytes) -> dict[str, Any]:
        if not body.startswith(b"{"):
            return {"text": text}
        return {"text": text, "chunks": [{"text": text, "timestamp": [0.0, 1.5]}]}

    return reply


def _input(request: Request) -> tuple[bytes, dict[str, Any]]:
    try:
        given = json.loads(request.body)
        audio = base64.b64decode(given["inputs"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise refuse(400, "'inputs' must be a base64-encoded string") from None
    if given.keys() - {"inputs", "parameters"} or given.get("parameters", {}).keys() - PARAMETERS:
        raise refuse(400, "unexpected keyword argument")
    return audio, given.get("parameters", {})


def _seconds(audio: bytes) -> float:
    """Exact for WAV; for MP3 as if it had 128 kbit/s."""
    if audio.startswith(b"RIFF"):
        with wave.open(io.BytesIO(audio)) as recording:
            return recording.getnframes() / recording.getframerate()
    is_mp3 = audio.startswith((b"ID3", b"\xff"))
    return (len(audio) - 1000) / 16_000 if is_mp3 else 0.0
