"""The only file that talks to the Redis driver; everyone else gets a connection from here.

Commands given in the same turn of the event loop travel together: each caller awaits its own
reply, but there is one write and one read for all of them. At 64 vCons at once that is the
difference between 6 round trips per vCon and a fraction of one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import Context
from typing import Any, override

import hiredis
import redis
import redis.asyncio
from redis.asyncio import ConnectionPool
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from core.aio import LoopTimeout
from core.errors import UnavailableError
from pipeline.redis_client import keys
from pipeline.redis_client.errors import (
    Patience,
    WrongTypeError,
    lacks_memory,
    named,
    note,
    stops_leases,
    translated,
)
from pipeline.redis_client.script_texts import script_texts
from pipeline.redis_client.threads import ThreadConnections

# Commands that travel together: one write and one read for all of them.
#
# The driver's own pipeline does this in five times the time: it packs commands in Python, and sets
# a timeout for each reply.

ENCODING_ERRORS = "surrogateescape"
"""Bytes that are no UTF-8 come back as they were: what another program has put into a list may be
any bytes, and must be found again under the same ones."""

type Reply = Any
"""What Redis answers: the driver does not type it."""


def packed(words: tuple[Any, ...]) -> bytes:
    """A command as it goes over the wire (the stub of `pack_command` knows one word only)."""
    command: bytes = hiredis.pack_command(tuple(map(_plain, words)))  # type: ignore[arg-type]
    return command


def _plain(word: Any) -> str | bytes:
    if not isinstance(word, str):
        return word if isinstance(word, bytes) else repr(word)
    return word if word.isascii() else word.encode(errors=ENCODING_ERRORS)


async def replies(pool: ConnectionPool, commands: list[bytes], seconds: float) -> list[Reply]:
    """Each command's reply, errors included; the same error for all when Redis is away."""
    connection = None
    try:
        async with LoopTimeout(seconds):  # not of a blocked loop
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]
            await connection.send_packed_command(commands)
            answers = [await _reply(connection) for _ in commands]
    except (RedisError, OSError) as error:
        if connection is not None:  # there may be replies left on it
            await connection.disconnect(nowait=True)
        return [error] * len(commands)
    else:
        if any(isinstance(each, ReadOnlyError) for each in answers):
            await connection.disconnect(nowait=True)  # the master may be elsewhere by now
        return answers
    finally:
        if connection is not None:
            await pool.release(connection)


async def _reply(connection: Any) -> Reply:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


# The driver's clients as plugins get them, for commands of their own on our Redis.


def note_failure(error: Exception, words: tuple[Any, ...]) -> None:
    """Our Redis has answered this command of the present call with this error."""
    known = translated(error)
    if isinstance(known, UnavailableError):
        note(no_memory=lacks_memory(error))
    elif isinstance(known, WrongTypeError):
        note_unusable(named(known, words))


def note_unusable(error: WrongTypeError) -> None:
    """A command of the present call met a key of another type; counted if the key is ours."""
    if keys.own_type(error.key) is not None:
        note(unusable=error.key)


class SyncClient(redis.Redis):
    """For threads."""

    @override
    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            note_failure(error, args)
            raise


class AsyncClient(redis.asyncio.Redis):
    """For the event loop."""

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            note_failure(error, args)
            raise


MAX_CONNECTIONS = 10_000
"""Nobody waits for a connection: what runs at once is bounded elsewhere."""
NO_DOCUMENT = "pc:probe:document"
"""What is asked for to see whether there is JSON; it is never written."""
REPLY_SECONDS = 10.0
"""After so many seconds without all replies of a batch, Redis counts as away."""

LOADS = 3
"""How often a script is given to Redis for one call of it."""

CommandRefused = ResponseError
"""Redis answered with an error of its own: an unknown command, a wrong type, no permission."""


