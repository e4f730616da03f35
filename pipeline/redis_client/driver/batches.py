"""Sends batches of commands over pooled connections, and again what may be sent again.

A connection that fails, and a server that refuses a write because it has become a replica, end
the generation of connections (`connections.py`). Sent again then, once and over a new connection:
commands that were refused, and idempotent ones that may have been executed. Nothing is sent again
after a timeout, which would double the wait, or if no connection can be made.

Replicas. Where the settings ask for replicas, the scripts that accept vCons are answered only once
so many replicas have them: one `WAIT` ends a batch with such scripts. It stands for all writes of
the server so far, of other connections too, as a write of the same connection precedes it; so a
script that only finds what an earlier, unanswered request has written is also waited for.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import hiredis
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError, ResponseError

from core.concurrency.aio import LoopTimeout
from core.errors import UnavailableError
from pipeline.redis_client import keys
from pipeline.redis_client.driver.repeatable import REFUSED, is_idempotent

ENCODING_ERRORS = "surrogateescape"
"""Keeps bytes that are not UTF-8: another program may put any bytes into a list, and they must be
found again unchanged."""
REPLY_SECONDS = 10.0
"""After so many seconds without all replies of a batch, Redis counts as unavailable."""

type Reply = Any
"""A reply of Redis; the driver does not type it."""
type Entry = tuple[bytes, asyncio.Future[Reply], tuple[Any, ...]]
"""A command in the protocol's form, who waits for its reply, and its words."""


@dataclass(frozen=True, slots=True)
class ReplicaWait:
    """How many replicas must have a vCon before it counts as accepted."""

    replicas: int = 0
    """0: none is waited for."""
    seconds: float = 1.0


class TooFewReplicasError(UnavailableError):
    """Fewer replicas than demanded had the write in time; it may still be lost."""


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
    pool: ConnectionPool,
    commands: list[bytes],
    seconds: float,
    take: Callable[[Reply], None],
    fail: Callable[[Exception, bool], None],
) -> None:
    """Send commands; `take` gets the reply of each in their order, as soon as it is there.

    Replies may be errors. If the connection fails, `fail` gets its error in place of all replies
    that are missing, and whether the commands may have been sent and the connection is lost.
    The driver's own pipeline takes five times as long: it packs commands in Python, and sets a
    timeout for each reply.
    """
    connection: Any = None
    is_left = is_broken = False
    try:
        async with LoopTimeout(seconds):  # time that the loop was blocked does not count
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]
            await connection.send_packed_command(commands)
            for _ in commands:
                try:
                    reply = await connection.read_response()
                except ResponseError as error:
                    reply = error
                    is_left = is_left or isinstance(error, REFUSED)
                take(reply)
    except (RedisError, OSError) as error:
        is_broken = connection is not None  # replies may be left on it
        fail(error, is_broken and not isinstance(error, TimeoutError))
    finally:
        if connection is not None:
            if is_left or is_broken:
                connection.leave()
                await connection.disconnect(nowait=True)
            await pool.release(connection)


