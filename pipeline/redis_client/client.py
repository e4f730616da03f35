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
  replies may be left on it. Whether the commands were executed is not known then, so only those
  that are harmless to repeat are sent again, once: all scripts are, and those of
  `driver/repeatable.py`. A command that a former primary refused has not been executed; any is
  sent again, over new connections (`driver/connections.py`).
- Cancellation: the flush is a task of its own in an empty context. A caller that is cancelled stops
  waiting; its command is sent all the same.
- Scripts are sent by their hash. Redis loses them when it restarts; then they are loaded again.

Threads. `_pending` belongs to the event loop that gave the first command (`_home`) and is used by
no other thread. Sync plugins use `command_from_thread`: one blocking connection for each thread
(`driver/threads.py`). A plugin's own event loop in a thread has no batch; its commands go the same
way.

A command that finds Redis unavailable, or a key of this service with another type, is counted in
the context of the plugin call that gave it (`errors.counted`), even if the plugin hides the error.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import Context
from typing import Any

from redis.exceptions import NoScriptError, RedisError, ResponseError

from core.concurrency.aio import LoopTimeout
from core.concurrency.backoff import Backoff
from core.errors import UnavailableError
from core.setting_groups.addresses import read_address
from pipeline.redis_client import keys
from pipeline.redis_client.driver.batches import (
    ENCODING_ERRORS,
    REPLY_SECONDS,
    BatchSender,
    Entry,
    ReplicaWait,
    Reply,
    packed,
)
from pipeline.redis_client.driver.plugin_clients import (
    AsyncClient,
    SyncClient,
    note_failure,
    note_unusable,
)
from pipeline.redis_client.driver.pools import Pools, RedisAccess
from pipeline.redis_client.driver.repeatable import is_idempotent
from pipeline.redis_client.driver.threads import ThreadConnections
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

NO_DOCUMENT = "pc:probe:document"
"""Never written; its type is requested to find out whether Redis has the JSON commands."""
LOADS = 3
"""Attempts at one script call that load the script first."""
ACCEPTING = ("ingest", "enqueue", "enqueue_run", "replay")
"""The scripts after which vCons count as accepted."""

CommandRefused = ResponseError
"""An error reply of Redis: an unknown command, a wrong type, no permission."""

__all__ = ["CommandRefused", "RedisConnection", "Reply", "install", "installed"]


class RedisConnection:
    """One process's connection to Redis; the theory is at the head of this file."""

    def __init__(
        self,
        url: str,
        outage_backoff: Backoff = OUTAGE_BACKOFF,
        *,
        access: RedisAccess | None = None,
        wait: ReplicaWait | None = None,
    ) -> None:
        """Connects on first use. `url` is a value of `REDIS_URL` (`core.setting_groups.addresses`).

        `outage_backoff`: the waits of `insist`; `wait`: for replicas, after vCons are accepted.

        Raises:
            ValueError: the URL cannot be used; the text does not quote it.
        """
        options = {"decode_responses": True, "encoding_errors": ENCODING_ERRORS}
        self._pools = Pools(read_address(url), access or RedisAccess(), options)
        self.wait = wait or ReplicaWait()
        self._batches = BatchSender(
            self._pools.on_loop(), self.wait, self._accepts, self._translated
        )
        self.asynchronous = AsyncClient(connection_pool=self._pools.on_loop())
        """For blocking commands, and for plugins that send commands of their own."""
        self.sync = SyncClient(connection_pool=self._pools.in_threads(REPLY_SECONDS))
        self._threads = ThreadConnections(self.sync.connection_pool)
        self._scripts = script_texts()
        self._shas: dict[str, str] = {}
        self._home: asyncio.AbstractEventLoop | None = None
        self._pending: list[Entry] = []
        self._flushes: set[asyncio.Task[None]] = set()
        self._retry = OutageRetry(outage_backoff)
        self._pools.open.on_leave = self._try_again
        self.outages = 0
        """Commands that found Redis in a state in which no lease can be renewed either."""

    def _accepts(self, words: tuple[Any, ...]) -> bool:
        return words[0] == "EVALSHA" and words[1] in map(self._shas.get, ACCEPTING)

    def _try_again(self) -> None:
        """Redis may be elsewhere now: what waits for it need not wait longer."""
        if self._home is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._home.call_soon_threadsafe(self._retry.wake)

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
        if self._home is None:
            self._home = loop
            self._pools.start_watch()
        reply: asyncio.Future[Reply] = loop.create_future()
        if not self._pending:
            loop.call_soon(self._start_flush, context=Context())  # not in the caller's context
        self._pending.append((command, reply, words))
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
            may_repeat = words[0] == "EVALSHA" or is_idempotent(words)
            return self._threads.reply(packed(words), may_repeat=may_repeat)
        except (RedisError, OSError) as error:
            note_failure(error, words)
            known = self._translated(error)
            raise (named(known, words) if isinstance(known, WrongTypeError) else known) from error

    def commands_from_thread(self, *commands: tuple[Any, ...]) -> list[Reply] | None:
        """Send idempotent commands in one round trip; None if any of them fails.

        A failure is not counted: the caller can do without them.
        """
        try:
            replies = self._threads.replies([*map(packed, commands)], may_repeat=True)
        except (RedisError, OSError) as error:
            self._translated(error)
            return None
        return None if any(isinstance(each, Exception) for each in replies) else replies

    async def _load(self, name: str) -> str:
        sha = self._shas[name] = str(await self.command("SCRIPT", "LOAD", self._scripts[name]))
        return sha

    def _start_flush(self) -> None:
        batch, self._pending = self._pending, []
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._batches.send(batch))
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

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
        """Close every connection, after what was given before is answered."""
        if self._pending:
            await asyncio.sleep(0)  # its flush begins now; after the end it would open a connection
        await asyncio.gather(*self._flushes, return_exceptions=True)
        await self._pools.close()
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
