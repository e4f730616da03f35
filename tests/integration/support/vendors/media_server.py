"""A server that keeps bodies of dialogs, by the rules of vcon-server's `diet`."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.integration.support.http_stand_in import Refused, Request

PATH = "/media"
MEMBERS = {"content": str, "vcon_uuid": str, "dialog_id": str}


def check(request: Request) -> None:
    """The rules of a POST: JSON with these members, and a key that tells a repetition."""
    if request.method != "POST" or request.headers.get("content-type") != "application/json":
        raise Refused(415, {"error": "POST application/json"})
    if not re.fullmatch("[0-9a-f]{32}", request.headers.get("idempotency-key", "")):
        raise Refused(400, {"error": "Idempotency-Key is missing"})
    body = request.json
    if body.keys() != MEMBERS.keys() or not all(isinstance(body[n], t) for n, t in MEMBERS.items()):
        raise Refused(422, {"error": "content, vcon_uuid and dialog_id are required"})


def answer(body: bytes) -> dict[str, Any]:
    """A URL for each dialog."""
    return {"url": f"https://media.example/{json.loads(body)['dialog_id'] or 'unnamed'}"}
