"""The entries of `pc:paused` and `pc:drained`, by the name of a chain or the id of a replica.

An entry is JSON: `until` (ms since 1970, or null), `by`, `reason`, `at`, and `seen`, when a replica
last knew the chain or the drained replica last gave a sign of life. All times are by Redis' clock.
An entry that cannot be read counts as one without an end, as it does in the scripts.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from core.errors import BusyError, FullError
from core.observability.storable_text import storable_text
from pipeline.redis_client.client import RedisConnection
from schemas.operator.replicas import LONGEST_TEXT, Drain

MOST_ENTRIES = 500
"""Entries of one kind at most: each claim of a worker looks at those of its chains."""
TRIES = 5
"""Attempts to write an entry that others change at the same time."""
LONGEST_ENTRY = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it was read."""

    text: str
    fields: Mapping[str, Any]

    @property
    def drain(self) -> Drain:
        """The entry for answers."""
        return Drain(
            until=_moment(self.number("until")),
            by=_text(self.fields.get("by")),
            reason=_text(self.fields.get("reason")),
            at=_moment(self.number("at")),
        )

    def number(self, name: str) -> float | None:
        """A time in ms; None if there is none."""
        found = self.fields.get(name)
        return found if isinstance(found, int | float) and not isinstance(found, bool) else None

    def is_in_force(self, now: float) -> bool:
        """Whether it has not ended; `now` in ms."""
        until = self.number("until")
        return until is None or until > now


def entry_of(text: str) -> Entry:
    """An entry from its text."""
    try:
        found = orjson.loads(text) if len(text) < LONGEST_ENTRY else None
    except orjson.JSONDecodeError:
        found = None
    return Entry(text, found if isinstance(found, dict) else {})


class Entries:
    """The entries of one of the two keys."""

    def __init__(self, connection: RedisConnection, key: str) -> None:
        self._redis = connection
        self._key = key

    async def now(self) -> int:
        """Milliseconds since 1970 by Redis' clock."""
        seconds, micros = await self._redis.command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def all(self) -> dict[str, Entry]:
        """Every entry, also those that have ended.

        Raises:
            UnavailableError: Redis cannot be reached.
            UnusableKeyError: the key has another type.
        """
        names = await self._redis.command("HRANDFIELD", self._key, MOST_ENTRIES)
        values = await self._redis.command("HMGET", self._key, *names) if names else []
        pairs = sorted(zip(names, values, strict=True))
        return {name: entry_of(value) for name, value in pairs if value}

    async def in_force(self) -> dict[str, Entry]:
        """The entries that have not ended."""
        now, found = await asyncio.gather(self.now(), self.all())
        return {name: entry for name, entry in found.items() if entry.is_in_force(now)}

    async def find(self, name: str) -> Entry | None:
        """One entry that has not ended."""
        now, text = await asyncio.gather(self.now(), self._text(name))
        entry = entry_of(text) if text else None
        return entry if entry and entry.is_in_force(now) else None

    async def put(self, name: str, seconds: float | None, by: str, reason: str) -> Entry:
        """Write an entry that begins now, in place of the present one.

        Raises:
            FullError: there are too many entries.
            BusyError: others write this entry all the time.
        """
        whose = {"by": _text(by), "reason": _text(reason)}
        for _ in range(TRIES):
            before, now = await asyncio.gather(self._text(name), self.now())
            until = None if seconds is None else now + int(seconds * 1000)
            told = {"until": until, "at": now, "seen": now} | whose
            text = orjson.dumps(told).decode()
            if await self.replace(name, before, text):
                return entry_of(text)
        raise _busy(name)

    async def take(self, name: str) -> Entry | None:
        """Remove an entry; None if there was none, or it had ended.

        Raises:
            BusyError: others write this entry all the time.
        """
        for _ in range(TRIES):
            before, now = await asyncio.gather(self._text(name), self.now())
            if not before:
                return None
            if await self.replace(name, before, ""):
                entry = entry_of(before)
                return entry if entry.is_in_force(now) else None
        raise _busy(name)

    async def replace(self, name: str, before: str, text: str) -> bool:
        """Write a text, or remove the entry with ""; False if it is not `before` any more.

        Raises:
            FullError: there are too many entries.
        """
        reply = await self._redis.script("entry", self._key, name, before, text, MOST_ENTRIES)
        if reply == "full":
            msg = f"{self._key} has {MOST_ENTRIES} entries already; end some of them first"
            raise FullError(msg)
        return bool(reply == "done")

    async def _text(self, name: str) -> str:
        return await self._redis.command("HGET", self._key, name) or ""


def _busy(name: str) -> BusyError:
    return BusyError(f"{name} is being changed by others; try again")


def _moment(milliseconds: float | None) -> datetime | None:
    try:
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _text(value: object) -> str:
    return storable_text(value, LONGEST_TEXT) if isinstance(value, str) else ""
