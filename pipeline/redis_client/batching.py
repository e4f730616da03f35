"""Commands that travel together: one write and one read for all of them.

The driver's own pipeline does this in five times the time: it packs commands in Python, and sets a
timeout for each reply.
"""

from typing import Any

import hiredis
from redis.asyncio import ConnectionPool
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from core.aio import LoopTimeout

ENCODING_ERRORS = "surrogateescape"
"""Bytes that are no UTF-8 come back as they were: what another program has put into a list may be
any bytes, and must be found again under the same ones."""

type Reply = Any
"""What Redis answers: the driver does not type it."""


def packed(words: tuple[Any, ...]) -> bytes:
    """A command as it goes over the wire (the stub of `pack_command` knows one word only)."""
    command: bytes = hiredis.pack_command(tuple(map(_plain, words)))  # type: ignore[arg-type]
    return command


def _plain(word: Any) -> str | bytes:
    if not isinstance(word, str):
        return word if isinstance(word, bytes) else repr(word)
    return word if word.isascii() else word.encode(errors=ENCODING_ERRORS)


async def replies(pool: ConnectionPool, commands: list[bytes], seconds: float) -> list[Reply]:
    """Each command's reply, errors included; the same error for all when Redis is away."""
    connection = None
    try:
        async with LoopTimeout(seconds):  # not of a blocked loop
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]
            await connection.send_packed_command(commands)
            answers = [await _reply(connection) for _ in commands]
    except (RedisError, OSError) as error:
        if connection is not None:  # there may be replies left on it
            await connection.disconnect(nowait=True)
        return [error] * len(commands)
    else:
        if any(isinstance(each, ReadOnlyError) for each in answers):
            await connection.disconnect(nowait=True)  # the master may be elsewhere by now
        return answers
    finally:
        if connection is not None:
            await pool.release(connection)


async def _reply(connection: Any) -> Reply:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
