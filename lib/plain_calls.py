"""Async functions of built-in plugins that may be called as plain ones, too.

Code written for vcon-server calls a built-in link by importing it, as `links.transcribe.run(...)`
does there, and expects the result. In a thread without a running event loop the function therefore
runs to its end on the service's loop, where its clients and connections are, or in a script on a
loop of its own. Where a loop runs, it gives a coroutine as any async function does.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, cast

from pipeline.storages.storage_fallback import installed


def plain_too[**P, T](
    function: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make an async function wait for itself where no event loop runs in the calling thread.

    The type stays that of the async function: what checks types does not know the thread.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        coroutine = function(*args, **kwargs)
        return coroutine if _is_in_loop() else _result_of(coroutine)

    return cast("Callable[P, Coroutine[Any, Any, T]]", inspect.markcoroutinefunction(call))


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _result_of[T](coroutine: Coroutine[Any, Any, T]) -> T:
    service = installed()
    if service is not None and service.loop.is_running():
        return asyncio.run_coroutine_threadsafe(coroutine, service.loop).result()
    return asyncio.run(coroutine)
