"""One open WebSocket: reading, writing, idle timeout, and a record of its messages."""

import asyncio
import contextlib
import json
from collections import deque
from typing import Any

from devstack.plugboard.board.sockets import Socket, push
from devstack.plugboard.connections.framing import Framing, text_frame
from devstack.plugboard.hub import Hub


class ConsumerConnection(asyncio.Protocol):
    """A client's accepted WebSocket, from the 101 to its end; a consumer while joined."""

    def __init__(self, hub: Hub, socket: Socket, transport: asyncio.Transport) -> None:
        self.id = next(hub.numbers)
        self.socket = socket
        self.closed = False
        self.muted = False
        """Set it and this connection neither hears nor says anything, and never idles out."""
        self._hub = hub
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._framing = Framing()
        self._outbox: list[bytes] = []
        recorded = hub.settings.recorded_frames
        self._received: deque[bytes] = deque(maxlen=recorded)
        self._sent: deque[bytes] = deque(maxlen=recorded)
        self.last_traffic = self._loop.time()
        """When the last byte went in either direction, by the loop's clock."""
        self._timer = self._loop.call_later(hub.settings.idle_timeout, self._check_idle)

    @property
    def service_id(self) -> int:
        """The service of its token."""
        return self.socket.service.id

    @property
    def joined(self) -> bool:
        """Whether it is in the rotation."""
        return self.socket.channel is not None

    @property
    def close_code(self) -> int | None:
        """The client's close code; None while open, or if the connection was lost."""
        close = self._framing.client_close
        return None if close is None else int(close.code)

    @property
    def received(self) -> list[Any]:
        """The newest messages from the client, decoded; text if not JSON."""
        return [_readable(data) for data in self._received]

    @property
    def sent(self) -> list[Any]:
        """The newest messages to the client, decoded."""
        return [_readable(data) for data in self._sent]

    def send(self, data: bytes) -> None:
        """Send any text message; those of one loop iteration are written together."""
        if self.muted or self.closed:
            return
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(text_frame(data))
        self._sent.append(data)

    def push(self, event: str, payload: object) -> None:
        """Send any event with any payload from the joined channel."""
        self.send(push(self.socket, event, payload).data)

    def close(self, code: int) -> None:
        """Send a close frame without a reason and disconnect; ProtocolError on a bad code."""
        if self.closed:
            return
        self._framing.fail(code)
        self._flush()
        self._end()
        self._write_framing()

    def abort(self) -> None:
        """Cut the connection without a close frame: the client sees 1006."""
        self._end()
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Process received bytes."""
        self.last_traffic = self._loop.time()
        if not self.muted:
            self._apply(data)
        self._hub.on_change()

    def eof_received(self) -> None:
        """The client closed its direction; asyncio closes ours."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the rotation."""
        del exc
        self._end()
        self._timer.cancel()

    def _apply(self, data: bytes) -> None:
        for message in self._framing.receive(data):
            self._received.append(message.data)
            if not self.closed:
                self._hub.received(self.socket, message.data, text=message.text)
        self._write_framing()

    def _flush(self) -> None:
        if self._outbox and not self._transport.is_closing():
            self._transport.write(b"".join(self._outbox))
            self.last_traffic = self._loop.time()
        self._outbox = []

    def _write_framing(self) -> None:
        """Write the framing's output: pongs, a close frame, and the end (empty bytes)."""
        for data in self._framing.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._finish_writing()

    def _finish_writing(self) -> None:
        """Close our direction only: closing with unread data would destroy the close frame."""
        self._end()
        with contextlib.suppress(OSError):  # the peer may have cut the line meanwhile
            self._transport.write_eof()
        self._timer.cancel()
        patience = self._hub.settings.close_timeout
        self._timer = self._loop.call_later(patience, self._transport.abort)

    def _end(self) -> None:
        if not self.closed:
            self.closed = True
            self._outbox.clear()
            self._hub.disconnected(self.socket)

    def _check_idle(self) -> None:
        limit = self._hub.settings.idle_timeout
        left = limit if self.muted else self.last_traffic + limit - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_idle)
        else:
            self.close(1002)


def _readable(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")
