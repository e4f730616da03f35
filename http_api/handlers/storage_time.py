"""The time that the storages have for the vCons of one request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.concurrency.aio import LoopTimeout
from core.errors import TooLateError

SECONDS = 25
"""Clients wait 30 seconds or more."""


@asynccontextmanager
async def storage_time() -> AsyncIterator[None]:
    """End the block after `SECONDS`; a storage is asked for each vCon that is not in Redis.

    Raises:
        TooLateError: with what the caller can do.
    """
    try:
        async with LoopTimeout(SECONDS):
            yield
    except TimeoutError:
        text = f"The storages took longer than {SECONDS} s; send fewer uuids at once"
        raise TooLateError(text) from None
