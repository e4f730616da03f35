"""A script call that writes a document of a run: by paths where it can, else as a whole."""

from collections.abc import Sequence
from typing import Any

from core.concurrency.thread_pool import one_at_a_time
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.document_paths import FROM, patch_of, was_changed
from pipeline.redis_client.staging import staged, staged_from_thread

LARGE = 256_000
"""Bytes of a document that is not compared on the event loop."""

type Versions = tuple[bytes, bytes | str | None]
"""The text to be written, empty for none, and the text that Redis has, if that is known."""


async def written(
    connection: RedisConnection,
    name: str,
    before: Sequence[Any],
    document: Versions,
    after: Sequence[Any],
) -> Any:
    """The reply of a script whose argument between `before` and `after` is the document.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    text, base = document
    if (patch := await _patch(base, text)) is not None:
        try:
            return await connection.script(name, *before, patch, *after)
        except CommandRefused as error:
            if not was_changed(error):
                raise
    given = text and await staged(connection, text)
    return await connection.script(name, *before, given, *after)


def written_from_thread(
    connection: RedisConnection,
    name: str,
    before: Sequence[Any],
    document: Versions,
    after: Sequence[Any],
) -> Any:
    """`written`, from a thread."""
    text, base = document
    if base is not None and (patch := patch_of(base, text)) is not None:
        try:
            return connection.script_from_thread(name, *before, patch, *after)
        except CommandRefused as error:
            if not was_changed(error):
                raise
    given = text and staged_from_thread(connection, text)
    return connection.script_from_thread(name, *before, given, *after)


async def _patch(base: bytes | str | None, text: bytes) -> bytes | None:
    if base is None or len(text) < FROM:
        return None
    if len(text) <= LARGE:
        return patch_of(base, text)
    return await one_at_a_time(patch_of, base, text)
