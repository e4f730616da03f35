"""One connection after another, and what goes over each: the only file that opens WebSockets.

The read loop hands every text to the channel and waits for nothing else; one task writes what the
channel has to send.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from core.alarm import Alarm
from core.channel import Channel
from core.channel_effects import Effect, Effects, HeartbeatMissed
from core.connection_loss import Loss, closed, judge
from core.handshake import request_line_bytes
from core.outbound import Outbox

CLOSE_TIMEOUT = 2.0
"""Seconds the Plugboard gets to close the socket."""


class Limits(NamedTuple):
    """What may go over a connection, in bytes."""

    request_line: int = 9_998
    """What the Plugboard reads of the handshake's first line."""
    frame_bytes: int = 16 * 1024 * 1024
    """The largest message read."""


class Conversation:
    """Carries out what the channel decides; `websocket` is the open connection, if there is one."""

    def __init__(
        self,
        channel: Channel,
        outbox: Outbox,
        handle: Callable[[Effect], None],
        limits: Limits,
    ) -> None:
        """`handle` is given everything that the channel reports."""
        self.websocket: ClientConnection | None = None
        self._channel = channel
        self._outbox = outbox
        self._handle = handle
        self._limits = limits
        self._to_write = asyncio.Event()
        self._alarm = Alarm(self._tick)

    async def hold(self, url: str) -> Loss:
        """Connect, and talk until the connection ends; how it ended.

        `wss://` trusts what OpenSSL does, and the authorities in the file SSL_CERT_FILE.
        """
        try:
            async with connect(
                url,
                compression=None,
                max_size=self._limits.frame_bytes,
                max_queue=None,
                close_timeout=CLOSE_TIMEOUT,
            ) as websocket:
                await self._converse(websocket)
        except (OSError, WebSocketException) as error:
            return judge(error, request_line_bytes(url), self._limits.request_line)
        return closed(websocket.close_code)

    async def _converse(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self._after(self._channel.opened(_now()))
        writer = asyncio.create_task(self._write(websocket))
        try:
            async for text in websocket:
                self._after(self._channel.received(text, _now()))
        finally:
            self.websocket = None
            writer.cancel()
            self._after(self._channel.closed("socket closed"))
            self._outbox.disconnected()

    async def _write(self, websocket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # the read loop notices and says so
            while True:
                await self._to_write.wait()
                self._to_write.clear()
                with self._outbox.draining() as texts:
                    for text in texts:
                        await websocket.send(text, text=True)

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._to_write.set()

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
        self._to_write.set()
        self._alarm.set(self._channel.next_deadline())

    def _tick(self) -> None:
        self._after(self._channel.tick(_now()))


def _now() -> float:
    return asyncio.get_running_loop().time()
