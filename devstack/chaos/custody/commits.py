"""A scenario in which Postgres dies between a commit and its answer.

The service reaches Postgres through a proxy. On demand it withholds the answer to the next
statement that takes vCons into custody, or releases them, once Postgres has said that it is
committed; Postgres is killed then. So the rows are there, and the service does not know it: a
caller is refused and repeats the request, a worker has yet to learn that its run has ended.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle, islice

from devstack.chaos.custody.listening import Listening
from devstack.chaos.custody.stage import stage
from devstack.chaos.system.servers import Servers
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import until
from devstack.servers.ports import HOST

ACCEPTS, RELEASES = b"INSERT INTO custody", b"UPDATE custody"
HISTORY = b"chain_runs"
CHUNK = 65536
READY, FAILED, IDLE = b"Z", b"E", b"I"
"""The first byte of two messages of Postgres, and the state outside of a transaction."""


def is_complete(answer: bytes) -> bool:
    """Whether the last message of an answer says that Postgres waits for the next request."""
    return (READY, IDLE) in messages(answer)


def is_refused(answer: bytes) -> bool:
    """Whether a message of an answer is an error."""
    return any(kind == FAILED for kind, _ in messages(answer))


def messages(answer: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The complete messages of an answer: the first byte, and the content."""
    while len(answer) > (size := int.from_bytes(answer[1:5], "big")) > 0:
        yield answer[:1], answer[5 : size + 1]
        answer = answer[size + 1 :]


class CommitProxy(Listening):
    """A context manager: forwards connections to Postgres on `port`."""

    def __init__(self, servers: Servers) -> None:
        """Forwards to the Postgres of these servers."""
        self._servers = servers
        self._wanted = b""
        self._caught = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def _end_connections(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def catch(self, statement: bytes) -> None:
        """Return when the answer to the commit of such a statement is withheld.

        Raises:
            ChaosError: there is none for long.
        """
        self._caught.clear()
        self._wanted = statement

        async def look() -> bool:
            return self._caught.is_set()

        await until(look, f"a commit of {statement.decode()}")

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            with suppress(OSError):
                port = self._servers.postgres.port
                server, requests = await asyncio.open_connection(HOST, port)
                await _Connection(self).forward(client, requests, server, answers)
        finally:
            self._tasks.discard(task)
            answers.close()

    def wants(self, request: bytes) -> bool:
        """Whether the answer to this request is to be withheld, if it is a commit."""
        is_of_a_run = self._wanted == ACCEPTS and HISTORY in request
        return bool(self._wanted) and self._wanted in request and not is_of_a_run

    def caught(self) -> None:
        """The answer to a commit is withheld."""
        self._wanted = b""
        self._caught.set()


class _Connection:
    def __init__(self, proxy: CommitProxy) -> None:
        self._proxy = proxy
        self._withheld: bytes | None = None

    async def forward(
        self,
        client: asyncio.StreamReader,
        requests: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        answers: asyncio.StreamWriter,
    ) -> None:
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward_requests(client, requests))
                both.create_task(self._forward_answers(server, answers))
        except* OSError:  # one side has ended
            pass
        finally:
            requests.close()

    async def _forward_requests(
        self, client: asyncio.StreamReader, requests: asyncio.StreamWriter
    ) -> None:
        while request := await client.read(CHUNK):
            if self._proxy.wants(request):
                self._withheld = b""
            requests.write(request)
            await requests.drain()
        raise ConnectionResetError

    async def _forward_answers(
        self, server: asyncio.StreamReader, answers: asyncio.StreamWriter
    ) -> None:
        while answer := await server.read(CHUNK):
            if self._withheld is not None:
                self._withheld += answer
                if not is_complete(self._withheld):
                    continue
                if not is_refused(self._withheld):
                    self._proxy.caught()
                    continue
                answer, self._withheld = self._withheld, None
            answers.write(answer)
            await answers.drain()
        raise ConnectionResetError


async def killed_after_commit(servers: Servers, report: Report) -> None:
    """`kill -9` Postgres when it has committed, and neither callers nor workers were told."""
    async with CommitProxy(servers) as proxy, stage(servers, POSTGRES_PORT=proxy.port) as scene:
        await scene.system.start()
        async with scene.calls():
            for statement in islice(cycle((ACCEPTS, RELEASES)), report.times):
                await scene.progress()
                await proxy.catch(statement)
                servers.postgres.kill()
                await servers.restart_postgres()
        await scene.end(report)
        runs = await scene.more_runs_than_one()
        report.claim(not runs, f"vCons with several runs: {runs[:5]}")
