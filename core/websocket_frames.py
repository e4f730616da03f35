"""WebSocket frames as this side reads and writes them, where speed counts (RFC 6455, section 5.2).

The driver makes an object of each frame and writes each by itself, which costs more than the answer
inside. Here whole text messages are taken off the bytes received, and put into bytes to be written.
Everything else, control frames, fragments and mistakes, is left to the driver.
"""

import os
from collections.abc import Sequence

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
