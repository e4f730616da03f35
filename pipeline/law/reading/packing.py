"""Bytes inside vCons: gzip unpacked up to a limit, and base64url in its only canonical spelling."""

import zlib
from base64 import b64decode, b64encode
from typing import Any

import orjson

MAGIC = b"\x1f\x8b"
MOST_MEMBERS = 100
"""Members of one gzip file: after each of them the rest of the file is copied."""
_GZIP = 16 + zlib.MAX_WBITS


class UnpackedTooLargeError(ValueError):
    """Unpacked it exceeds the limit."""


def unpacked(content: bytes, most_bytes: int) -> bytes:
    """The content of a gzip file of one or several members.

    Unpacking stops at the limit, which bounds the cost of a small file that holds gigabytes.

    Raises:
        UnpackedTooLargeError: it holds more than `most_bytes`.
        ValueError: it is no gzip file, only a part of one, or has more than `MOST_MEMBERS`.
    """
    parts: list[bytes] = []
    room = most_bytes
    rest = content
    while rest:
        if len(parts) == MOST_MEMBERS:
            raise ValueError(f"a gzip file of more than {MOST_MEMBERS} members")
        part, rest = _member(rest, room)
        parts.append(part)
        room -= len(part)
        rest = rest.lstrip(b"\0")  # padding after the last member
    return b"".join(parts)


def _member(content: bytes, most_bytes: int) -> tuple[bytes, bytes]:
    """The content of the first member, and the bytes after it."""
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


def plain(content: bytes, most_bytes: int) -> bytes:
    """The content as it is, or that of the gzip file that it is; see `unpacked`."""
    return unpacked(content, most_bytes) if content.startswith(MAGIC) else content


def parsed(content: str | bytes, most_bytes: int) -> Any:
    """The value of JSON text, or of gzip of it.

    Raises:
        UnpackedTooLargeError: gzip of more than `most_bytes`.
        ValueError: it is neither.
    """
    return orjson.loads(plain(content, most_bytes) if isinstance(content, bytes) else content)


def from_base64url(text: object) -> bytes:
    """The bytes that a text in base64url stands for, if no other text stands for them.

    RFC 7515 writes it without padding. The unused bits of the last character must be 0: several
    libraries ignore them, so that a changed character would not be noticed.

    Raises:
        ValueError: it is anything else.
    """
    if not isinstance(text, str) or not text.isascii() or any(sign in text for sign in "+/="):
        raise ValueError("expected base64url without padding")
    try:
        content = b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except ValueError as error:
        raise ValueError("expected base64url without padding") from error
    last = len(text) - len(text) % 4
    if b64encode(content[last // 4 * 3 :], b"-_").decode().rstrip("=") != text[last:]:
        raise ValueError("the last character of base64url has bits that stand for nothing")
    return content


def loose_base64url(text: object) -> bytes:
    """The bytes of base64url with or without padding, for what is not verified.

    Raises:
        ValueError: it is no base64url.
    """
    if not isinstance(text, str):
        raise ValueError("expected a text")  # noqa: TRY004 -- the document is wrong
    digits = text.rstrip("=")
    return b64decode(digits + "=" * (-len(digits) % 4), b"-_", validate=True)
