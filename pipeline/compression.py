"""Gzip of unknown origin, unpacked no further than a limit."""

import zlib

MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS


class UnpackedTooLargeError(ValueError):
    """There is more in it than the limit allows."""


def unpacked(content: bytes, most_bytes: int) -> bytes:
    """What one gzip file of one or several members holds.

    Unpacking stops at the limit, so a small file that holds gigabytes costs no more than that.

    Raises:
        UnpackedTooLargeError: it holds more than `most_bytes`.
        ValueError: it is no gzip file, or only a part of one.
    """
    parts: list[bytes] = []
    room = most_bytes
    rest = content
    while rest:
        part, rest = _member(rest, room)
        parts.append(part)
        room -= len(part)
        rest = rest.lstrip(b"\0")  # padding after the last member
    return b"".join(parts)


def _member(content: bytes, most_bytes: int) -> tuple[bytes, bytes]:
    """What the first member holds, and what follows it."""
    reader = zlib.decompressobj(wbits=_GZIP)
    try:
        part = reader.decompress(content, most_bytes + 1)
    except zlib.error as error:
        raise ValueError("no gzip file") from error
    if len(part) > most_bytes:
        raise UnpackedTooLargeError(f"more than {most_bytes} bytes unpacked")
    if not reader.eof:
        raise ValueError("only a part of a gzip file")
    return part, reader.unused_data
