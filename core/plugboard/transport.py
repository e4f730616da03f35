"""The driver's connection, with a short way in and out for whole text messages."""

import os
import sys
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Any, override

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import Event, State
from websockets.uri import WebSocketURI, parse_uri

from core.plugboard.reconnect import RedirectRefusedError

# WebSocket frames as this side reads and writes them, where speed counts (RFC 6455, section 5.2).
#
# The driver makes an object of each frame and writes each by itself, which costs more than the
# answer inside. Here whole text messages are taken off the bytes received, and put into bytes to
# be written. Everything else, control frames, fragments and mistakes, is left to the driver.

try:
    from websockets.speedups import apply_mask
except ImportError:  # the same, in Python
    from websockets.utils import apply_mask

LONGEST_HEADER = 14
"""Bytes of a frame before its body, at most."""
_WHOLE_TEXT = 0x81
_MASKED = 0x80
_SHORT, _MEDIUM = 126, 65_536
"""Lengths below these have their own, shorter headers."""


def whole_texts(data: bytes, largest: int) -> tuple[list[bytes], int]:
    """The whole text messages that the bytes begin with, and how many bytes they took.

    One of more than `largest` bytes is not among them.
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
    """Length and beginning of a body whose header is longer than two bytes, if it is all there."""
    body = start + (4 if data[start + 1] & ~_MASKED == _SHORT else 10)
    return None if len(data) < body else (int.from_bytes(data[start + 2 : body]), body)


def frame_size(data: bytes) -> int | None:
    """How long the frame is that the bytes begin with, whatever it is; None: too few to tell."""
    if len(data) < 2:
        return None
    size = data[1] & ~_MASKED
    mask = 4 if data[1] & _MASKED else 0
    if size < _SHORT:
        return 2 + mask + size
    sized = _long_size(data, 0)
    return None if sized is None else sum(sized) + mask


def masked_texts(texts: Sequence[bytes]) -> bytes:
    """Text messages as a client writes them, each under a mask of its own."""
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


type Hear = Callable[[list[bytes]], None]
type Translate = Callable[[str | bytes], str]

_END_OF_HEAD = b"\r\n\r\n"


class ConnectToOneHost(connect):
    """The driver's `connect`, which follows a redirect to its own host only.

    The handshake's URL holds the token: another host, or another port, must not get it.
    """

    @override
    def process_redirect(self, exc: Exception) -> Exception | str:
        target = super().process_redirect(exc)
        if isinstance(target, str) and not _is_same_place(self.ws_uri, parse_uri(target)):
            return RedirectRefusedError("redirected to another host")
        return target


def _is_same_place(old: WebSocketURI, new: WebSocketURI) -> bool:
    """Whether it is the same server, or the same host with TLS instead of none."""
    has_become_secure = new.secure and not old.secure and (old.port, new.port) == (80, 443)
    return old.host == new.host and (old.port == new.port or has_become_secure)


class TextConnection(ClientConnection):
    """Hands over all messages of one read at once, and writes all of one turn at once.

    `recv` and iteration find nothing: `listen` does. The driver gets every other frame, one
    at a time and only when it is complete, so it always stands between two frames.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """All arguments are the driver's."""
        super().__init__(*arguments, **options)
        self._largest = self.protocol.max_message_size or sys.maxsize
        self._head = b""
        self._unread, self._awaited = bytearray(), 0
        self._fragments: list[bytes] = []
        self._texts: list[bytes] = []
        self._hear: Hear | None = None
        self._writable: Callable[[], None] | None = None
        self._translate: Translate | None = None

    def listen(
        self, hear: Hear, writable: Callable[[], None], translate: Translate | None = None
    ) -> None:
        """`hear` gets the messages from now on, and those that have come already.

        `writable` is called when writing is possible again. `translate` makes a message of the
        connection's version of what an action sends.
        """
        self._hear, self._writable, self._translate = hear, writable, translate
        self._hand_over()

    @override
    async def send(self, message: Any, text: bool | None = None) -> None:
        """Send what an action has written, in either version of the Phoenix format.

        Raises:
            ValueError: it is no Phoenix message; the Plugboard would close the connection.
        """
        if self._translate is None:
            await super().send(message)
        else:
            await super().send(self._translate(await _whole(message)))

    def may_write(self) -> bool:
        """Whether this is the moment to write; if not, `writable` says when, if ever."""
        if self.send_in_progress is not None:  # somebody else's message is on its way in fragments
            self.send_in_progress.add_done_callback(lambda _: self._writable_again())
            return False
        is_open = self.protocol.state is State.OPEN and not self.transport.is_closing()
        return is_open and not self.paused

    def write_texts(self, texts: Sequence[bytes]) -> None:
        """Write UTF-8 texts, one message each; to be called only if `may_write`."""
        self.transport.write(masked_texts(texts))

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._writable_again()

    def _writable_again(self) -> None:
        if self._writable is not None:
            self._writable()

    # What comes in

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
        self._hand_over()

    def _head_received(self, data: bytes) -> bytes:
        """Let the driver have the answer to the handshake; what came behind it."""
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

    def _hand_over(self) -> None:
        if self._texts and self._hear is not None:
            texts, self._texts = self._texts, []
            self._hear(texts)


async def _whole(message: Any) -> str | bytes:
    """A message that may come in parts, as the driver takes them."""
    if isinstance(message, str | bytes):
        return message
    if isinstance(message, bytearray | memoryview):
        return bytes(message)
    if isinstance(message, AsyncIterable):
        parts = [part async for part in message]
    else:
        parts = list(message)
    return b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in parts)