class BatchSender:
    """Sends batches; each reply resolves its future as soon as it is there."""

    def __init__(
        self,
        pool: ConnectionPool,
        wait: ReplicaWait,
        accepts: Callable[[tuple[Any, ...]], bool],
        translate: Callable[[Exception], Exception],
    ) -> None:
        """`accepts`: whether a command accepts vCons, so that replicas must have it."""
        self._pool = pool
        self._wait = wait
        self._accepts = accepts
        self._translate = translate
        # the first of the two makes `WAIT` count from now on
        self._waiting = [
            packed(("SET", keys.PROBE, 1, "EX", 60)),
            packed(("WAIT", wait.replicas, int(wait.seconds * 1000))),
        ]

    async def send(self, batch: list[Entry]) -> None:
        """Send a batch, and what must be sent again; returns when all futures are resolved."""
        for is_last in (False, True):
            replies = _Replies(batch, self._settle, is_last=is_last)
            commands, seconds = [command for command, _, _ in batch], REPLY_SECONDS
            if self._wait.replicas and any(self._accepts(words) for _, _, words in batch):
                replies.held = _Held(self._accepts, self._enough)
                commands += self._waiting
                seconds += self._wait.seconds
            await exchange(self._pool, commands, seconds, replies.take, replies.fail)
            batch = replies.again
            if not batch:
                return

    def _settle(self, future: asyncio.Future[Reply], reply: Reply) -> None:
        if future.done():  # its caller was cancelled
            return
        if not isinstance(reply, Exception):
            future.set_result(reply)
            return
        known = reply if isinstance(reply, TooFewReplicasError) else self._translate(reply)
        if known is not reply:
            known.__cause__ = reply
        future.set_exception(known)

    def _enough(self, reply: Reply) -> Exception | None:
        """The error for the accepted ones, by the reply to `WAIT`."""
        if isinstance(reply, Exception):
            return reply
        if reply >= self._wait.replicas:
            return None
        return TooFewReplicasError(
            f"{reply} of {self._wait.replicas} replicas of Redis (REDIS_WAIT_REPLICAS) had the "
            f"write within {self._wait.seconds:g} s; the request may be repeated"
        )


@dataclass(slots=True)
class _Held:
    """Replies of scripts that accepted vCons, until replicas have them."""

    accepts: Callable[[tuple[Any, ...]], bool]
    enough: Callable[[Reply], Exception | None]
    entries: list[tuple[Entry, Reply]] = field(default_factory=list)
    mark: Reply = None
    """The reply to the write before `WAIT`, once it is there."""

    def takes(self, entry: Entry, reply: Reply) -> bool:
        """Hold a reply back if it must be; an error need not be."""
        if isinstance(reply, Exception) or not self.accepts(entry[2]):
            return False
        self.entries.append((entry, reply))
        return True

    def problem(self, reply: Reply) -> Exception | None:
        """The error in place of the held replies, by the reply to `WAIT`."""
        return self.mark if isinstance(self.mark, Exception) else self.enough(reply)


class _Replies:
    """Distributes the replies of one attempt."""

    def __init__(
        self,
        batch: list[Entry],
        settle: Callable[[asyncio.Future[Reply], Reply], None],
        *,
        is_last: bool,
    ) -> None:
        self._left: Iterator[Entry] = iter(batch)
        self._settle = settle
        self._is_last = is_last
        self.again: list[Entry] = []
        self.held: _Held | None = None

    def take(self, reply: Reply) -> None:
        """The reply to the next command."""
        entry = next(self._left, None)
        if self.held is None and not isinstance(reply, Exception) and entry is not None:
            future = entry[1]
            if not future.done():  # its caller was cancelled
                future.set_result(reply)
        elif entry is None:
            self._take_of_replicas(reply)
        elif isinstance(reply, REFUSED) and not self._is_last:
            self.again.append(entry)
        elif self.held is None or not self.held.takes(entry, reply):
            self._settle(entry[1], reply)

    def _take_of_replicas(self, reply: Reply) -> None:
        """The replies to the write, and then to `WAIT`, that end the batch."""
        assert self.held is not None
        if self.held.mark is None:
            self.held.mark = reply
            return
        problem = self.held.problem(reply)
        for entry, accepted in self.held.entries:
            self._settle(entry[1], problem or accepted)
        self.held.entries = []

    def fail(self, error: Exception, is_lost: bool) -> None:
        """The error in place of all further replies."""
        held = [entry for entry, _ in self.held.entries] if self.held else []
        for entry in (*held, *self._left):
            words = entry[2]
            may_repeat = words[0] == "EVALSHA" or is_idempotent(words)
            if is_lost and may_repeat and not self._is_last:
                self.again.append(entry)
            else:
                self._settle(entry[1], error)
