"""One connection after another, and what goes over each: the only file that opens WebSockets.

Every text goes to the channel as it comes in, and what the channel has to send goes out in as few
writes as make sense. Nothing here waits for an action.
"""

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from typing import NamedTuple

from websockets.exceptions import WebSocketException

from core.errors import PatchcordError
from core.helper_process import Offload, call_inline
from core.phoenix.channel import Channel
from core.phoenix.events import DropReason, Effect, Effects, HeartbeatMissed, dropped
from core.phoenix.frames import Malformed
from core.phoenix.large_frames import LARGE, read_leniently
from core.plugboard.handshake import request_line_bytes
from core.plugboard.reconnect import CloseReason, closed, judge
from core.plugboard.transport import ConnectToOneHost, TextConnection
from core.rpc.outbox import Outbox

# One call in the future that may be moved at will.


class Timer:
    """Calls back at a time of the running loop's clock; the latest time set is the one that counts.

    Setting the same time again, as happens after nearly every message, costs a comparison.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._at: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at: float | None) -> None:
        """Ring at that time and no other; never, if None."""
        if at == self._at:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._at = at
        loop = asyncio.get_running_loop()
        self._handle = None if at is None else loop.call_at(at, self._due)

    def _due(self) -> None:
        self._at = self._handle = None
        self._ring()


log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 2.0
"""Seconds the Plugboard gets to close the socket."""
HEARD_AT_ONCE = 8
"""Messages whose answers share a write: the Plugboard goes on with them while more are made."""


class Limits(NamedTuple):
    """What may go over a connection, in bytes."""

    request_line: int = 9_998
    """What the Plugboard reads of the handshake's first line."""
    frame_bytes: int = 16 * 1024 * 1024
    """The largest message read."""
    unread_bytes: int = 64 * 1024 * 1024
    """Answers that the Plugboard does not read; beyond, the connection is made anew."""
    handover_bytes: int = 64 * 1024 * 1024
    """Answers that wait to be given to peers; beyond, 503 instead."""


class PlugboardSession:
    """Carries out what the channel decides.

    `websocket` is the open connection, if there is one; `heard` the message that is being dealt
    with.
    """

    def __init__(
        self,
        channel: Channel,
        outbox: Outbox,
        handle: Callable[[Effect], None],
        limits: Limits,
        offload: Offload = call_inline,
    ) -> None:
        """`handle` is given everything that the channel reports.

        `offload` reads large messages that cannot be split.
        """
        self._offload = offload
        self._reading: set[asyncio.Task[None]] = set()
        self._unread_bytes = 0
        self.websocket: TextConnection | None = None
        self.heard: bytes = b""
        self._channel = channel
        self._outbox = outbox
        self._handle = handle
        self._limits = limits
        self._flush_is_near = False
        self._alarm = Timer(self._tick)

    async def hold(self, url: str) -> CloseReason:
        """Connect, and talk until the connection ends; how it ended.

        `wss://` trusts what OpenSSL does, and the authorities in the file SSL_CERT_FILE.
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
                await self._converse(websocket)
        except (OSError, WebSocketException) as error:
            return judge(error, request_line_bytes(url), self._limits.request_line)
        return closed(websocket.close_code)

    async def _converse(self, websocket: TextConnection) -> None:
        self.websocket = websocket
        self._after(self._channel.opened(_now()))
        websocket.listen(self._heard, self._flush, self._channel.translated)
        try:
            await websocket.wait_closed()
        finally:
            self.websocket = None
            self._after(self._channel.closed("socket closed"))
            self._outbox.parted()

    def _heard(self, texts: list[bytes]) -> None:
        """Everything that one read has brought; what comes of it at once shares a few writes."""
        now = _now()
        self._flush_is_near = True
        for number, text in enumerate(texts, 1):
            self._hear(text, now)
            if number % HEARD_AT_ONCE == 0:
                self._flush()
                self._flush_is_near = True
        self.heard = b""
        self._after(())

    def _hear(self, text: bytes, now: float) -> None:
        if len(text) <= LARGE:
            self._report(text, self._channel.received(text, now))
        elif frame := self._channel.split(text):
            self._report(text, self._channel.read(frame, now))
        else:
            self._read_beside(text)

    def _report(self, text: bytes, effects: Effects) -> None:
        self.heard = text
        for effect in effects:
            self._handle(effect)

    def _read_beside(self, text: bytes) -> None:
        """Have a message read elsewhere; later ones overtake it."""
        if self._unread_bytes + len(text) > self._limits.unread_bytes:
            self._report(text, dropped(DropReason.MALFORMED, "too many that cannot be split"))
            return
        self._unread_bytes += len(text)
        task = asyncio.get_running_loop().create_task(self._read(text), context=Context())
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, text: bytes) -> None:
        try:
            frame = await self._offload(read_leniently, text, self._channel.vsn)
        except PatchcordError as error:
            frame = Malformed(str(error))
            log.warning("dropped frame", extra={"error": str(error)})
        finally:
            self._unread_bytes -= len(text)
        self._report(text, self._channel.read(frame, _now()))
        self.heard = b""
        self._after(())

    def wake(self) -> None:
        """There is something new in the outbox."""
        if not self._flush_is_near:
            self._flush_is_near = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_near = False
        websocket = self.websocket
        if websocket is None:
            return
        if not websocket.may_write():
            self._give_up_on_a_peer_that_does_not_read(websocket)
            return
        if texts := self._outbox.drain():
            websocket.write_texts(texts)
        if not websocket.paused:
            self._outbox.written()

    def _give_up_on_a_peer_that_does_not_read(self, websocket: TextConnection) -> None:
        unread = self._outbox.pushed_bytes
        if unread > self._limits.unread_bytes and not websocket.transport.is_closing():
            log.warning("answers are not read, connection given up", extra={"count": unread})
            websocket.transport.abort()

    def leave(self) -> None:
        """Leave the topic; the channel reports `Left` when that is done."""
        self._after(self._channel.leave(_now()))

    async def close(self) -> None:
        """Close the socket, if there is one."""
        if self.websocket is not None:
            await self.websocket.close()

    def _after(self, happened: Effects) -> None:
        """What every call of the channel is followed by."""
        for effect in happened:
            self._handle(effect)
            if isinstance(effect, HeartbeatMissed) and self.websocket is not None:
                self.websocket.transport.abort()
        self._flush()
        self._alarm.set(self._channel.next_deadline())

    def _tick(self) -> None:
        self._after(self._channel.tick(_now()))


def _now() -> float:
    return asyncio.get_running_loop().time()


async def knock(url: str, limits: Limits) -> CloseReason | None:
    """Connect and hang up, without joining: None if that worked, else why it did not."""
    try:
        async with ConnectToOneHost(url, compression=None, close_timeout=CLOSE_TIMEOUT):
            return None
    except (OSError, WebSocketException) as error:
        return judge(error, request_line_bytes(url), limits.request_line)
