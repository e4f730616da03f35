"""The length of WAV recordings, from the header if it is plausible."""

import struct
from collections.abc import Iterator

_HEAD = 12
_PLAIN = frozenset({1, 3, 6, 7, 0xFFFE})
"""Formats with a fixed sample size: PCM, float, A-law, mu-law, and the extensible format."""
_MAX_RATE = 768_000
"""The highest sample rate in use, per second."""
_MAX_SIZE = 2**32 - 1


def is_wav(content: bytes) -> bool:
    """Whether the content has a WAV signature."""
    return content[:4] in (b"RIFF", b"RF64", b"RIFX") and content[8:12] == b"WAVE"


def wav_seconds(content: bytes) -> float | None:
    """The length in seconds; None if it is unknown.

    A streaming recorder does not know the length when it writes the header: it writes 0, the
    maximum, or a number that does not match the data. Then the length is unknown.
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


def with_actual_length(content: bytes) -> bytes:
    """A copy with the actual length in the header.

    For a recording of unknown length: other programs read only as many bytes as the header states.
    """
    for name, start, _ in _chunks(content):
        if name == b"data":
            corrected = bytearray(content)
            struct.pack_into("<I", corrected, 4, min(len(content) - 8, _MAX_SIZE))
            struct.pack_into("<I", corrected, start - 4, min(len(content) - start, _MAX_SIZE))
            return bytes(corrected)
    return content


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and stated size of each chunk."""
    position = _HEAD
    while position + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        yield name, position + 8, size
        position += 8 + size + size % 2


def _byte_rate(header: bytes) -> int:
    """Bytes per second; 0 if the fields of the header contradict each other."""
    if len(header) < 16:
        return 0
    form, channels, rate, stated, _, bits = struct.unpack("<HHIIHH", header)
    computed = channels * rate * bits // 8
    if form in _PLAIN:
        is_plausible = computed == stated and rate <= _MAX_RATE
    else:  # compressed: the rate depends on the codec, but is below that of 16-bit samples
        is_plausible = stated <= channels * rate * 2 and rate <= _MAX_RATE
    return int(stated) if is_plausible else 0


def _is_followed_by_chunks(content: bytes, position: int) -> bool:
    """Whether the position is the end of the file or the start of further complete chunks."""
    while position + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        if not (name.isascii() and name.decode().isprintable()):
            return False
        position += 8 + size + size % 2
    return position <= len(content) + 1
