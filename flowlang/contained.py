"""Waiting for code of others, which may fail and do no more than that."""

import asyncio
from collections.abc import Awaitable

from flowlang.exceptions import FlowExecutionError


async def contained[Given](work: Awaitable[Given]) -> Given:
    """What the work gives; it can neither end the event loop nor cancel who waits for it.

    Raises FlowExecutionError for its `sys.exit()` and its CancelledError, and whatever else it
    raises; CancelledError only where the one who waits was cancelled.
    """
    waiting = asyncio.current_task()
    assert waiting is not None
    before = waiting.cancelling()  # in 3.12 a TaskGroup that has failed leaves one behind
    try:
        return await work
    except SystemExit as error:
        raise FlowExecutionError(f"called sys.exit({error.code!r})") from error
    except asyncio.CancelledError as error:
        if waiting.cancelling() > before:
            raise
        raise FlowExecutionError("was cancelled by itself") from error
