"""Accepts or refuses WebSocket handshakes.

The real Plugboard gives no reason: its refusals are a 403 with an empty body.
"""

import email.utils
from datetime import datetime
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from devstack.plugboard.board.board import Board
from devstack.plugboard.board.directory import Token
from devstack.plugboard.board.roster import canonical_actions
from devstack.plugboard.board.serializers import serializer_for
from devstack.plugboard.board.sockets import Socket
from devstack.plugboard.connections.http_replies import HTML, TEXT, Reply
from devstack.plugboard.connections.http_requests import HttpRequest
from devstack.plugboard.settings import PlugboardSettings

PATHS = ("/websocket", "/websocket/")

REFUSED = Reply(403)
WRONG_METHOD = Reply(400)
CRASHED = Reply(500, b"Internal Server Error", HTML)


def admit(
    request: HttpRequest, board: Board, settings: PlugboardSettings, now: datetime
) -> Socket | Reply:
    """A new socket for a request to one of PATHS, or the answer that refuses it."""
    if request.method != "GET":
        return WRONG_METHOD
    query = request.query
    token = board.directory.valid_token(query.get("token", ""), now)
    serializer = serializer_for(query.get("vsn", "1.0.0"))
    if token is None or serializer is None or not _origin_allowed(request, settings.origin_host):
        return REFUSED
    if "actions" not in query:
        return REFUSED
    return _refused_actions(query["actions"], token, board) or Socket(
        token.service, token, query["actions"], serializer
    )


def switch_protocols(request: HttpRequest) -> bytes | Reply:
    """The 101 without extensions or subprotocol; 400 for an invalid handshake."""
    try:
        accept, _, _ = ServerProtocol().process_request(_as_websocket_request(request))
    except InvalidHandshake as error:
        return Reply(400, _complaint(request, error).encode(), TEXT)
    headers = Headers(
        {
            "date": email.utils.formatdate(usegmt=True),
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-accept": accept,
            "cache-control": "max-age=0, private, must-revalidate",
        }
    )
    return Response(101, "Switching Protocols", headers).serialize()


def _refused_actions(actions: str, token: Token, board: Board) -> Reply | None:
    """Whether the actions differ from those of joined consumers; without any, all are accepted."""
    registered = board.roster.actions(token.service.id)
    if registered is None:
        return None
    offered = canonical_actions(actions)
    if offered is None:
        return CRASHED
    return None if offered == registered else REFUSED


def _origin_allowed(request: HttpRequest, host: str) -> bool:
    origin = request.headers.get("origin")
    if origin is None:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.hostname == host


def _as_websocket_request(request: HttpRequest) -> Request:
    return Request(request.target, Headers(list(request.headers.items())))


def _complaint(request: HttpRequest, error: InvalidHandshake) -> str:
    for name, needed in (("connection", "upgrade"), ("upgrade", "websocket")):
        value = request.headers.get(name, "")
        if needed not in value.lower():
            got = f'["{value}"]' if value else "[]"
            return f"'{name}' header must contain '{needed}', got {got}"
    return str(error)
