"""Makes async functions of built-in plugins callable from synchronous code.

Code written for vcon-server imports a built-in link and calls it, for example
`links.transcribe.run(...)`, and expects the result. In a thread without a running event loop the
function therefore runs to completion on the service's loop, which has the clients and connections;
in a script it runs on a new loop. In a thread with a running loop it returns a coroutine.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, cast

from lib.web import http_client
from pipeline.storages.storage_fallback import installed


def plain_too[**P, T](
    function: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Decorator: run the async function to completion if the calling thread has no running loop.

    The type remains that of the async function, since a type checker does not know the thread.
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
    return asyncio.run(_and_close(coroutine))


async def _and_close[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Close the clients of this loop at its end: a loop that follows cannot use them."""
    try:
        return await coroutine
    finally:
        await http_client.close()