class RedisConnection:
    """One process's way to Redis: batched asyncio commands, scripts, and a client for threads."""

    def __init__(self, url: str) -> None:
        """Connects on first use. `url` is `redis://[user:password@]host:port/db`."""
        options: dict[str, Any] = {
            "decode_responses": True,
            "encoding_errors": ENCODING_ERRORS,
            "max_connections": MAX_CONNECTIONS,
        }
        self.sync = SyncClient.from_url(url, socket_timeout=REPLY_SECONDS, **options)
        self._threads = ThreadConnections(self.sync.connection_pool)
        self._aio = redis.asyncio.Redis.from_url(url, socket_timeout=None, **options)
        self.asynchronous = AsyncClient.from_url(url, socket_timeout=None, **options)
        """For what waits in Redis, and for plugins that bring commands of their own."""
        self._scripts = script_texts()
        self._shas: dict[str, str] = {}
        self._home: asyncio.AbstractEventLoop | None = None
        self._pending: list[tuple[bytes, asyncio.Future[Reply]]] = []
        self._flushes: set[asyncio.Task[None]] = set()
        self._patience = Patience()
        self.outages = 0
        """How often a command found Redis so that no lease could be renewed either."""

    async def command(self, *words: Any) -> Reply:
        """One command, batched with its neighbours.

        Raises:
            UnavailableError: when Redis cannot be reached.
            WrongTypeError: a key has another type.
        """
        command = packed(words)  # here, so that words that cannot be sent hurt nobody else
        loop = asyncio.get_running_loop()
        if loop is not (self._home or loop):  # a plugin's own, in a thread: no neighbours of ours
            return await asyncio.to_thread(self.command_from_thread, *words)
        self._home = loop
        reply: asyncio.Future[Reply] = loop.create_future()
        if not self._pending:
            loop.call_soon(self._start_flush, context=Context())  # it is not the caller's own task
        self._pending.append((command, reply))
        try:
            return await _noted(reply)
        except WrongTypeError as error:
            known = named(error, words)
            note_unusable(known)
            raise known from None

    async def script(self, name: str, *arguments: Any) -> Reply:
        """One of `pipeline/redis_client/scripts/`, by file name; all its arguments are ARGV.

        Raises:
            UnavailableError: when Redis cannot be reached.
        """
        for _ in range(LOADS):
            sha = self._shas.get(name) or await self._load(name)
            try:
                return await self.command("EVALSHA", sha, 0, *arguments)
            except NoScriptError:  # Redis was restarted or flushed
                self._shas.pop(name, None)
        raise _forgetful()

    def script_from_thread(self, name: str, *arguments: Any) -> Reply:
        """The same for a link or storage that runs in a thread; waits for the reply.

        Raises:
            UnavailableError: when Redis cannot be reached.
        """
        for _ in range(LOADS):
            sha = self._shas.get(name) or self._load_from_thread(name)
            try:
                return self.command_from_thread("EVALSHA", sha, 0, *arguments)
            except NoScriptError:
                self._shas.pop(name, None)
        raise _forgetful()

    def _load_from_thread(self, name: str) -> str:
        sha = str(self.command_from_thread("SCRIPT", "LOAD", self._scripts[name]))
        self._shas[name] = sha
        return sha

    def command_from_thread(self, *words: Any) -> Reply:
        """One command from a thread; waits for the reply.

        Raises:
            UnavailableError: when Redis cannot be reached.
        """
        try:
            return self._threads.reply(packed(words))
        except (RedisError, OSError) as error:
            note_failure(error, words)
            known = self._translated(error)
            raise (named(known, words) if isinstance(known, WrongTypeError) else known) from error

    async def _load(self, name: str) -> str:
        sha = self._shas[name] = str(await self.command("SCRIPT", "LOAD", self._scripts[name]))
        return sha

    def _start_flush(self) -> None:
        batch, self._pending = self._pending, []
        task = asyncio.get_running_loop().create_task(self._flush(batch))
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    async def _flush(self, batch: list[tuple[bytes, asyncio.Future[Reply]]]) -> None:
        commands = [command for command, _ in batch]
        answers = await replies(self._aio.connection_pool, commands, REPLY_SECONDS)
        for (_, future), reply in zip(batch, answers, strict=True):
            if future.done():  # its caller was cancelled
                continue
            if isinstance(reply, Exception):
                future.set_exception(self._caused(reply))
            else:
                future.set_result(reply)

    async def wait_for_element(self, name: str, seconds: float) -> bool:
        """Block until a list has an element, without taking it; False after `seconds`.

        Moving the head of a list to its own head waits for an element and changes nothing.
        """
        try:
            async with LoopTimeout(seconds + REPLY_SECONDS):
                moved = await self.asynchronous.blmove(name, name, seconds, "LEFT", "LEFT")  # type: ignore[arg-type]
        except (RedisError, OSError) as error:
            raise self._translated(error) from error
        return moved is not None

    async def messages(self, channel: str) -> AsyncIterator[str]:
        """Everything published on a channel from now on. The first item, empty, says: listening."""
        async with self.asynchronous.pubsub() as subscription:
            try:
                await subscription.subscribe(channel)
                async for message in subscription.listen():
                    yield message["data"] if message["type"] == "message" else ""
            except (RedisError, OSError) as error:
                raise self._translated(error) from error

    def _caused(self, error: Exception) -> Exception:
        known = self._translated(error)
        if known is not error:
            known.__cause__ = error
        return known

    def _translated(self, error: Exception) -> Exception:
        """The same in our terms; what finds Redis away is counted."""
        self.outages += stops_leases(error)
        return translated(error)

    async def insist[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat an operation until Redis answers it; one log line when it goes, one when back."""
        return await self._patience.insist(operation)

    async def reachable(self) -> bool:
        """Whether Redis answers just now, has JSON, and takes writes: it may lack the memory."""
        return await self._takes(self._probe)

    async def ends_runs(self) -> bool:
        """Whether Redis answers just now and takes what ends a run, which needs no memory."""
        return await self._takes(self._probe_for_ends)

    async def _takes(self, probe: Callable[[], Awaitable[None]]) -> bool:
        try:
            await probe()
        except UnavailableError:
            return False
        return True

    async def wait_until_reachable(self) -> None:
        """Until Redis takes writes."""
        await self.insist(self._probe)

    async def wait_until_runs_end(self) -> None:
        """Until Redis takes what ends a run."""
        await self.insist(self._probe_for_ends)

    async def _probe(self) -> None:
        await self.command("SET", keys.PROBE, 1, "EX", 60)
        with contextlib.suppress(CommandRefused):  # that it may not be asked does not say it lacks
            await self.command("JSON.TYPE", NO_DOCUMENT)

    async def _probe_for_ends(self) -> None:
        await self.script("probe", keys.PROBE)

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*self._flushes, return_exceptions=True)
        await self._aio.aclose()
        await self.asynchronous.aclose()
        self._threads.close()
        self.sync.close()


def _forgetful() -> UnavailableError:
    return UnavailableError("Redis does not keep the scripts that it is given")


async def _noted(reply: asyncio.Future[Reply]) -> Reply:
    """A reply; an outage is noted here, in the context of the call that asked."""
    try:
        return await reply
    except UnavailableError as error:
        note(no_memory=lacks_memory(error.__cause__))
        raise


_installed: list[RedisConnection] = []


def install(connection: RedisConnection) -> None:
    """Make this the connection that `lib` finds; `VconRedis()` takes no arguments."""
    _installed[:] = [connection]


def installed() -> RedisConnection:
    """The process's connection.

    Raises:
        UnavailableError: when no pipeline runs in this process.
    """
    if not _installed:
        raise UnavailableError("no Redis connection is installed in this process")
    return _installed[0]
