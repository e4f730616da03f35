"""Awaiting foreign code, whose exceptions must not reach the event loop."""

import asyncio
from collections.abc import Awaitable

from flowlang.exceptions import FlowExecutionError


async def contained[Given](work: Awaitable[Given]) -> Given:
    """Await the work; it can neither end the event loop nor cancel the waiting task.

    Raises FlowExecutionError for its `sys.exit()` and its own CancelledError, other exceptions
    unchanged, and CancelledError only where the waiting task was cancelled.
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
