"""The callers' HTTP API: `POST /` with an account's token becomes a call to a service."""

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

from core.phoenix.lenient_json import without_deep_values
from devstack.plugboard.board.directory import AccountToken, Directory, Service
from devstack.plugboard.board.serializers import finite
from devstack.plugboard.connections import http_replies as replies
from devstack.plugboard.connections.http_replies import Reply
from devstack.plugboard.connections.http_requests import HttpRequest, form
from devstack.plugboard.settings import Variant


@dataclass(frozen=True, slots=True)
class Call:
    """A request for a service; `action` and `fields` are JSON, unvalidated and unchanged."""

    service: Service
    action: bytes
    fields: bytes


class RefusedError(Exception):
    """The caller gets this reply instead of a call."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def admit(request: HttpRequest, directory: Directory, variant: Variant) -> Call:
    """The call of a valid request; raises RefusedError."""
    parameters = _parameters(request)
    if not _accepts_json(request.headers.get("accept", "*/*")):
        raise RefusedError(replies.NOT_ACCEPTABLE)
    account = _account(request, directory)
    if account is None:
        raise RefusedError(replies.INVALID_TOKEN[variant])
    return _call(parameters, account, directory)


def _call(parameters: dict[str, Any], account: AccountToken, directory: Directory) -> Call:
    if not {"service_id", "action", "fields"} <= parameters.keys():
        raise RefusedError(replies.MISSING_PARAMETERS)
    if account.allowed.pattern and not _is_number(parameters["service_id"]):
        raise RefusedError(replies.BAD_SERVICE_ID)
    service = directory.find_service(_service_key(parameters["service_id"]))
    if service is None:
        raise RefusedError(replies.NO_CONSUMERS)
    if not account.allowed.search(service.path):
        raise RefusedError(replies.FORBIDDEN)
    return Call(service, _as_json(parameters["action"]), _as_json(parameters["fields"]))


def _parameters(request: HttpRequest) -> dict[str, Any]:
    """Those of the query, overlaid by those of the body."""
    if request.oversized:
        raise RefusedError(replies.BODY_TOO_LARGE)
    query = form(request.target.partition("?")[2])
    return {**query, **_body_parameters(request)}


def _body_parameters(request: HttpRequest) -> dict[str, Any]:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/x-www-form-urlencoded":
        return form(request.body.decode(errors="replace"))
    if content_type != "application/json" or not request.body:
        return {}
    try:
        value = _decode(request.body)
    except (ValueError, AttributeError, RecursionError):
        raise RefusedError(replies.BAD_REQUEST) from None
    return value if isinstance(value, dict) else {}


def _account(request: HttpRequest, directory: Directory) -> AccountToken | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return directory.find_account(token) if scheme == "Bearer" else None


def _accepts_json(accept: str) -> bool:
    return any(kind in accept for kind in ("*/*", "application/*", "json"))


def _service_key(service_id: object) -> str:
    """The id as text; `"03"` and 3.0 do not equal 3."""
    if isinstance(service_id, (dict, list)):
        raise RefusedError(replies.BROKEN)
    return service_id if isinstance(service_id, str) else str(service_id)


def _is_number(service_id: object) -> bool:
    """Whether the id is a number, which the lookup for a restricted account requires."""
    text = service_id if isinstance(service_id, str) else json.dumps(service_id)
    return re.fullmatch(r"[+-]?\d+", text) is not None


@dataclass(frozen=True, slots=True)
class _Raw:
    """A value that is nested too deeply for Python's reader, as JSON; the real one has no limit."""

    text: str


def _decode(body: bytes) -> Any:
    """JSON with integers of any size, finite numbers only, and of a repeated key the first.

    Of an object's members, those nested too deeply come as they are.
    """
    text = body.decode()
    try:
        return _loads(text)
    except RecursionError:
        marker = str(uuid.uuid4())
        shallow, cut = without_deep_values(text, 2, 500, f'"{marker}"')
        members, deep = _loads(shallow), iter(cut)
        return {
            name: _Raw(next(deep)) if value == marker else value for name, value in members.items()
        }


def _loads(text: str) -> Any:
    return json.loads(
        text, object_pairs_hook=_first_wins, parse_float=finite, parse_constant=finite
    )


def _as_json(value: object) -> bytes:
    if isinstance(value, _Raw):
        return value.text.encode()
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair is no text
        raise RefusedError(replies.BAD_REQUEST) from None


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    decoded = dict(pairs)
    return decoded if len(decoded) == len(pairs) else dict(reversed(pairs))
