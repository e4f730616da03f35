"""The process's connection to Redis: batched asyncio commands, scripts, and commands from threads.

Batching. A command is not sent by its caller: it is packed, added to `_pending` with a future, and
the first command of a turn of the event loop schedules one flush. The flush takes all that the turn
has added, writes it to one connection of the pool in one write, and reads the replies in order;
each resolves its own future as it comes, so its caller works on while Redis executes the next. At
64 vCons at once that is a fraction of a round trip per vCon.

- Order: commands of one batch run in the order in which they were given. Two batches may be on two
  connections at once, so a caller that needs an order awaits the first reply.
- Errors: an error reply belongs to one command. A lost connection or `REPLY_SECONDS` without all
  replies fails the rest of the batch with `UnavailableError`; its connection is closed, since
  replies may be left on it. Whether the commands were executed is not known, so a caller may send
  one again only if it is harmless to repeat. All scripts are.
- Cancellation: the flush is a task of its own in an empty context. A caller that is cancelled stops
  waiting; its command is sent all the same.
- Scripts are sent by their hash. Redis loses them when it restarts; then they are loaded again.

Threads. `_pending` belongs to the event loop that gave the first command (`_home`) and is used by
no other thread. Sync plugins use `command_from_thread`: one blocking connection for each thread
(`threads.py`). A plugin's own event loop in a thread has no batch; its commands go the same way.

A command that finds Redis unavailable, or a key of this service with another type, is counted in
the context of the plugin call that gave it (`errors.counted`), even if the plugin hides the error.
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
from core.backoff import Backoff
from core.errors import UnavailableError
from pipeline.redis_client import keys
from pipeline.redis_client.errors import (
    OUTAGE_BACKOFF,
    OutageRetry,
    WrongTypeError,
    lacks_memory,
    named,
    note,
    stops_leases,
    translated,
)
from pipeline.redis_client.script_texts import script_texts
from pipeline.redis_client.threads import ThreadConnections

ENCODING_ERRORS = "surrogateescape"
"""Keeps bytes that are not UTF-8: another program may put any bytes into a list, and they must be
found again unchanged."""
MAX_CONNECTIONS = 10_000
"""High enough that the pool never refuses one: concurrency is limited elsewhere."""
NO_DOCUMENT = "pc:probe:document"
"""Never written; its type is requested to find out whether Redis has the JSON commands."""
REPLY_SECONDS = 10.0
"""After so many seconds without all replies of a batch, Redis counts as unavailable."""
LOADS = 3
"""Attempts at one script call that load the script first."""

CommandRefused = ResponseError
"""An error reply of Redis: an unknown command, a wrong type, no permission."""

type Reply = Any
"""A reply of Redis; the driver does not type it."""


def packed(words: tuple[Any, ...]) -> bytes:
    """A command in the protocol's form."""
    # the stub of `pack_command` knows one word only
    command: bytes = hiredis.pack_command(tuple(map(_plain, words)))  # type: ignore[arg-type]
    return command


def _plain(word: Any) -> str | bytes:
    if not isinstance(word, str):
        return word if isinstance(word, bytes) else repr(word)
    return word if word.isascii() else word.encode(errors=ENCODING_ERRORS)


async def exchange(
    pool: ConnectionPool, commands: list[bytes], seconds: float, take: Callable[[Reply], None]
) -> None:
    """Send commands; `take` gets the reply of each in their order, as soon as it is there.

    Replies may be errors. If the connection fails, its error is the reply of all that lack one.
    The driver's own pipeline takes five times as long: it packs commands in Python, and sets a
    timeout for each reply.
    """
    connection, taken, has_moved = None, 0, False
    try:
        async with LoopTimeout(seconds):  # time that the loop was blocked does not count
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]
            await connection.send_packed_command(commands)
            for _ in commands:
                reply = await _reply(connection)
                has_moved = has_moved or isinstance(reply, ReadOnlyError)
                taken += 1
                take(reply)
    except (RedisError, OSError) as error:
        has_moved = True  # replies may be left on the connection
        for _ in commands[taken:]:
            take(error)
    finally:
        if connection is not None:
            if has_moved:  # after a failover another server is the master
                await connection.disconnect(nowait=True)
            await pool.release(connection)


