"""Kills real code at every point at which it can be killed, not at a sample of points.

Two kinds of points:

- Every message to a server (`Cut`). The code reaches Redis and Postgres through proxies that count
  its messages on all connections, of threads too. Message n arrives and is carried out; its answer
  does not come back, and nothing that is sent later arrives. That is what servers see of a process
  that is killed; what the code still does (`finally`, error handlers, retries) reaches no server. A
  kill before message n looks to them like one after message n - 1.
- Every await (`run_to_await`). The coroutine is driven by hand and not resumed after its n-th
  suspension. What it waited for has happened by then. Nothing of it is run any more, no `finally`
  either, since the abandoned coroutine is kept from being collected: a `CancelledError` would run
  handlers, a killed process runs none. Tasks and threads that the code has started go on, as
  statements do that a server has got already.

Both are repeated for n = 1, 2, 3, ... until the code ends before point n.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Self

HOST, CHUNK = "127.0.0.1", 1 << 20
MOST_POINTS = 2000
"""More points mean that the code does not end."""

_abandoned: list[object] = []
"""Keeps what was killed from being collected: that would raise `GeneratorExit` in it."""


class Abandoned(Exception):  # noqa: N818 -- what happened, not a fault
    """The coroutine was killed."""


class Cut:
    """A context manager: forwards to servers until message `at`; 0 counts only."""

    def __init__(self, at: int = 0) -> None:
        """`at`: the last message that arrives."""
        self._at = at
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.messages = 0
        self.was_reached = False
        """Whether it was cut, not closed."""
        self.is_cut = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.close()
        self.was_reached = self.is_cut.is_set()
        self._sever()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def port_for(self, port: int) -> int:
        """The port of a proxy in front of a server."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            with contextlib.suppress(OSError):
                await self._forward(reader, writer, port)
            writer.close()

        server = await asyncio.start_server(serve, HOST, limit=CHUNK)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        if self.is_cut.is_set():
            return
        there, back = await asyncio.open_connection(HOST, port, limit=CHUNK)
        self._writers += [writer, back]
        answers = asyncio.create_task(self._answers(there, writer))
        self._tasks.add(answers)
        try:
            while (sent := await reader.read(CHUNK)) and not self.is_cut.is_set():
                self.messages += 1
                if 0 < self._at < self.messages:
                    self._sever()
                    return
                back.write(sent)
        finally:
            back.close()

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What comes back; the first answer after message `at` shows that it was carried out."""
        with contextlib.suppress(OSError):
            while answer := await there.read(CHUNK):
                if 0 < self._at <= self.messages:
                    self._sever()
                if not self.is_cut.is_set():
                    writer.write(answer)
        writer.close()

    def _sever(self) -> None:
        self.is_cut.set()
        for writer in self._writers:
            writer.transport.abort()


async def until_cut(cut: Cut, work: Coroutine[Any, Any, object]) -> BaseException | object:
    """Run `work` until it ends or the connections are cut; its result, or what it raised.

    Raises:
        Abandoned: the connections were cut before it ended.
    """
    task = asyncio.ensure_future(work)
    severed = asyncio.ensure_future(cut.is_cut.wait())
    await asyncio.wait({task, severed}, return_when=asyncio.FIRST_COMPLETED)
    severed.cancel()
    if cut.is_cut.is_set():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise Abandoned
    return await task


async def every_message(attempt: Callable[[Cut], Awaitable[None]]) -> int:
    """Call `attempt` with a `Cut` at each message; the number of points.

    `attempt` runs the code to be killed with `until_cut`, and checks what must hold afterwards.
    """
    for at in range(1, MOST_POINTS):
        async with Cut(at) as cut:
            await attempt(cut)
        if not cut.was_reached:
            return at - 1
    raise AssertionError("the code to be killed does not end")


class _Driven:
    """An awaitable that drives a coroutine up to its n-th suspension."""

    def __init__(self, work: Coroutine[Any, Any, object], at: int) -> None:
        self._work, self._at = work, at

    def __await__(self) -> Generator[Any, Any, object]:
        driven = self._work.__await__()
        resume: Callable[[Any], Any] = driven.send
        given: BaseException | None = None
        for _ in range(self._at - 1):
            try:
                waited_for = resume(given)
            except StopIteration as done:
                return done.value
            resume, given = driven.send, None
            try:
                yield waited_for
            except BaseException as error:
                resume, given = driven.throw, error
        try:
            waited_for = resume(given)
        except StopIteration as done:
            return done.value
        _abandoned.append((self._work, driven))
        if waited_for is not None:
            yield from _happened(waited_for)
        raise Abandoned


def _happened(future: asyncio.Future[Any]) -> Generator[Any, Any, None]:
    """Wait until what the coroutine waits for has happened, without telling it."""
    future._asyncio_future_blocking = False
    while not future.done():
        yield


async def run_to_await(work: Coroutine[Any, Any, object], at: int) -> object:
    """The result of `work`, which is not resumed after its suspension number `at`.

    Raises:
        Abandoned: it was killed.
    """
    return await _Driven(work, at)


async def awaits(factory: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[int]:
    """Kill new coroutines at their await 1, 2, ...; yields each number, for a check after it."""
    for at in range(1, MOST_POINTS):
        try:
            await run_to_await(factory(), at)
        except Abandoned:
            yield at
        else:
            return
