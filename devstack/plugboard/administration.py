"""The admin API: `/_dev/...` with JSON, for loopback only and closed to browsers."""

import dataclasses
import hmac
import re
import secrets
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import orjson
from websockets.exceptions import ProtocolError

from devstack.plugboard.board.directory import Service, Token
from devstack.plugboard.board.faults import Faults
from devstack.plugboard.connections.consumer_connection import ConsumerConnection
from devstack.plugboard.connections.http_replies import Reply, json_reply
from devstack.plugboard.connections.http_requests import HttpRequest
from devstack.plugboard.operations import Operations

PREFIX = "/_dev"
USER = "admin"
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?")

Body = dict[str, Any]
Handler = Callable[[Operations, Body, int], object]
"""Gets the body and the id in the path (0 without one); returns what is answered as JSON."""


class AdminApi:
    """Answers admin requests with the operations that tests call in process."""

    def __init__(self, operations: Operations, token: str = "") -> None:
        """`token` is the password of the user `admin`; None: a random one."""
        self._operations = operations
        user = f"{USER}:{token or secrets.token_urlsafe(24)}"
        self._authorization = f"Basic {b64encode(user.encode()).decode()}"

    def __call__(self, request: HttpRequest) -> Reply | None:
        """The answer; None for other paths, for wrong credentials, and for pages in a browser.

        A page could use a host name of its own that resolves to loopback, so the Host header is
        checked.
        """
        if not request.path.startswith(PREFIX) or not request.from_loopback:
            return None
        if "origin" in request.headers or not _names_loopback(request.headers.get("host", "")):
            return None
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), self._authorization.encode()):
            return json_reply(401, {"message": "the admin URL has the user and the password"})
        return self._route(request)

    def _route(self, request: HttpRequest) -> Reply | None:
        path = request.path.removeprefix(PREFIX).strip("/")
        for method, pattern, handler in ROUTES:
            match = re.fullmatch(pattern.replace("{id}", r"(\d+)"), path)
            if match is not None and method == request.method:
                number = int(match[1]) if match.groups() else 0
                return self._handle(request, handler, number)
        return None

    def _handle(self, request: HttpRequest, handler: Handler, number: int) -> Reply:
        try:
            body = _object(request.body)
            return json_reply(200, handler(self._operations, body, number))
        except LookupError as error:
            return json_reply(404, {"message": f"there is no {error}"})
        except (TypeError, ValueError, re.error, ProtocolError) as error:
            return json_reply(400, {"message": str(error)})


def _names_loopback(host: str) -> bool:
    return _LOOPBACK.fullmatch(host) is not None


def _index(operations: Operations, body: Body, number: int) -> object:
    del body, number
    return {
        "tool": "development Plugboard, not the real one",
        "variant": operations.settings.variant,
        "routes": [f"{method} {PREFIX}/{path}" for method, path, _ in ROUTES],
    }


def _services(operations: Operations, body: Body, number: int) -> object:
    del body, number
    return [_described(service) for service in operations.directory.services.values()]


def _create_service(operations: Operations, body: Body, number: int) -> object:
    del number
    parent = _service(operations, body["parent_id"]) if "parent_id" in body else None
    return _described(operations.create_service(_text(body, "name"), parent))


def _rename_service(operations: Operations, body: Body, number: int) -> object:
    service = _service(operations, number)
    operations.rename_service(service, _text(body, "name"))
    return _described(service)


def _delete_service(operations: Operations, body: Body, number: int) -> object:
    del body
    service = _service(operations, number)
    operations.delete_service(service)
    return _described(service)


def _create_token(operations: Operations, body: Body, number: int) -> object:
    token = operations.create_token(_service(operations, number), body.get("value"))
    return {**token.public(), "value": token.value}


def _delete_token(operations: Operations, body: Body, number: int) -> object:
    del body
    token = _token(operations, number)
    operations.delete_token(token)
    return token.public()


def _expire_token(operations: Operations, body: Body, number: int) -> object:
    del body
    token = _token(operations, number)
    operations.expire_token(token)
    return token.public()


def _create_account_token(operations: Operations, body: Body, number: int) -> object:
    del number
    account = operations.create_account_token(body.get("allowed", ""), body.get("value"))
    return {"value": account.value, "allowed": account.allowed.pattern}


def _consumers(operations: Operations, body: Body, number: int) -> object:
    del body, number
    return [
        {"id": c.id, "service_id": c.service_id, "token_id": c.socket.token.id, "joined": c.joined}
        for c in operations.consumers
    ]


def _crash(operations: Operations, body: Body, number: int) -> object:
    del body
    operations.crash_channel(_consumer(operations, number))
    return {}


def _close(operations: Operations, body: Body, number: int) -> object:
    _consumer(operations, number).close(int(body.get("code", 1000)))
    return {}


def _abort(operations: Operations, body: Body, number: int) -> object:
    del body
    _consumer(operations, number).abort()
    return {}


def _mute(operations: Operations, body: Body, number: int) -> object:
    _consumer(operations, number).muted = bool(body.get("muted", True))
    return {}


def _send(operations: Operations, body: Body, number: int) -> object:
    _consumer(operations, number).send(_text(body, "text").encode())
    return {}


def _faults(operations: Operations, body: Body, number: int) -> object:
    """Set the faults named in the body; the answer has all faults."""
    del number
    unknown = body.keys() - {field.name for field in dataclasses.fields(Faults)}
    if unknown:
        raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
    for name, value in body.items():
        setattr(operations.faults, name, value)
    return dataclasses.asdict(operations.faults)


def _counters(operations: Operations, body: Body, number: int) -> object:
    del body, number
    return dataclasses.asdict(operations.counters)


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "", _index),
    ("GET", "services", _services),
    ("POST", "services", _create_service),
    ("PATCH", "services/{id}", _rename_service),
    ("DELETE", "services/{id}", _delete_service),
    ("POST", "services/{id}/tokens", _create_token),
    ("DELETE", "tokens/{id}", _delete_token),
    ("POST", "tokens/{id}/expire", _expire_token),
    ("POST", "account-tokens", _create_account_token),
    ("GET", "consumers", _consumers),
    ("POST", "consumers/{id}/crash", _crash),
    ("POST", "consumers/{id}/close", _close),
    ("POST", "consumers/{id}/abort", _abort),
    ("POST", "consumers/{id}/mute", _mute),
    ("POST", "consumers/{id}/send", _send),
    ("PATCH", "faults", _faults),
    ("GET", "counters", _counters),
)


def _object(data: bytes) -> Body:
    value = orjson.loads(data or b"{}")
    if not isinstance(value, dict):
        raise TypeError("the body must be a JSON object")
    return value


def _described(service: Service) -> Body:
    parent_id = None if service.parent is None else service.parent.id
    return {**service.public(), "parent_id": parent_id, "deleted": service.deleted_at is not None}


def _service(operations: Operations, number: int) -> Service:
    service = operations.directory.services.get(number)
    if service is None:
        raise LookupError(f"service {number}")
    return service


def _token(operations: Operations, number: int) -> Token:
    token = operations.directory.tokens.get(number)
    if token is None:
        raise LookupError(f"token {number}")
    return token


def _consumer(operations: Operations, number: int) -> ConsumerConnection:
    for consumer in operations.consumers:
        if consumer.id == number:
            return consumer
    raise LookupError(f"consumer {number}")


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text")
    return value
