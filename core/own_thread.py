"""Blocking work in a thread of its own, for what must go on whatever hangs elsewhere.

`asyncio.to_thread` shares one small pool with every plugin of the process: a few calls that hang
there keep all others waiting. What replaces workers, reloads the configuration, renews leases or
looks after the database comes here instead. Each caller awaits its call before it makes the next,
so there are no more of these threads than callers.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future


async def in_own_thread[**P, T](function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What the function returns, or raises.

    A cancelled caller does not stop the thread, and the thread does not hold up the process's end.
    """
    done: Future[T] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(function, *args, **options)
        except BaseException as error:  # noqa: BLE001 -- it is raised where the call is awaited
            done.set_exception(error)
        else:
            done.set_result(result)

    done.set_running_or_notify_cancel()  # a cancelled caller must not make the thread raise
    name = getattr(function, "__name__", "own")
    threading.Thread(target=work, name=name, daemon=True).start()
    return await asyncio.wrap_future(done)
