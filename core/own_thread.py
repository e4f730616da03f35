"""Blocking work in a thread of its own, for what must go on when other work hangs.

`asyncio.to_thread` shares one small pool with every plugin of the process: a few calls that hang
there keep all others waiting. What replaces workers, reloads the configuration, renews leases or
looks after the database comes here instead. Each caller awaits its call before it makes the next,
so there are no more of these threads than callers. The shared pool is left to plugins; it is made
wide enough for all that runs at once.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

SPARE = 32
"""Threads of the shared pool besides one for each request or vCon."""


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
    name = f"shared {getattr(function, '__name__', 'own')}"  # one of the service, not of a plugin
    threading.Thread(target=work, name=name, daemon=True).start()
    return await asyncio.wrap_future(done)


def widen_shared_pool(at_once: int) -> None:
    """Give `asyncio.to_thread` of this loop threads for so many plugins at once, and to spare.

    asyncio's own has six on two processors: as many downloads that hang would stop all others.
    """
    pool = ThreadPoolExecutor(at_once + SPARE, thread_name_prefix="shared")
    asyncio.get_running_loop().set_default_executor(pool)
