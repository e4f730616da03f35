"""Reading a request's body: counted while it comes in, unpacked, within one budget of memory.

The size is checked in three places, because each alone can be got round: `Content-Length` before
anything is read, the bytes as they arrive (a chunked body has no length), and the bytes that come
out of gzip. Unpacking is done piece by piece, so that a small body that unpacks to gigabytes costs
no more than the limit and one piece.
"""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from core.errors import PatchcordError, TooLargeError, UnavailableError

type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Headers = Iterable[tuple[bytes, bytes]]
"""As in an ASGI scope: names in lower case."""

INPUT_PIECE = 16 * 1024
"""Bytes given to the unpacker at once; it copies what it has not used of them at each step."""
OUTPUT_PIECE = 256 * 1024
"""Bytes unpacked until other requests have their turn."""
MOST_MEMBERS = 1000
"""Members of one gzip body; an empty one has 20 bytes and costs as much time as a large piece."""
_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_WINDOWS = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": _ZLIB}


class BadBodyError(PatchcordError):
    """The body cannot be unpacked; 400."""


class UnsupportedEncodingError(PatchcordError):
    """The body has a Content-Encoding other than gzip, deflate and identity; 415."""


class DisconnectedError(PatchcordError):
    """The client closed the connection before the end of the body; nothing can be answered."""


class Body(NamedTuple):
    """The body of a request."""

    raw: bytes
    """As received; signatures are over these bytes."""
    content: bytes
    """Unpacked; the same object as `raw` without a Content-Encoding."""


class BodyMemory:
    """The bytes of bodies that all requests hold together."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of all shares."""
        return self._held

    def share(self) -> "MemoryShare":
        """What one request holds, as a context manager: it gives all back at its end."""
        return MemoryShare(self)

    def take(self, size: int, own: int) -> None:
        """Count `size` bytes more of a share that holds `own` bytes.

        Raises:
            UnavailableError: together they are more than the limit.
        """
        # A single request may exceed the limit when no other holds anything, or it could never run.
        if self._held > own and self._held + size > self._most:
            raise UnavailableError("Too many bytes of other requests are in work; try again later")
        self._held += size

    def give_back(self, size: int) -> None:
        """Count `size` bytes less."""
        self._held -= size


class MemoryShare:
    """The bytes that one request holds of the `BodyMemory`."""

    __slots__ = ("_memory", "_own")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._own = 0

    def take(self, size: int) -> None:
        """Count `size` bytes more.

        Raises:
            UnavailableError: together with other requests they are more than the limit.
        """
        self._memory.take(size, self._own)
        self._own += size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._memory.give_back(self._own)
        self._own = 0


async def read_body(receive: Receive, headers: Headers, limit: int, share: MemoryShare) -> Body:
    """Read a request's body to its end.

    `limit` holds for the bytes received and for the bytes unpacked. `share` counts both.

    Raises:
        TooLargeError: the body is larger than `limit`; before it is read, if it says so itself.
        UnavailableError: all bodies in work together are too large; try again later.
        UnsupportedEncodingError: the Content-Encoding is another one, or there are several.
        BadBodyError: the packed body is corrupt, ends too early, or has bytes after its end.
        DisconnectedError: the client closed the connection first.
    """
    length, window = _announced(headers)
    if length > limit:
        raise TooLargeError(f"The body has {length} bytes, more than the limit of {limit}")
    unpacker = None if window is None else _Unpacker(window, limit, share)
    raw: bytes | bytearray = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if len(raw) + len(part) > limit:
            raise TooLargeError(f"The body has more than the limit of {limit} bytes")
        share.take(len(part))
        raw = _joined(raw, part)
        if unpacker is not None:
            await unpacker.feed(part)
    whole = bytes(raw)
    return Body(whole, whole if unpacker is None or not whole else unpacker.content())


def as_utf8(content: bytes) -> bytes:
    """JSON text in UTF-8 without a byte order mark; UTF-16 and UTF-32 are recognised.

    vcon-server takes them, and editors and shells of Windows write them.
    """
    if content[:1] in _FIRST and content[1:2] != b"\0":
        return content
    encoding = json.detect_encoding(content)
    try:
        return content if encoding == "utf-8" else content.decode(encoding).encode()
    except UnicodeError:
        return content


_FIRST = (b"{", b"[")
"""The first byte of nearly all bodies."""


def _joined(all_before: bytes | bytearray, part: bytes) -> bytes | bytearray:
    """One piece stays what it is; many go into one array, as each object would need 33 bytes."""
    if not all_before:
        return part
    whole = all_before if isinstance(all_before, bytearray) else bytearray(all_before)
    whole += part
    return whole


def _announced(headers: Headers) -> tuple[int, int | None]:
    """What Content-Length says, else 0; and the unpacker's window size if the body is packed."""
    length, encodings = 0, []
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            length = int(value) if len(value) < 20 else 10**20
        elif name == b"content-encoding":
            encodings += [each.strip().lower() for each in value.split(b",")]
    packed = [each for each in encodings if each not in (b"", b"identity")]
    if not packed:
        return length, None
    if len(packed) > 1 or packed[0] not in _WINDOWS:
        raise UnsupportedEncodingError("Content-Encoding must be gzip, deflate or identity")
    return length, _WINDOWS[packed[0]]


class _Unpacker:
    """Unpacks gzip of one or several members, or one zlib stream."""

    def __init__(self, window: int, limit: int, share: MemoryShare) -> None:
        self._window = window
        self._limit = limit
        self._share = share
        self._stream = zlib.decompressobj(wbits=window)
        self._members = 1
        self._content = bytearray()

    async def feed(self, packed: bytes) -> None:
        """Unpack the next bytes of the body; other requests have their turn in between."""
        for start in range(0, len(packed), INPUT_PIECE):
            rest, more = packed[start : start + INPUT_PIECE], True
            while more:
                rest, more = self._step(rest)
                if more:
                    await asyncio.sleep(0)

    def _step(self, packed: bytes) -> tuple[bytes, bool]:
        """Unpack one piece; the bytes that are not used yet, and whether there is more to do."""
        if self._stream.eof:
            self._next_member()
        room = min(OUTPUT_PIECE, self._limit - len(self._content) + 1)
        try:
            part = self._stream.decompress(packed, room)
        except zlib.error:
            raise BadBodyError("The body is not what its Content-Encoding says") from None
        if len(self._content) + len(part) > self._limit:
            raise TooLargeError(f"Unpacked the body has more than the limit of {self._limit} bytes")
        self._share.take(len(part))
        self._content += part
        if self._stream.eof:
            return self._stream.unused_data, bool(self._stream.unused_data)
        rest = self._stream.unconsumed_tail
        return rest, bool(rest) or len(part) == room  # a full piece: zlib may hold more of it

    def _next_member(self) -> None:
        self._members += 1
        if self._window == _ZLIB:
            raise BadBodyError("There are bytes after the end of the packed body")
        if self._members > MOST_MEMBERS:
            raise BadBodyError(f"The packed body has more than {MOST_MEMBERS} members")
        self._stream = zlib.decompressobj(wbits=self._window)

    def content(self) -> bytes:
        """All that was unpacked.

        Raises:
            BadBodyError: the packed body has ended too early.
        """
        if not self._stream.eof:
            raise BadBodyError("The packed body ends too early")
        return bytes(self._content)
