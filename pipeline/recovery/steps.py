"""Steps of a recovery from the event loop: Postgres is asked in threads, Redis in between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from core.concurrency.thread_pool import in_own_thread
from core.db.identity import Identities, IdentityStep


async def in_thread[**P, T](function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Run a function in a thread. A cancelled caller waits for its end.

    The session that the function uses would otherwise be closed by another thread meanwhile.
    """
    call = asyncio.ensure_future(in_own_thread(function, *args, **options))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        raise


@asynccontextmanager
async def one_step(identities: Identities) -> AsyncIterator[IdentityStep | None]:
    """A transaction for one step; None while another replica does one.

    Raises:
        UnavailableError: Postgres cannot be reached.
    """
    transaction = identities.step()
    try:
        step = await in_thread(transaction.__enter__)
        yield step
    except BaseException as error:
        if not await in_thread(transaction.__exit__, type(error), error, error.__traceback__):
            raise
    else:
        await in_thread(transaction.__exit__, None, None, None)
