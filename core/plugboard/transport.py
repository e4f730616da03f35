"""A `websockets` connection with a fast path for whole text messages (RFC 6455, section 5.2).

The library creates an object for each frame and writes each frame separately, which costs more than
the answer in it. Here whole text messages are cut out of the received bytes, and many are written
at once. The library gets everything else: control frames, fragments and protocol errors. It gets
each of these frames alone and complete, so its parser is between two frames at any time.
"""

import os
import sys
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Any, override

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import Event, State
from websockets.uri import WebSocketURI, parse_uri

from core.plugboard.reconnect import RedirectRefusedError

try:
    from websockets.speedups import apply_mask
except ImportError:  # the C extension is not built
    from websockets.utils import apply_mask

LONGEST_HEADER = 14
"""Most bytes of a frame before its body."""
_WHOLE_TEXT = 0x81
_MASKED = 0x80
_SHORT, _MEDIUM = 126, 65_536
"""Bodies shorter than these have shorter headers."""


def whole_texts(data: bytes, largest: int) -> tuple[list[bytes], int]:
    """The whole unmasked text messages at the start of `data`, and their size in bytes.

    Stops at a frame of another kind, an incomplete one, or a body of more than `largest` bytes.
    """
    texts: list[bytes] = []
    start, end = 0, len(data)
    while end - start >= 2 and data[start] == _WHOLE_TEXT:
        size, body = data[start + 1], start + 2
        if size >= _SHORT:
            if size >= _MASKED or (sized := _long_size(data, start)) is None:
                break
            size, body = sized
        if size > largest or body + size > end:
            break
        texts.append(data[body : body + size])
        start = body + size
    return texts, start


def _long_size(data: bytes, start: int) -> tuple[int, int] | None:
    """Size and offset of a body whose length has 2 or 8 bytes; None if they are incomplete."""
    body = start + (4 if data[start + 1] & ~_MASKED == _SHORT else 10)
    return None if len(data) < body else (int.from_bytes(data[start + 2 : body]), body)


def frame_size(data: bytes) -> int | None:
    """Size of the first frame of any kind, header included; None if its header is incomplete."""
    if len(data) < 2:
        return None
    size = data[1] & ~_MASKED
    mask = 4 if data[1] & _MASKED else 0
    if size < _SHORT:
        return 2 + mask + size
    sized = _long_size(data, 0)
    return None if sized is None else sum(sized) + mask


def masked_texts(texts: Sequence[bytes]) -> bytes:
    """Encode text messages as client frames, each with a random mask of its own."""
    masks = os.urandom(4 * len(texts))
    parts: list[bytes] = []
    for number, text in enumerate(texts):
        mask = masks[4 * number : 4 * number + 4]
        parts += (_client_header(len(text)), mask, apply_mask(text, mask))
    return b"".join(parts)


def _client_header(size: int) -> bytes:
    if size < _SHORT:
        return bytes((_WHOLE_TEXT, _MASKED | size))
    if size < _MEDIUM:
        return b"\x81\xfe%b" % size.to_bytes(2)
    return b"\x81\xff%b" % size.to_bytes(8)


type OnTexts = Callable[[list[bytes]], None]
type Transcode = Callable[[str | bytes], str]

_END_OF_HEAD = b"\r\n\r\n"


class ConnectToOneHost(connect):
    """The library's `connect`, but a redirect is followed to the same host and port only.

    The URL of the handshake holds the token, which another server must not get.
    """

    @override
    def process_redirect(self, exc: Exception) -> Exception | str:
        target = super().process_redirect(exc)
        if isinstance(target, str) and not _is_same_place(self.ws_uri, parse_uri(target)):
            return RedirectRefusedError("redirected to another host")
        return target


def _is_same_place(old: WebSocketURI, new: WebSocketURI) -> bool:
    """True for the same server, or for the same host with TLS on port 443 instead of 80."""
    has_become_secure = new.secure and not old.secure and (old.port, new.port) == (80, 443)
    return old.host == new.host and (old.port == new.port or has_become_secure)


