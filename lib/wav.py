"""How long a WAV recording is, told by its header where the header can be believed."""

import struct
from collections.abc import Iterator

_HEAD = 12
_PLAIN = frozenset({1, 3, 6, 7, 0xFFFE})
"""Formats whose samples all have the same bits: PCM, float, A-law, mu-law, and the extensible."""
_MOST_RATE = 768_000
"""Samples a second of the fastest recorders."""
_MOST = 2**32 - 1


def is_wav(content: bytes) -> bool:
    """Whether a file begins as a WAV does."""
    return content[:4] in (b"RIFF", b"RF64", b"RIFX") and content[8:12] == b"WAVE"


def wav_seconds(content: bytes) -> float | None:
    """The length in seconds; None when it is not known.

    A recorder that streams does not know the length when it writes the header: it says 0, the
    highest number, or a number that does not fit what follows. Then the length is unknown.
    """
    if content[:4] != b"RIFF" or not is_wav(content):
        return None
    rate = 0
    for name, start, size in _chunks(content):
        if name == b"fmt ":
            rate = _byte_rate(content[start : start + min(size, 16)])
        elif name == b"data":
            fits = size > 0 and _is_followed_by_chunks(content, start + size + size % 2)
            return size / rate if fits and rate else None
    return None


def with_its_length(content: bytes) -> bytes:
    """The recording with the length that its bytes have in its header.

    For one whose length is not known: other programs would read what the header says and no more.
    """
    for name, start, _ in _chunks(content):
        if name == b"data":
            told = bytearray(content)
            struct.pack_into("<I", told, 4, min(len(content) - 8, _MOST))
            struct.pack_into("<I", told, start - 4, min(len(content) - start, _MOST))
            return bytes(told)
    return content


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and size of each chunk, as they say."""
    position = _HEAD
    while position + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        yield name, position + 8, size
        position += 8 + size + size % 2


def _byte_rate(header: bytes) -> int:
    """Bytes a second; 0 when the numbers of the header contradict each other."""
    if len(header) < 16:
        return 0
    form, channels, rate, told, _, bits = struct.unpack("<HHIIHH", header)
    counted = channels * rate * bits // 8
    if form in _PLAIN:
        believed = counted == told and rate <= _MOST_RATE
    else:  # compressed: how much is not told, but no codec needs more than plain samples
        believed = told <= channels * rate * 2 and rate <= _MOST_RATE
    return int(told) if believed else 0


def _is_followed_by_chunks(content: bytes, position: int) -> bool:
    """Whether a chunk ends where the file does, or where other whole chunks begin."""
    while position + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        if not (name.isascii() and name.decode().isprintable()):
            return False
        position += 8 + size + size % 2
    return position <= len(content) + 1
