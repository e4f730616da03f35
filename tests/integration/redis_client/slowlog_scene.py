"""Structures with 300,000 entries in Redis, and what `SLOWLOG` says of an operation on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from redis import Redis

from tests.integration.support.operations_scene import Operations, operations

ENTRIES = 300_000
SLOW = 5_000
"""Microseconds: the most that one command or script may keep Redis from other clients."""
FLOOR = """
for number = 1, 5000 do redis.call("RPUSH", KEYS[1], number) end
for number = 1, 5000 do redis.call("LPOP", KEYS[1]) end
"""
"""A script whose work is known, 10,000 of the smallest commands: some 12 ms on an idle machine, a
third of what reading one of the structures takes. It is at home in the processor's caches, and
steps over long structures are not: while others use the caches, those lose twice as much."""
ATTEMPTS = 6
KEPT = 2000
"""Entries of the log that Redis keeps."""
FILLED_AT_ONCE = 10_000
"""Entries of one command."""


def uuid_at(number: int) -> str:
    """The uuid that `fill` writes for a number."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def uuids_at(*numbers: int) -> list[str]:
    """The uuids for several numbers."""
    return [uuid_at(each) for each in numbers]


@lru_cache(maxsize=ENTRIES // FILLED_AT_ONCE)
def _uuids(first: int, last: int) -> list[str]:
    """Those of one command of `fill`: made once for all structures."""
    return uuids_at(*range(first, last + 1))


class Slowlog:
    """Fills Redis, does something with the real parts, and reads what took long."""

    def __init__(self, ops: Operations) -> None:
        self.ops = ops
        self._client: Redis = ops.client
        server = self._client.info("server")["process_id"]
        self._schedstat = Path(f"/proc/{server}/task/{server}/schedstat")
        self._worked: dict[str, float] = {}
        self._command = ops.redis.command
        ops.redis.command = self._timed  # type: ignore[method-assign]

    async def _timed(self, *words: Any) -> Any:
        name, before = self._name([str(word) for word in words[:2]]), self._processor_time()
        reply = await self._command(*words)
        self._worked[name] = max(self._worked.get(name, 0), self._processor_time() - before)
        return reply

    def _processor_time(self) -> float:
        """Microseconds that the thread of Redis that executes commands has had so far."""
        return int(self._schedstat.read_text().split()[0]) / 1000

    def _name(self, words: list[str]) -> str:
        """The command in lower case, or the name of our script."""
        scripts = {sha: name for name, sha in self.ops.redis._shas.items()}
        return scripts.get(words[-1], words[0].lower())

    def fill(
        self,
        command: str,
        *key: str,
        score: Callable[[int], int] | None = None,
        value: str | None = None,
        prefix: str = "",
        suffix: str = "",
        count: int = ENTRIES,
    ) -> None:
        """One structure with `count` uuids; before each its score, or behind it a value.

        Not by a script: Redis would clear away its hundreds of thousands of strings in those that
        follow, which are to be timed.
        """
        for first in range(1, count + 1, FILLED_AT_ONCE):
            last = min(first + FILLED_AT_ONCE - 1, count)
            words: Iterable[Any] = _uuids(first, last)
            if prefix or suffix:
                words = [prefix + each + suffix for each in words]
            if score is not None:
                words = chain.from_iterable(
                    zip(map(score, range(first, last + 1)), words, strict=True)
                )
            if value is not None:
                words = chain.from_iterable((each, value) for each in words)
            self._client.execute_command(command, *key, *words)  # type: ignore[no-untyped-call]

    async def check(
        self,
        operation: Callable[[], Awaitable[object]],
        prepare: Callable[[], object],
        *,
        besides: tuple[str, ...] = (),
    ) -> None:
        """Fail if something that the operation sends to Redis takes longer than it may.

        `besides`: commands that may.

        `SLOWLOG` has the time by the clock, which also runs while the machine gives the processor
        to another process. What it names is slow if the thread of Redis has worked that long, too,
        and longer than for `FLOOR`: processors differ, and slow down while others use their
        caches. What is slow only once was slowed down.
        """
        for _ in range(ATTEMPTS):
            self._client.flushall()
            prepare()
            self._worked.clear()
            self._client.slowlog_reset()
            before = self._floor()
            await operation()
            most = max(SLOW, before, self._floor())
            slow = self._slower_than(most)
            if not slow.keys() - {*besides}:
                return
        raise AssertionError(f"longer than {most:.0f} us: {slow}")

    def _floor(self) -> float:
        before = self._processor_time()
        self._client.eval(FLOOR, 1, "floor")
        return self._processor_time() - before

    def _slower_than(self, most: float) -> dict[str, float]:
        entries = self._client.slowlog_get(KEPT)
        names = {
            self._name(entry["command"].decode(errors="replace").split(" ", 2)[:2])
            for entry in entries
        }
        return {name: took for name in names if (took := self._worked.get(name, 0)) > most}


@asynccontextmanager
async def slowlog(redis_url: str) -> AsyncIterator[Slowlog]:
    """The operations half on an empty Redis that logs what takes long."""
    async with operations(redis_url) as ops:
        before: Any = ops.client.config_get("slowlog-*")
        ops.client.config_set("slowlog-log-slower-than", SLOW)
        ops.client.config_set("slowlog-max-len", KEPT)
        yield Slowlog(ops)
        for name, value in before.items():
            ops.client.config_set(name, value)
        ops.client.flushall()
