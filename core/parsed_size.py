"""How much memory what a JSON text says takes up once it is read.

It can be many times the text: an empty list takes two characters and 56 bytes. The estimate counts
the characters that begin values, which takes far less time than reading them.
"""

PER_OBJECT = 280
"""Bytes of an object with one member: its table, the name, and its place in what holds it."""
PER_LIST = 88
PER_VALUE = 72
"""Bytes of a number or a short text, and of its place in what holds it."""
WIDEST = 4
"""Bytes of each character of a text that holds one beyond the first 65,536."""

_OTHERS = bytes(sorted(set(range(256)) - set(b"{[,")))


def parsed_bytes(text: bytes) -> int:
    """An estimate, rather too large than too small."""
    begin = text.translate(None, _OTHERS)  # one pass; counting in the text would be three
    is_narrow = text.isascii() and b"\\u" not in text
    return (
        len(text) * (1 if is_narrow else WIDEST)
        + PER_OBJECT * begin.count(b"{")
        + PER_LIST * begin.count(b"[")
        + PER_VALUE * begin.count(b",")
    )
