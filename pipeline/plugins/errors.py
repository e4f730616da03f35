"""A failing plugin's traceback in the log: at WARNING once per cause and minute, else at DEBUG."""

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from concurrent import futures
from threading import Lock
from typing import Any

from core.errors import PluginFailedError
from core.observability.redaction import error_text
from core.observability.storable_text import LONGEST, described, members_of, storable_text

# Whatever leaves a plugin's code becomes an `Exception` here.
#
# A panic of a Rust extension, `sys.exit`, `KeyboardInterrupt`, `GeneratorExit` and groups of such
# derive from `BaseException` only: let through, they would end the run's task, the event loop or
# the process instead of the attempt. `StopIteration` cannot be carried by a future.

log = logging.getLogger(__name__)

type Plugin = Mapping[str, str]
"""The log field that names a plugin: `link`, `storage` or `tracer`."""

NOT_NAMED: Plugin = {}
_NOT_CARRIED = (StopIteration, StopAsyncIteration, futures.CancelledError)
"""`asyncio` makes a cancellation of the waiting run out of the last one."""
_MOST = 1000
_ASKED = ("__traceback__", "__cause__", "__context__", "__suppress_context__", "__notes__")
EXIT_FORKED = 70


class PluginError(PluginFailedError):
    """A plugin raised something that is no ordinary exception."""


def describe(error: BaseException) -> str:
    """An error in one storable line: its type, and what it says, without known secrets."""
    return error_text(str(error)) if type(error) is PluginError else described(error)


def contained(function: Callable[..., Any], arguments: tuple[Any, ...], plugin: Plugin) -> Any:
    """Call a sync plugin, in a thread; what it returns.

    Raises:
        Exception: what the plugin raises, as a `PluginError` unless it is an ordinary one.
    """
    process = os.getpid()
    try:
        return function(*arguments)
    except BaseException as error:
        if (failure := _carried(error)) is error:
            raise
    finally:
        end_if_forked(process, plugin)
    raise failure


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
        if (failure := _carried(error)) is error:
            raise
    finally:
        end_if_forked(process, plugin)
    raise failure


def _carried(error: BaseException) -> Exception:
    """The error itself if a future can carry it and a log can show it, else a `PluginError`.

    Its class is asked by `type`: `isinstance` would run the error's own `__class__`.
    """
    is_shown = _is_shown(error)
    ordinary = issubclass(type(error), Exception) and not issubclass(type(error), _NOT_CARRIED)
    if is_shown and ordinary and isinstance(error, Exception):
        return error
    failure = PluginError(_text(error))
    failure.__cause__ = error if is_shown else None
    return failure


def _is_shown(error: BaseException) -> bool:
    """Whether the interpreter, asyncio and the log can ask this error what they ask of any.

    So with all that it contains or was raised from, of which there must be no more than `_MOST`.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    try:
        while waiting and len(seen) < _MOST:
            if (each := waiting.pop()) is not None and id(each) not in seen:
                seen.add(id(each))
                waiting += _neighbours(each)
    except BaseException:  # noqa: BLE001 -- its attributes may be code that raises anything
        return False
    return not waiting


def _neighbours(error: BaseException) -> list[BaseException | None]:
    """What it contains or was raised from. Raises what its own code raises, or ValueError."""
    hash(type(error))
    for name in _ASKED:
        getattr(error, name, None)
    inner = members_of(error)
    says_other = bool(inner) and getattr(error, "exceptions", None) is not inner
    if says_other or error.__class__ is not type(error):
        raise ValueError("it says something else of itself")
    return [error.__cause__, error.__context__, *inner]


def _text(error: BaseException) -> str:
    if type(error) is SystemExit and isinstance(error.code, int | str | None):
        return storable_text(error_text(f"SystemExit: called sys.exit({error.code!r})"), LONGEST)
    if issubclass(type(error), asyncio.CancelledError):
        return "CancelledError: was cancelled from within"
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


QUIET_SECONDS = 60.0
MOST = 1000
"""Causes that are remembered at once; of more, the oldest is told again."""

type Cause = tuple[object, ...]

_told: OrderedDict[Cause, float] = OrderedDict()
_lock = Lock()


def tell_failure(error: Exception, plugin: Plugin) -> None:
    """Log what a plugin has raised, with its name; secrets are taken out of the finished line."""
    level = logging.WARNING if _is_news(_cause(error, plugin), time.monotonic()) else logging.DEBUG
    if log.isEnabledFor(level):
        about = {**plugin, "error": describe(error)}
        log.log(level, "plugin failed", exc_info=error, extra=about)


def _cause(error: Exception, plugin: Plugin) -> Cause:
    """Plugin, type, and the line that raised: texts differ with every vCon."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = last and (last.tb_frame.f_code.co_filename, last.tb_lineno)
    return (*plugin.items(), type(error), place)


def _is_news(cause: Cause, now: float) -> bool:
    with _lock:
        told = _told.get(cause)
        if told is not None and now - told < QUIET_SECONDS:
            return False
        _told[cause] = now
        _told.move_to_end(cause)
        if len(_told) > MOST:
            _told.popitem(last=False)
        return True
