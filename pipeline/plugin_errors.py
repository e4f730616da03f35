"""Whatever leaves a plugin's code becomes an `Exception` here.

A panic of a Rust extension, `sys.exit`, `KeyboardInterrupt`, `GeneratorExit` and groups of such
derive from `BaseException` only: let through, they would end the run's task, the event loop or the
process instead of the attempt. `StopIteration` cannot be carried by a future.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.errors import GuestError
from core.redaction import error_text
from core.storable_text import LONGEST, described, storable_text

log = logging.getLogger(__name__)

type Plugin = Mapping[str, str]
"""The log field that names a plugin: `link`, `storage` or `tracer`."""

NOT_NAMED: Plugin = {}
EXIT_FORKED = 70


class PluginError(GuestError):
    """A plugin raised something that is no ordinary exception."""


def describe(error: BaseException) -> str:
    """An error in one storable line: its type, and what it says, without known secrets."""
    return error_text(str(error)) if isinstance(error, PluginError) else described(error)


def contained(function: Callable[..., Any], arguments: tuple[Any, ...], plugin: Plugin) -> Any:
    """Call a sync plugin, in a thread; what it returns.

    Raises:
        Exception: what the plugin raises, as a `PluginError` unless it is an ordinary one.
    """
    process = os.getpid()
    try:
        return function(*arguments)
    except BaseException as error:
        if _is_ordinary(error):
            raise
        raise PluginError(_text(error)) from error
    finally:
        end_if_forked(process, plugin)


async def contained_async(
    function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...], plugin: Plugin
) -> Any:
    """The same for an async one. To be run as a task of its own.

    So a plugin that cancels its own task cancels nothing of ours.
    """
    process = os.getpid()
    try:
        return await function(*arguments)
    except BaseException as error:
        if _is_ordinary(error):
            raise
        raise PluginError(_text(error)) from error
    finally:
        end_if_forked(process, plugin)


def _is_ordinary(error: BaseException) -> bool:
    not_carried = StopIteration | StopAsyncIteration
    return isinstance(error, Exception) and not isinstance(error, not_carried)


def _text(error: BaseException) -> str:
    match error:
        case SystemExit(code=int() | str() | None):
            text = error_text(f"SystemExit: called sys.exit({error.code!r})")
            return storable_text(text, LONGEST)
        case asyncio.CancelledError():
            return "CancelledError: was cancelled from within"
        case _:
            return described(error)


def end_if_forked(process: int, plugin: Plugin) -> None:
    """End this process if it is a child that a plugin has forked and let return.

    It has a copy of everything that the worker holds, and must not go on as a second worker.
    """
    if os.getpid() == process:
        return
    try:
        log.error("plugin forked and returned in the child process; ended that", extra=dict(plugin))
    finally:
        os._exit(EXIT_FORKED)