class TextConnection(ClientConnection):
    """Passes all messages of one read to a callback, and writes many messages at once.

    `recv` and iteration return nothing; use `listen`.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """The arguments are those of `ClientConnection`."""
        super().__init__(*arguments, **options)
        self._largest = self.protocol.max_message_size or sys.maxsize
        self._head = b""
        self._unread, self._awaited = bytearray(), 0
        self._fragments: list[bytes] = []
        self._texts: list[bytes] = []
        self._on_texts: OnTexts | None = None
        self._writable: Callable[[], None] | None = None
        self._transcode: Transcode | None = None

    def listen(
        self, on_texts: OnTexts, writable: Callable[[], None], transcode: Transcode | None = None
    ) -> None:
        """`on_texts` gets the messages from now on, after those received already.

        `writable` is called when writing is possible again. `transcode` converts what an action
        sends with `send` to the serializer version of the connection.
        """
        self._on_texts, self._writable, self._transcode = on_texts, writable, transcode
        self._deliver()

    @override
    async def send(self, message: Any, text: bool | None = None) -> None:
        """Send a message of an action, in either serializer version.

        Raises:
            ValueError: not a Phoenix message; the Plugboard would close the connection.
        """
        if self._transcode is None:
            await super().send(message)
        else:
            await super().send(self._transcode(await _whole(message)))

    def may_write(self) -> bool:
        """True if the transport accepts writes now; if False, `writable` is called later."""
        if self.send_in_progress is not None:  # an action sends a message in fragments
            self.send_in_progress.add_done_callback(lambda _: self._writable_again())
            return False
        is_open = self.protocol.state is State.OPEN and not self.transport.is_closing()
        return is_open and not self.paused

    def write_texts(self, texts: Sequence[bytes]) -> None:
        """Write UTF-8 texts, one message each; only allowed while `may_write`."""
        self.transport.write(masked_texts(texts))

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._writable_again()

    def _writable_again(self) -> None:
        if self._writable is not None:
            self._writable()

    # Receiving

    @override
    def data_received(self, data: bytes) -> None:
        if self.response is None:
            data = self._head_received(data)
        elif self._unread:
            self._unread += data
            if len(self._unread) < self._awaited:
                return
            data = bytes(self._unread)
            self._unread.clear()
        if data:
            self._frames_received(data)
        self._deliver()

    def _head_received(self, data: bytes) -> bytes:
        """Pass the HTTP response of the handshake to the library; return the bytes behind it."""
        seen = len(self._head)
        self._head += data
        end = self._head.find(_END_OF_HEAD)
        if end < 0:
            super().data_received(data)
            return b""
        end += len(_END_OF_HEAD) - seen
        super().data_received(data[:end])
        self._head = b""
        return data[end:]

    def _frames_received(self, data: bytes) -> None:
        while data and self.protocol.state is State.OPEN:
            if self.protocol.current_size is None:
                texts, used = whole_texts(data, self._largest)
                self._texts += texts
                data = data[used:]
            size = frame_size(data)
            if size is None or len(data) < size <= self._largest + LONGEST_HEADER:
                self._unread += data
                self._awaited = size or 0
                return
            super().data_received(data[:size])
            data = data[size:]
        if data:  # closing
            super().data_received(data)

    @override
    def process_event(self, event: Event) -> None:
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        self._fragments.append(bytes(event.data))
        if event.fin:
            self._texts.append(b"".join(self._fragments))
            self._fragments = []

    def _deliver(self) -> None:
        if self._texts and self._on_texts is not None:
            texts, self._texts = self._texts, []
            self._on_texts(texts)


async def _whole(message: Any) -> str | bytes:
    """The whole of a message that may be given in parts, as `ClientConnection.send` allows."""
    if isinstance(message, str | bytes):
        return message
    if isinstance(message, bytearray | memoryview):
        return bytes(message)
    if isinstance(message, AsyncIterable):
        parts = [part async for part in message]
    else:
        parts = list(message)
    return b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in parts)
