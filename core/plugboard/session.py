"""The WebSocket connection between the Plugboard and the channel.

Received texts are passed to the channel at once; the texts of the channel and the outbox are
written in as few writes as possible. Nothing here waits for an action.
"""

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from typing import NamedTuple

from websockets.exceptions import WebSocketException

from core.concurrency.helper_process import Offload, call_inline
from core.errors import PatchcordError
from core.phoenix.channel import Channel
from core.phoenix.events import DropReason, Effect, Effects, HeartbeatMissed, dropped
from core.phoenix.frames import Malformed
from core.phoenix.large_frames import LARGE, read_leniently
from core.plugboard.handshake import request_line_bytes
from core.plugboard.reconnect import CloseReason, close_reason, connection_closed
from core.plugboard.transport import ConnectToOneHost, TextConnection
from core.rpc.outbox import Outbox

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 2.0
"""Seconds for the Plugboard to answer the close frame."""
TEXTS_PER_WRITE = 8
"""Received texts after which the answers so far are written, instead of at the end of the batch."""


class Timer:
    """Reschedulable timer (event-loop seconds).

    Setting the same time again, which happens after nearly every message, costs one comparison.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._at: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at: float | None) -> None:
        """Call back at that time only; None: not at all."""
        if at == self._at:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._at = at
        loop = asyncio.get_running_loop()
        self._handle = None if at is None else loop.call_at(at, self._due)

    def _due(self) -> None:
        self._at = self._handle = None
        self._callback()


class Limits(NamedTuple):
    """Limits of a connection: bytes, and seconds of the leave."""

    request_line: int = 9_998
    """The longest request line of the handshake that the Plugboard accepts."""
    frame_bytes: int = 16 * 1024 * 1024
    """The largest message accepted."""
    unread_bytes: int = 64 * 1024 * 1024
    """Answers that the Plugboard does not read; beyond, the connection is dropped."""
    handover_bytes: int = 64 * 1024 * 1024
    """Answers that wait for the handover to peers; beyond, a 503 is handed over instead."""
    leave_seconds: float = 2.0
    """Time for the Plugboard to confirm a leave."""


class PlugboardSession:
    """Connects, feeds the channel, and writes its texts.

    `websocket` is the open connection, or None; `current_text` the message being handled.
    """

    def __init__(
        self,
        channel: Channel,
        outbox: Outbox,
        handle: Callable[[Effect], None],
        limits: Limits,
        offload: Offload = call_inline,
    ) -> None:
        """`handle` gets each effect of the channel; `offload` parses texts that cannot be split."""
        self._offload = offload
        self._parsing: set[asyncio.Task[None]] = set()
        self._unread_bytes = 0
        self.websocket: TextConnection | None = None
        self.current_text: bytes = b""
        self._channel = channel
        self._outbox = outbox
        self._handle = handle
        self._limits = limits
        self._flush_is_scheduled = False
        self._timer = Timer(self._tick)

    async def run(self, url: str) -> CloseReason:
        """Connect and serve until the connection ends; returns the reason.

        `wss://` trusts the authorities of OpenSSL and those in the file SSL_CERT_FILE.
        """
        try:
            async with ConnectToOneHost(
                url,
                compression=None,
                max_size=self._limits.frame_bytes,
                max_queue=None,
                close_timeout=CLOSE_TIMEOUT,
                create_connection=TextConnection,
                write_limit=1,  # write at once, not at the end of the loop's turn
            ) as websocket:
                assert isinstance(websocket, TextConnection)
                await self._serve(websocket)
        except (OSError, WebSocketException) as error:
            return close_reason(error, request_line_bytes(url), self._limits.request_line)
        return connection_closed(websocket.close_code)

    async def _serve(self, websocket: TextConnection) -> None:
        self.websocket = websocket
        self._handle_all(self._channel.opened(_now()))
        websocket.listen(self._received, self._flush, self._channel.transcode)
        try:
            await websocket.wait_closed()
        finally:
            self.websocket = None
            self._handle_all(self._channel.closed("socket closed"))
            self._outbox.channel_lost()

    def _received(self, texts: list[bytes]) -> None:
        """Handle the texts of one read; answers that are ready at once share a few writes."""
        now = _now()
        self._flush_is_scheduled = True
        for number, text in enumerate(texts, 1):
            self._receive(text, now)
            if number % TEXTS_PER_WRITE == 0:
                self._flush()
                self._flush_is_scheduled = True
        self.current_text = b""
        self._handle_all(())

    def _receive(self, text: bytes, now: float) -> None:
        if len(text) <= LARGE:
            self._report(text, self._channel.received(text, now))
        elif frame := self._channel.split(text):
            self._report(text, self._channel.received_frame(frame, now))
        else:
            self._parse_elsewhere(text)

    def _report(self, text: bytes, effects: Effects) -> None:
        self.current_text = text
        for effect in effects:
            self._handle(effect)

    def _parse_elsewhere(self, text: bytes) -> None:
        """Parse a message with `offload`; messages received later are handled before it."""
        if self._unread_bytes + len(text) > self._limits.unread_bytes:
            self._report(text, dropped(DropReason.MALFORMED, "too many bytes that cannot be split"))
            return
        self._unread_bytes += len(text)
        task = asyncio.get_running_loop().create_task(self._parse(text), context=Context())
        self._parsing.add(task)
        task.add_done_callback(self._parsing.discard)

    async def _parse(self, text: bytes) -> None:
        try:
            frame = await self._offload(read_leniently, text, self._channel.vsn)
        except PatchcordError as error:
            frame = Malformed(str(error))
            log.warning("dropped frame", extra={"error": str(error)})
        finally:
            self._unread_bytes -= len(text)
        self._report(text, self._channel.received_frame(frame, _now()))
        self.current_text = b""
        self._handle_all(())

    def wake(self) -> None:
        """Schedule a write; call after adding to the outbox."""
        if not self._flush_is_scheduled:
            self._flush_is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_scheduled = False
        websocket = self.websocket
        if websocket is None:
            return
        if not websocket.may_write():
            self._abort_if_unread(websocket)
            return
        if texts := self._outbox.drain():
            websocket.write_texts(texts)
        if not websocket.paused:
            self._outbox.written()

    def _abort_if_unread(self, websocket: TextConnection) -> None:
        unread = self._outbox.pushed_bytes
        if unread > self._limits.unread_bytes and not websocket.transport.is_closing():
            log.warning("answers not read, connection dropped", extra={"count": unread})
            websocket.transport.abort()

    def leave(self) -> None:
        """Leave the topic; the effect `Left` follows."""
        self._handle_all(self._channel.leave(_now()))

    async def close(self) -> None:
        """Close the socket, if there is one."""
        if self.websocket is not None:
            await self.websocket.close()

    def _handle_all(self, effects: Effects) -> None:
        """Handle the effects of a call of the channel, write its texts and reset the timer."""
        for effect in effects:
            self._handle(effect)
            if isinstance(effect, HeartbeatMissed) and self.websocket is not None:
                self.websocket.transport.abort()
        self._flush()
        self._timer.set(self._channel.next_deadline())

    def _tick(self) -> None:
        self._handle_all(self._channel.tick(_now()))


def _now() -> float:
    return asyncio.get_running_loop().time()


async def try_connection(url: str, limits: Limits) -> CloseReason | None:
    """Connect and close without joining; returns None, or the reason why it failed."""
    try:
        async with ConnectToOneHost(url, compression=None, close_timeout=CLOSE_TIMEOUT):
            return None
    except (OSError, WebSocketException) as error:
        return close_reason(error, request_line_bytes(url), limits.request_line)