async def _reply(connection: Any) -> Reply:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def note_failure(error: Exception, words: tuple[Any, ...]) -> None:
    """Count the error of a command for the plugin call that gave it."""
    known = translated(error)
    if isinstance(known, UnavailableError):
        note(no_memory=lacks_memory(error))
    elif isinstance(known, WrongTypeError):
        note_unusable(named(known, words))


def note_unusable(error: WrongTypeError) -> None:
    """Count a key of another type for the current plugin call, if the key is this service's."""
    if keys.own_type(error.key) is not None:
        note(unusable=error.key)


class SyncClient(redis.Redis):
    """The driver's client for plugins in threads; counts failures of their commands."""

    @override
    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            note_failure(error, args)
            raise


class AsyncClient(redis.asyncio.Redis):
    """The driver's client for plugins on the event loop; counts failures of their commands."""

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            note_failure(error, args)
            raise


class RedisConnection:
    """One process's connection to Redis; the theory is at the head of this file."""

    def __init__(self, url: str, outage_backoff: Backoff = OUTAGE_BACKOFF) -> None:
        """Connects on first use. `url` is `redis://[user:password@]host:port/db`.

        `outage_backoff`: the waits of `insist`.
        """
        options: dict[str, Any] = {
            "decode_responses": True,
            "encoding_errors": ENCODING_ERRORS,
            "max_connections": MAX_CONNECTIONS,
        }
        self.sync = SyncClient.from_url(url, socket_timeout=REPLY_SECONDS, **options)
        self._threads = ThreadConnections(self.sync.connection_pool)
        self._aio = redis.asyncio.Redis.from_url(url, socket_timeout=None, **options)
        self.asynchronous = AsyncClient.from_url(url, socket_timeout=None, **options)
        """For blocking commands, and for plugins that send commands of their own."""
        self._scripts = script_texts()
        self._shas: dict[str, str] = {}
        self._home: asyncio.AbstractEventLoop | None = None
        self._pending: list[tuple[bytes, asyncio.Future[Reply]]] = []
        self._flushes: set[asyncio.Task[None]] = set()
        self._retry = OutageRetry(outage_backoff)
        self.outages = 0
        """Commands that found Redis in a state in which no lease can be renewed either."""

    async def command(self, *words: Any) -> Reply:
        """Send one command in the batch of this turn of the event loop; returns its reply.

        Raises:
            UnavailableError: Redis cannot be reached.
            WrongTypeError: a key has another type.
        """
        command = packed(words)  # here, so that words that cannot be packed fail this caller only
        loop = asyncio.get_running_loop()
        if loop is not (self._home or loop):  # a plugin's own loop in a thread
            return await asyncio.to_thread(self.command_from_thread, *words)
        self._home = loop
        reply: asyncio.Future[Reply] = loop.create_future()
        if not self._pending:
            loop.call_soon(self._start_flush, context=Context())  # not in the caller's context
        self._pending.append((command, reply))
        try:
            return await _counting_outage(reply)
        except WrongTypeError as error:
            known = named(error, words)
            note_unusable(known)
            raise known from None

    async def script(self, name: str, *arguments: Any) -> Reply:
        """Run a script of `pipeline/redis_client/scripts/`, by file name; arguments are ARGV.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        for _ in range(LOADS):
            sha = self._shas.get(name) or await self._load(name)
            try:
                return await self.command("EVALSHA", sha, 0, *arguments)
            except NoScriptError:  # Redis was restarted or flushed
                self._shas.pop(name, None)
        raise _scripts_not_kept()

    def script_from_thread(self, name: str, *arguments: Any) -> Reply:
        """`script` for a plugin in a thread; blocks until the reply.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        for _ in range(LOADS):
            sha = self._shas.get(name) or self._load_from_thread(name)
            try:
                return self.command_from_thread("EVALSHA", sha, 0, *arguments)
            except NoScriptError:
                self._shas.pop(name, None)
        raise _scripts_not_kept()

    def _load_from_thread(self, name: str) -> str:
        sha = str(self.command_from_thread("SCRIPT", "LOAD", self._scripts[name]))
        self._shas[name] = sha
        return sha

    def command_from_thread(self, *words: Any) -> Reply:
        """Send one command over the calling thread's connection; blocks until the reply.

        Raises:
            UnavailableError: Redis cannot be reached.
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
        futures = iter(batch)

        def take(reply: Reply) -> None:
            _, future = next(futures)
            if future.done():  # its caller was cancelled
                return
            if isinstance(reply, Exception):
                future.set_exception(self._with_cause(reply))
            else:
                future.set_result(reply)

        commands = [command for command, _ in batch]
        await exchange(self._aio.connection_pool, commands, REPLY_SECONDS, take)

    async def wait_for_element(self, name: str, seconds: float) -> bool:
        """Block until a list has an element, without taking it; False after `seconds`."""
        # moving the head of a list to its own head blocks for an element and changes nothing
        try:
            async with LoopTimeout(seconds + REPLY_SECONDS):
                moved = await self.asynchronous.blmove(name, name, seconds, "LEFT", "LEFT")  # type: ignore[arg-type]
        except (RedisError, OSError) as error:
            raise self._translated(error) from error
        return moved is not None

    async def messages(self, channel: str) -> AsyncIterator[str]:
        """Messages published on a channel from now on; the first item, "", means subscribed."""
        async with self.asynchronous.pubsub() as subscription:
            try:
                await subscription.subscribe(channel)
                async for message in subscription.listen():
                    yield message["data"] if message["type"] == "message" else ""
            except (RedisError, OSError) as error:
                raise self._translated(error) from error

    def _with_cause(self, error: Exception) -> Exception:
        known = self._translated(error)
        if known is not error:
            known.__cause__ = error
        return known

    def _translated(self, error: Exception) -> Exception:
        """The driver's error as one of the service's; counts outages."""
        self.outages += stops_leases(error)
        return translated(error)

    async def insist[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat an operation while Redis is unavailable; logs the outage and its end once."""
        return await self._retry.insist(operation)

    async def reachable(self) -> bool:
        """Whether Redis answers now, has JSON, and takes writes (without memory it does not)."""
        return await self._takes(self._probe)

    async def ends_runs(self) -> bool:
        """Whether Redis answers now and runs the scripts that end a run, which need no memory."""
        return await self._takes(self._probe_for_ends)

    async def _takes(self, probe: Callable[[], Awaitable[None]]) -> bool:
        try:
            await probe()
        except UnavailableError:
            return False
        return True

    async def wait_until_reachable(self) -> None:
        """Wait until Redis takes writes."""
        await self.insist(self._probe)

    async def wait_until_runs_end(self) -> None:
        """Wait until Redis runs the scripts that end a run."""
        await self.insist(self._probe_for_ends)

    async def _probe(self) -> None:
        await self.command("SET", keys.PROBE, 1, "EX", 60)
        with contextlib.suppress(CommandRefused):  # an ACL may forbid the command
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


def _scripts_not_kept() -> UnavailableError:
    return UnavailableError("Redis does not keep the scripts that are loaded into it")


async def _counting_outage(reply: asyncio.Future[Reply]) -> Reply:
    """Await a reply and count an outage, in the context of the call that gave the command."""
    try:
        return await reply
    except UnavailableError as error:
        note(no_memory=lacks_memory(error.__cause__))
        raise


_installed: list[RedisConnection] = []


def install(connection: RedisConnection) -> None:
    """Make this the process's connection: `lib` finds it, as `VconRedis()` has no arguments."""
    _installed[:] = [connection]


def installed() -> RedisConnection:
    """The process's connection.

    Raises:
        UnavailableError: no pipeline runs in this process.
    """
    if not _installed:
        raise UnavailableError("no Redis connection is installed in this process")
    return _installed[0]
