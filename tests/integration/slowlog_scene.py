"""Structures with 300,000 entries in Redis, and what `SLOWLOG` says of an operation on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis import Redis

from tests.integration.operations_scene import Operations, operations

ENTRIES = 300_000
SLOW = 5_000
"""Microseconds: the most that one command or script may keep Redis from other clients."""
ATTEMPTS = 5
TOLERATED = 0.1
"""The share of slow calls that the machine is blamed for, not the script; see `Slowlog.check`."""
KEPT = 2000
"""Entries of the log that Redis keeps."""

FILL = """
local command, key, kind = ARGV[1], ARGV[2], ARGV[5]
local first, last = tonumber(ARGV[3]), tonumber(ARGV[4])
for from = first, last, 1000 do
  local words = {}
  for i = from, math.min(from + 999, last) do
    local uuid = string.format('%08x-0000-4000-8000-000000000000', i)
    if kind == 'scores' or kind == 'zeros' then
      words[#words + 1] = kind == 'scores' and i or 0
    end
    words[#words + 1] = ARGV[6] .. uuid
    if kind == 'values' then
      words[#words + 1] = string.gsub(ARGV[7], 'UUID', uuid)
    end
  end
  if key == '' then
    redis.call(command, unpack(words))
  else
    redis.call(command, key, unpack(words))
  end
end
"""


def uuid_at(number: int) -> str:
    """The uuid that `fill` writes for a number."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def uuids_at(*numbers: int) -> list[str]:
    """The uuids for several numbers."""
    return [uuid_at(each) for each in numbers]


class Slowlog:
    """Fills Redis, does something with the real parts, and reads what took long."""

    def __init__(self, ops: Operations) -> None:
        self.ops = ops
        self._client: Redis = ops.client
        self._scripts: Counter[str] = Counter()
        self._command = ops.redis.command
        ops.redis.command = self._counted  # type: ignore[method-assign]

    async def _counted(self, *words: Any) -> Any:
        self._scripts[self._name([str(word) for word in words[:2]])] += 1
        return await self._command(*words)

    def _name(self, words: list[str]) -> str:
        """The command in lower case, or the name of our script."""
        scripts = {sha: name for name, sha in self.ops.redis._shas.items()}
        return scripts.get(words[-1], words[0].lower())

    def _calls(self, name: str) -> int:
        """How often a script of ours has been called; or a command, by scripts, too."""
        stats: dict[str, Any] = self._client.info("commandstats")
        return int(stats.get(f"cmdstat_{name}", {}).get("calls", self._scripts[name]))

    def fill(
        self,
        command: str,
        key: str = "",
        kind: str = "",
        *,
        prefix: str = "",
        value: str = "",
        count: int = ENTRIES,
        first: int = 1,
    ) -> None:
        """One structure with `count` uuids; `kind`: with scores, zeros or values beside them."""
        last = first + count - 1
        self._client.eval(FILL, 0, command, key, first, last, kind, prefix, value)

    async def check(
        self, operation: Callable[[], Awaitable[object]], prepare: Callable[[], object]
    ) -> None:
        """Fail if something that the operation sends to Redis takes longer than it may.

        `SLOWLOG` has the time by the clock, which also runs while the machine gives the processor
        to another process. So a command or script is slow when more than a tenth of its calls are,
        in each of several attempts: one that walks over a long structure is so every time.
        """
        for _ in range(ATTEMPTS):
            self._client.flushall()
            prepare()
            self._scripts.clear()
            self._client.config_resetstat()
            self._client.slowlog_reset()
            await operation()
            if not (slow := self._slow()):
                return
        told = ", ".join(f"{name}: {what}" for name, what in slow.items())
        raise AssertionError(f"longer than {SLOW} us: {told}")

    def _slow(self) -> dict[str, str]:
        times: dict[str, list[int]] = {}
        for entry in self._client.slowlog_get(KEPT):
            name = self._name(entry["command"].decode().split(" ", 2)[:2])
            times.setdefault(name, []).append(entry["duration"])
        return {
            name: f"{len(each)} of {self._calls(name)} calls, up to {max(each)} us"
            for name, each in times.items()
            if name != "slowlog" and len(each) > TOLERATED * self._calls(name)
        }


@asynccontextmanager
async def slowlog(redis_url: str) -> AsyncIterator[Slowlog]:
    """The operations half on an empty Redis that logs what takes long."""
    async with operations(redis_url) as ops:
        before = ops.client.config_get("slowlog-*")
        ops.client.config_set("slowlog-log-slower-than", SLOW)
        ops.client.config_set("slowlog-max-len", KEPT)
        yield Slowlog(ops)
        for name, value in before.items():
            ops.client.config_set(name, value)
        ops.client.flushall()
