"""The rules of a vfun server: a form with the recording, answered in the WTF format."""

from __future__ import annotations

import re
from typing import Any

from tests.integration.support.http_stand_in import Refused, Request

PATH = "/wtf"
_BOUNDARY = re.compile(r"multipart/form-data; ?boundary=([\x21-\x7e]{1,70})")
_NAME, _FILE = re.compile(r'[; ]name="([^"]*)"'), re.compile(r'filename="([^"]*)"')
_TYPE = re.compile(r"\r\nContent-Type: (audio|video)/[-\w.+]+(;[^\r]*)?(\r|$)", re.IGNORECASE)


def form(request: Request) -> dict[str, tuple[str, bytes]]:
    """The head and content of each part of a form."""
    boundary = _BOUNDARY.fullmatch(request.headers.get("content-type", ""))
    if boundary is None:
        raise Refused(415, {"error": "expected multipart/form-data"})
    mark = f"--{boundary[1]}".encode()
    found = {}
    for part in request.body.split(mark)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = _NAME.search(head.decode())
        assert name, head
        found[name[1]] = (head.decode(), content.removesuffix(b"\r\n"))
    return found


def check(request: Request) -> None:
    """The rules of a POST."""
    parts = form(request)
    if unknown := parts.keys() - {"file-binary", "diarize", "language"}:
        raise Refused(422, {"error": f"unknown fields {unknown}"})
    head, content = parts.get("file-binary", ("", b""))
    if not (content and _FILE.search(head) and _TYPE.search(head)):
        raise Refused(422, {"error": "file-binary must be a file with a name and a media type"})
    if parts.get("diarize", ("", b"false"))[1] not in (b"true", b"false"):
        raise Refused(422, {"error": "diarize must be true or false"})
    if "language" in parts and not re.fullmatch(rb"[a-z]{2,3}(-[A-Z]{2})?", parts["language"][1]):
        raise Refused(422, {"error": "language must be a BCP-47 tag"})


def answer(text: str) -> dict[str, Any]:
    """All that draft-howe-vcon-wtf-extension requires."""
    moment = "2026-03-01T09:00:12Z"
    return {
        "transcript": {"text": text, "language": "de", "duration": 1.5, "confidence": 0.93},
        "segments": [{"id": 0, "start": 0.0, "end": 1.5, "text": text, "confidence": 0.93}],
        "metadata": {
            "created_at": moment,
            "processed_at": moment,
            "provider": "vfun",
            "model": "parakeet",
            "audio": {"duration": 1.5},
        },
    }
