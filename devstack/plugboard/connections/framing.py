"""WebSocket frames, server side: bytes in, whole messages out.

The library's sans-I/O core parses the frames. There is one optimisation: a small text message in a
single frame, the common case, is read from the buffer directly, so that the board's cost per
request stays well below that of the clients it measures.
"""

import logging
from collections.abc import Iterator
from typing import NamedTuple

from websockets.frames import BINARY, CLOSE, CONT, TEXT, Close, CloseCode, Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

# Outside the logging tree: the library logs whole frames at DEBUG, and some hold a secret.
_SILENT = logging.Logger("devstack.plugboard", logging.ERROR)
_WHOLE_TEXT = 0x81
_MASKED = 0x80


class Received(NamedTuple):
    """One whole message from the client."""

    data: bytes
    text: bool


class Framing(ServerProtocol):
    """One accepted connection; any close code of a client is answered with 1000."""

    def __init__(self) -> None:
        super().__init__(state=OPEN, max_size=None, logger=_SILENT)
        self.client_close: Close | None = None
        """How the client closed, None as long as it has not."""
        self._between_frames = True
        self._parts: list[bytes] = []
        self._text = True

    def receive(self, data: bytes) -> list[Received]:
        """The messages completed by these bytes; then call `data_to_send`."""
        messages: list[Received] = []
        if self._between_frames and self.current_size is None and self.state is OPEN:
            whole, used = whole_text_frames(data)
            messages = [Received(text, True) for text in whole]
            data = data[used:]
        if data:
            self._between_frames = False
            self.receive_data(data)
            messages += self._messages()
        return messages

    def recv_frame(self, frame: Frame) -> None:
        """Record the parser's position, and answer a close frame with 1000."""
        self._between_frames = not self.reader.buffer
        if frame.opcode is CLOSE and self.state is OPEN:
            self.client_close = Close.parse(frame.data)
            frame = Frame(CLOSE, Close(CloseCode.NORMAL_CLOSURE, "").serialize())
        super().recv_frame(frame)

    def _messages(self) -> Iterator[Received]:
        """Join fragments; the core has answered control frames."""
        for frame in self.events_received():
            assert isinstance(frame, Frame)
            if frame.opcode not in (TEXT, BINARY, CONT):
                continue
            if frame.opcode is not CONT:
                self._text = frame.opcode is TEXT
            self._parts.append(bytes(frame.data))
            if frame.fin:
                yield Received(b"".join(self._parts), self._text)
                self._parts = []


def whole_text_frames(data: bytes) -> tuple[list[bytes], int]:
    """The leading small text messages, and their bytes in the buffer; the rest is not parsed."""
    messages: list[bytes] = []
    start, end = 0, len(data)
    while end - start >= 8 and data[start] == _WHOLE_TEXT and data[start + 1] >= _MASKED:
        size, mask = data[start + 1] - _MASKED, start + 2
        if size == 127:
            break
        if size == 126:
            size, mask = int.from_bytes(data[mask : mask + 2]), mask + 2
        body = mask + 4
        if body + size > end:
            break
        messages.append(apply_mask(data[body : body + size], data[mask:body]))
        start = body + size
    return messages, start


def text_frame(data: bytes) -> bytes:
    """A whole unmasked text message."""
    size = len(data)
    if size < 126:
        return b"\x81%c%b" % (size, data)
    if size < 65_536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2), data)
    return b"\x81\x7f%b%b" % (size.to_bytes(8), data)
