"""Containing exceptions of plugins, and logging them.

Every exception that a plugin raises becomes an `Exception` here. A panic of a Rust extension,
`sys.exit`, `KeyboardInterrupt`, `GeneratorExit` and groups of such derive from `BaseException`
only: let through, they would end the run's task, the event loop or the process instead of the
attempt. `StopIteration` cannot be carried by a future.

A failing plugin's traceback is logged at WARNING once per cause and minute, else at DEBUG.
"""

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from concurrent import futures
from threading import Lock
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Never

from core.errors import PluginFailedError
from core.observability.redaction import error_text
from core.observability.storable_text import LONGEST, described, members_of, storable_text

log = logging.getLogger(__name__)

type Plugin = Mapping[str, str]
"""The log field that names a plugin: `link`, `storage` or `tracer`."""

NOT_NAMED: Plugin = {}
_NOT_CARRIED = (StopIteration, StopAsyncIteration, futures.CancelledError)
"""`asyncio` turns the last one into a cancellation of the waiting run."""
_MOST_LINKED = 1000
_READ = ("__traceback__", "__cause__", "__context__", "__suppress_context__", "__notes__")
EXIT_FORKED = 70
_NOT_RUN = (CoroutineType, GeneratorType, AsyncGeneratorType)
"""What a sync function returns that has done nothing yet, and that nothing would run."""


class PluginError(PluginFailedError):
    """A plugin raised an exception that is not an ordinary `Exception`."""


def describe(error: BaseException) -> str:
    """An error in one storable line: type and message, without known secrets."""
    return error_text(str(error)) if type(error) is PluginError else described(error)


def contained(function: Callable[..., Any], arguments: tuple[Any, ...], plugin: Plugin) -> Any:
    """Call a sync plugin, in a thread.

    Raises:
        Exception: the plugin's own, or a `PluginError` in the place of one that is not ordinary,
            and of a result that is a coroutine or generator.
    """
    process = os.getpid()
    try:
        returned = function(*arguments)
        return _refused(returned) if type(returned) in _NOT_RUN else returned
    except BaseException as error:
        if (failure := _carried(error)) is error:
            raise
    finally:
        end_if_forked(process, plugin)
    raise failure


def _refused(returned: Any) -> Never:
    """Fail a call that returned its work: a storage would count as one that has the vCon."""
    if isinstance(returned, CoroutineType):
        returned.close()  # else a warning follows
    remedy = "define the function with `async def`, and without `yield`"
    raise PluginError(f"returned a {type(returned).__name__}, which nothing runs: {remedy}")


async def contained_async(
    function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...], plugin: Plugin
) -> Any:
    """The same for an async plugin.

    It must run as a task of its own, so that a plugin that cancels its task cancels nothing else.
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

    `type` is used because `isinstance` would run the error's own `__class__`.
    """
    is_shown = _is_shown(error)
    ordinary = issubclass(type(error), Exception) and not issubclass(type(error), _NOT_CARRIED)
    if is_shown and ordinary and isinstance(error, Exception):
        return error
    failure = PluginError(_text(error))
    failure.__cause__ = error if is_shown else None
    return failure


def _is_shown(error: BaseException) -> bool:
    """Whether the interpreter, asyncio and the log can read this error's attributes.

    The same holds for all errors that it contains or was raised from, at most `_MOST_LINKED`.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    try:
        while waiting and len(seen) < _MOST_LINKED:
            if (each := waiting.pop()) is not None and id(each) not in seen:
                seen.add(id(each))
                waiting += _neighbours(each)
    except BaseException:  # noqa: BLE001 -- its attributes may be code that raises anything
        return False
    return not waiting


def _neighbours(error: BaseException) -> list[BaseException | None]:
    """The errors that it contains or was raised from. May raise anything, as it runs its code."""
    hash(type(error))
    for name in _READ:
        getattr(error, name, None)
    inner = members_of(error)
    overridden = bool(inner) and getattr(error, "exceptions", None) is not inner
    if overridden or error.__class__ is not type(error):
        raise ValueError("its class or members are overridden")
    return [error.__cause__, error.__context__, *inner]


def _text(error: BaseException) -> str:
    if type(error) is SystemExit and isinstance(error.code, int | str | None):
        return storable_text(error_text(f"SystemExit: called sys.exit({error.code!r})"), LONGEST)
    if issubclass(type(error), asyncio.CancelledError):
        return "CancelledError: was cancelled from within"
    return described(error)


def end_if_forked(process: int, plugin: Plugin) -> None:
    """End this process if a plugin has forked it and returned.

    It has copies of the worker's connections and claims, and would go on as a second worker.
    """
    if os.getpid() == process:
        return
    try:
        log.error("plugin returned in a forked child, child ended", extra=dict(plugin))
    finally:
        os._exit(EXIT_FORKED)


QUIET_SECONDS = 60.0
MOST = 1000
"""The most causes that are remembered; beyond that, the oldest is forgotten."""

type Cause = tuple[object, ...]

_logged: OrderedDict[Cause, float] = OrderedDict()
_lock = Lock()


def log_failure(error: Exception, plugin: Plugin) -> None:
    """Log an exception of a plugin, at WARNING once per cause in `QUIET_SECONDS`, else at DEBUG."""
    level = logging.WARNING if _is_new(_cause(error, plugin), time.monotonic()) else logging.DEBUG
    if log.isEnabledFor(level):
        fields = {**plugin, "error": describe(error)}
        log.log(level, "plugin failed", exc_info=error, extra=fields)


def _cause(error: Exception, plugin: Plugin) -> Cause:
    """Plugin, type, and the line that raised; texts would differ with every vCon."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = last and (last.tb_frame.f_code.co_filename, last.tb_lineno)
    return (*plugin.items(), type(error), place)


def _is_new(cause: Cause, now: float) -> bool:
    with _lock:
        logged = _logged.get(cause)
        if logged is not None and now - logged < QUIET_SECONDS:
            return False
        _logged[cause] = now
        _logged.move_to_end(cause)
        if len(_logged) > MOST:
            _logged.popitem(last=False)
        return True
