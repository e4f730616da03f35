"""HTTP answers: fixed ones, and the two published Plugboards' conversions of consumers' answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeGuard

import orjson

from devstack.plugboard.settings import Variant

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer; a status below 200 is sent unchanged and breaks the client, as measured."""

    status: int
    body: bytes = b""
    content_type: str | None = None


def json_reply(status: int, value: object) -> Reply:
    """An answer with a JSON body."""
    try:
        body = orjson.dumps(value)
    except TypeError:  # an integer of more than 64 bits
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, body, JSON)


def problem(status: int, message: str) -> Reply:
    """An answer in the Plugboard's error format."""
    return json_reply(status, {"message": message, "status": "error"})


BAD_REQUEST = Reply(400, b"Bad Request", HTML)
BAD_SERVICE_ID = json_reply(400, {"errors": {"detail": "Bad Request"}})
BODY_TOO_LARGE = Reply(413, b"Request Entity Too Large", TEXT)
BROKEN = json_reply(500, {"errors": {"detail": "Internal Server Error"}})
FORBIDDEN = problem(403, "Insufficient permissions for this service")
FRONT_PAGE = Reply(200, b"<title>Development Plugboard</title>A development tool.", HTML)
INVALID_ANSWER = problem(502, "Invalid response format from service process")
MISSING_PARAMETERS = problem(400, "service_id, action and fields parameters are required")
NOT_ACCEPTABLE = Reply(406, b"Not Acceptable", TEXT)
NOT_FOUND = Reply(404, b"Not Found", HTML)
NOT_FOUND_JSON = json_reply(404, {"errors": {"detail": "Not Found"}})
NO_CONSUMERS = problem(422, "No service consumers are available to handle the request")
TIMEOUT = problem(408, "Request timed out")

INVALID_TOKEN = {
    Variant.MAIN: BROKEN,
    Variant.BUGFIXES: problem(401, "API token is invalid"),
}

# 306 has a reason phrase in Plug and none in Python.
_RELAYABLE = {status.value for status in HTTPStatus} | {306}


def relay(variant: Variant, answer: object) -> Reply:
    """The caller's reply for a consumer's answer."""
    return _RELAYS[variant](answer)


def _relay_main(answer: object) -> Reply:
    """The status from `status`; the rest, including `fields`, is dropped."""
    if not _has(answer, "status", "message"):
        return INVALID_ANSWER
    message = answer["message"]
    if answer["status"] == "success":
        return json_reply(200, {"message": message, "status": "success"})
    return json_reply(400, {"message": message, "status": "error"})


def _relay_bugfixes(answer: object) -> Reply:
    """The status from `status_code`; null is 200, a status without reason phrase crashes it."""
    if not _has(answer, "status_code", "message", "fields"):
        return INVALID_ANSWER
    status = 200 if answer["status_code"] is None else answer["status_code"]
    if type(status) is not int or status not in _RELAYABLE:
        return BROKEN
    if status in (204, 304):
        return Reply(status)
    return json_reply(status, {"fields": answer["fields"], "message": answer["message"]})


_RELAYS: dict[Variant, Callable[[object], Reply]] = {
    Variant.MAIN: _relay_main,
    Variant.BUGFIXES: _relay_bugfixes,
}


def _has(answer: object, *keys: str) -> TypeGuard[dict[str, Any]]:
    return isinstance(answer, dict) and all(key in answer for key in keys)
