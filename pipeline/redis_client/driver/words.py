"""Commands in the protocol's form."""

from typing import Any

import hiredis

ENCODING_ERRORS = "surrogateescape"
"""Keeps bytes that are not UTF-8: another program may put any bytes into a list, and they must be
found again unchanged."""


def packed(words: tuple[Any, ...]) -> bytes:
    """A command in the protocol's form."""
    # the stub of `pack_command` knows one word only
    command: bytes = hiredis.pack_command(tuple(map(_plain, words)))  # type: ignore[arg-type]
    return command


def _plain(word: Any) -> str | bytes:
    if not isinstance(word, str):
        return word if isinstance(word, bytes) else repr(word)
    return word if word.isascii() else word.encode(errors=ENCODING_ERRORS)
