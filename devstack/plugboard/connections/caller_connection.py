"""One TCP connection in HTTP: callers, the admin API, WebSocket handshakes."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import ip_address
from typing import cast

import h11

from devstack.plugboard.board.board import NoConsumersError
from devstack.plugboard.board.sockets import TIMED_OUT, Socket
from devstack.plugboard.connections import entrance, handshake
from devstack.plugboard.connections import http_replies as replies
from devstack.plugboard.connections.consumer_connection import ConsumerConnection
from devstack.plugboard.connections.http_replies import Reply, relay
from devstack.plugboard.connections.http_requests import HttpRequest, oversized_line
from devstack.plugboard.hub import Hub

# Well above what the line limits let through.
_LARGEST_HEAD = 1_000_000
_MALFORMED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}

AdminApi = Callable[[HttpRequest], Reply | None]
"""Answers an admin request, or returns None if the request is no such thing."""


def _name(action: bytes) -> str:
    """The action's name for the list of calls; `?` for one nested too deeply to be read."""
    try:
        return str(json.loads(action))
    except RecursionError:
        return "?"


class CallerConnection(asyncio.Protocol):
    """Reads requests one after another and answers each before the next."""

    def __init__(self, hub: Hub, admin_door: AdminApi) -> None:
        self.waiting = False
        """Whether a caller waits for a consumer's answer."""
        self._hub = hub
        self._admin_door = admin_door
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_HEAD)
        self._head = bytearray()
        self._request: h11.Request
        self._body = bytearray()
        self._body_size = 0
        self._finished = False
        self._asked: tuple[str, float] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._hub.callers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection; a consumer that processes its request is not notified."""
        del exc
        self._hub.callers.discard(self)
        self._hub.on_change()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Collect the head and check its line lengths, then pass it and the rest to h11."""
        if self._finished:
            return
        if self._http.their_state is h11.IDLE:
            self._head += data
            refusal = oversized_line(bytes(self._head), self._hub.settings)
            if refusal is not None:
                self._write_last(refusal)
            if refusal is not None or b"\r\n\r\n" not in self._head:
                return
            data, self._head = bytes(self._head), bytearray()
        self._http.receive_data(data)
        self._proceed()
        self._hub.on_change()

    def _proceed(self) -> None:
        try:
            while self._handle(self._http.next_event()):
                pass
        except h11.RemoteProtocolError:
            self._write_last(_MALFORMED)

    def _handle(self, event: object) -> bool:
        """Handle one event; True if another one may follow at once."""
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.Data):
            self._collect(event.data)
        elif isinstance(event, h11.EndOfMessage):
            reply = self._answer(self._whole_request())
            if reply is not None:
                self._write(reply)
        return isinstance(event, (h11.Request, h11.Data, h11.EndOfMessage))

    def _begin(self, request: h11.Request) -> None:
        self._request = request
        self._body = bytearray()
        self._body_size = 0
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            self._transport.write(self._http.send(go_on) or b"")

    def _collect(self, data: bytes) -> None:
        """Keep a body up to its limit; past it, read on before the 413, then disconnect."""
        limit = self._hub.settings.body_limit
        self._body_size += len(data)
        if self._body_size <= limit:
            self._body += data
        elif self._body_size > 2 * limit - 1:
            self.abort()

    def _whole_request(self) -> HttpRequest:
        return HttpRequest(
            method=self._request.method.decode(),
            target=self._request.target.decode("latin-1"),
            headers={
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in self._request.headers
            },
            body=bytes(self._body),
            oversized=self._body_size > self._hub.settings.body_limit,
            from_loopback=ip_address(self._transport.get_extra_info("peername")[0]).is_loopback,
        )

    def _answer(self, request: HttpRequest) -> Reply | None:
        """The answer, or None if it comes later or never."""
        if request.path in handshake.PATHS:
            return self._shake_hands(request)
        if request.method == "POST" and request.path == "/":
            return self._call(request)
        if request.method == "GET" and request.path == "/":
            return replies.FRONT_PAGE
        return self._admin_door(request) or _not_found(request)

    def _call(self, request: HttpRequest) -> Reply | None:
        hub = self._hub
        self._asked = ("?", asyncio.get_running_loop().time())
        try:
            call = entrance.admit(request, hub.board.directory, hub.settings.variant)
            self._asked = (_name(call.action), self._asked[1])
            hub.request(call.service.id, call.action, call.fields, self._answered)
        except entrance.RefusedError as refused:
            return refused.reply
        except NoConsumersError:
            return replies.NO_CONSUMERS
        self.waiting = True
        return None

    def _answered(self, payload: object) -> None:
        self.waiting = False
        timed_out = payload is TIMED_OUT
        self._write(replies.TIMEOUT if timed_out else relay(self._hub.settings.variant, payload))
        self._proceed()
        self._hub.on_change()

    def _shake_hands(self, request: HttpRequest) -> Reply | None:
        faults = self._hub.faults
        if faults.refuse_connects is not None:
            self._write_last(faults.refuse_connects.encode("latin-1"))
            return None
        if faults.hang_connects:
            return None
        outcome = handshake.admit(request, self._hub.board, self._hub.settings, self._hub.now())
        if isinstance(outcome, Reply):
            return outcome
        response = handshake.switch_protocols(request)
        if isinstance(response, Reply):
            return response
        self._upgrade(response, outcome)
        return None

    def _upgrade(self, response: bytes, socket: Socket) -> None:
        self._transport.write(response)
        self._hub.callers.discard(self)
        consumer = ConsumerConnection(self._hub, socket, self._transport)
        self._transport.set_protocol(consumer)
        self._hub.connected(socket, consumer)
        early, _ = self._http.trailing_data
        if early:
            consumer.data_received(early)

    def _write(self, reply: Reply) -> None:
        if self._transport.is_closing():
            return
        self._tell(reply)
        if reply.status < 200:
            self._write_last(b"HTTP/1.1 %d \r\n\r\n%b" % (reply.status, reply.body))
            return
        self._transport.write(b"".join(self._serialized(reply)))
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self._transport.close()

    def _tell(self, reply: Reply) -> None:
        asked, self._asked = self._asked, None
        if asked is not None and self._hub.settings.answered is not None:
            action, began = asked
            seconds = asyncio.get_running_loop().time() - began
            self._hub.settings.answered(action, reply.status, seconds)

    def _serialized(self, reply: Reply) -> list[bytes]:
        headers = [("cache-control", "max-age=0, private, must-revalidate")]
        if reply.status not in (204, 304):
            headers.append(("content-length", str(len(reply.body))))
        if reply.content_type is not None:
            headers.append(("content-type", reply.content_type))
        head = h11.Response(
            status_code=reply.status, headers=headers, reason=_PHRASES.get(reply.status, "")
        )
        events = (head, h11.Data(data=reply.body), h11.EndOfMessage())
        return [self._http.send(event) or b"" for event in events]

    def _write_last(self, data: bytes) -> None:
        """Write and close our direction only: a close with unread data resets the connection."""
        self._finished = True
        self._transport.write(data)
        with contextlib.suppress(OSError):  # the peer may have cut the line meanwhile
            self._transport.write_eof()
        patience = self._hub.settings.close_timeout
        asyncio.get_running_loop().call_later(patience, self._transport.abort)


def _not_found(request: HttpRequest) -> Reply:
    accepts = request.headers.get("accept", "")
    return replies.NOT_FOUND_JSON if accepts.startswith("application/json") else replies.NOT_FOUND
