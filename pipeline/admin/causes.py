"""The causes of dead letters: an index in Redis beside each dead-letter list.

The scripts that write reasons keep it (`scripts/parts/causes.lua`), so that a table of causes, and
the dead letters with one of them, are read without reading the list. `CauseIndex.tend` brings in
line with it what a version without the index has written or removed.
"""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import batched
from typing import Any

import orjson

from core.observability.failure_cause import OTHER, UNKNOWN, cause_of
from core.observability.storable_text import storable_json
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.periodic import skip_unusable

FILED = 50
"""Dead letters that one script call puts into the index, or takes out."""
_FINGERPRINT = re.compile(r"[0-9A-Za-z]{1,32}")
SLICES = 200
"""Slices of one list that one round of `tend` reads."""
TENDED = 50
"""Lists that are looked at together, with one message to Redis if nothing is to be done."""

EVERY_SECONDS = 3600.0
"""Seconds after which a list is looked through although its counts are right."""
LATEST = 1e14
"""A time in ms that no clock shows; beyond it is no date."""


@dataclass(frozen=True, slots=True)
class ListCause:
    """One cause in one dead-letter list, with its newest dead letter."""

    fingerprint: str
    about: Mapping[str, Any]
    count: int
    newest: str
    last_seen: datetime
    reason: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first_seen(self) -> datetime:
        """When the cause came into the list; never later than its newest dead letter."""
        first = self.about.get("first")
        if not isinstance(first, int | float) or not 0 < first < LATEST:
            return self.last_seen
        return min(_moment(first), self.last_seen)

    @property
    def label(self) -> str:
        """The cause as answers show it since before fingerprints."""
        return str(self.about.get("cause") or self.fingerprint)


@dataclass(frozen=True, slots=True)
class ListCauses:
    """The causes of one dead-letter list of `total` entries, of which `explained` have a reason."""

    name: str
    total: int
    explained: int
    causes: Sequence[ListCause]
    problem: str = ""
    """Why they cannot be read: a key of another type."""

    @property
    def filed(self) -> int:
        """Reasons in the index; a dead letter may have several."""
        return sum(cause.count for cause in self.causes)

    @property
    def is_exact(self) -> bool:
        """True if the index has each reason once, under its own cause, as far as counts show."""
        has_other = any(cause.fingerprint == OTHER for cause in self.causes)
        return self.filed == self.explained and not has_other

    @property
    def unknown(self) -> int:
        """Dead letters without a reason, or whose reason is not in the index yet."""
        return max(self.total - min(self.filed, self.explained), 0)


class CauseIndex:
    """Reads the index, and repairs it."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._cursors: dict[str, str] = {}
        self._looked: dict[str, float] = {}
        self._unchecked: dict[str, list[str]] = {}
        self._checked: dict[str, tuple[int, int]] = {}

    async def lists(self) -> list[str]:
        """The dead-letter lists that have causes."""
        return sorted(await self._connection.command("SMEMBERS", keys.CAUSE_LISTS))

    async def causes(self, name: str) -> ListCauses:
        """The causes of one dead-letter list, the most frequent first."""
        total, explained, *rows = await self._connection.script("causes", name)
        found = [_cause(*rows[at : at + 6]) for at in range(0, len(rows), 6)]
        found.sort(key=lambda each: (-each.count, each.fingerprint))
        return ListCauses(name, int(total), int(explained), found)

    async def now(self) -> int:
        """The time by the clock of Redis, in ms since 1970."""
        seconds, micros = await self._connection.command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def count(self, name: str, fingerprint: str, since: int, until: int | None) -> int:
        """How many dead letters with this cause failed in this time (ms; None: until now)."""
        key, end = keys.cause(fingerprint, name), "+inf" if until is None else until
        return int(await self._connection.command("ZCOUNT", key, since, end))

    async def still(self, name: str, fingerprint: str, uuids: Sequence[str], until: int) -> int:
        """How many of these are still there with a failure of that time."""
        key = keys.cause(fingerprint, name)
        scores = await self._connection.command("ZMSCORE", key, *uuids)
        return sum(score is not None and float(score) <= until for score in scores)

    async def newest(self, name: str, fingerprint: str, limit: int) -> list[str]:
        """The uuids of the dead letters that failed last."""
        key = keys.cause(fingerprint, name)
        return list(await self._connection.command("ZREVRANGE", key, 0, limit - 1))

    async def pick(
        self, name: str, fingerprint: str, since: int, until: int, skip: int, limit: int
    ) -> list[str]:
        """The uuids of some of them, oldest first, after the first `skip`."""
        key = keys.cause(fingerprint, name)
        window = since, until, "LIMIT", skip, limit
        return list(await self._connection.command("ZRANGEBYSCORE", key, *window))

    async def tend(self, names: Sequence[str]) -> None:
        """Bring the index in line with the reasons of these lists, some slices of each."""
        for some in batched(names, TENDED):
            await asyncio.gather(*(skip_unusable(self._tend, name) for name in some))

    async def _tend(self, name: str) -> None:
        found = await self.causes(name)
        counts = found.filed, found.explained
        is_due = time.monotonic() - self._looked.get(name, -EVERY_SECONDS) >= EVERY_SECONDS
        if found.filed < found.explained:
            await self._adopt(name, every=True)
        elif found.filed > found.explained and self._checked.get(name) != counts:
            await self._forget(found)
        elif found.explained and is_due:  # one that was replaced by that version changes no count
            await self._adopt(name, every=False)

    async def _adopt(self, name: str, *, every: bool) -> None:
        """Give fingerprints to reasons of a version that did not; goes on at the next round.

        `every`: also file those that have one, and may be missing in the index.
        """
        for _ in range(SLICES):
            cursor, found = await self._connection.command(
                "HSCAN", keys.reasons(name), self._cursors.get(name, "0"), "COUNT", FILED
            )
            reasons = dict(zip(found[::2], found[1::2], strict=True))
            if not every:
                reasons = {each: text for each, text in reasons.items() if _is_new(text)}
            await self.file(name, reasons)
            self._cursors[name] = cursor
            if cursor == "0":
                self._looked[name] = time.monotonic()
                break

    async def _forget(self, found: ListCauses) -> None:
        """Check the index entry by entry; a vCon may also be there for several causes."""
        name = found.name
        left = self._unchecked.setdefault(name, [each.fingerprint for each in found.causes])
        for _ in range(SLICES):
            if not left:
                del self._unchecked[name]
                self._checked[name] = found.filed, found.explained
                break
            if not await self._forget_some(name, left[-1]):
                left.pop()

    async def _forget_some(self, name: str, fingerprint: str) -> bool:
        """Check one slice; True if more follow."""
        key = keys.cause(fingerprint, name)
        cursor, rows = await self._connection.command(
            "ZSCAN", key, self._cursors.pop(key, "0"), "COUNT", FILED
        )
        await self._connection.script("forget_causes", name, fingerprint, *rows[::2])
        if cursor == "0":
            return False
        self._cursors[key] = cursor
        return True

    async def file(self, name: str, reasons: Mapping[str, str]) -> None:
        """Put dead letters, given as uuid -> reason as Redis has it, into the index."""
        words = [word for uuid, text in reasons.items() for word in _filed(uuid, text)]
        for first in range(0, len(words), 4 * FILED):
            await self._connection.script("file_causes", name, *words[first : first + 4 * FILED])


def _cause(
    fingerprint: str, about: str, count: int, newest: str, at: str, reason: str
) -> ListCause:
    moment = _moment(min(max(float(at), 0), LATEST))
    return ListCause(fingerprint, _object(about), int(count), newest, moment, _object(reason))


def _object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _moment(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _filed(vcon_uuid: str, text: str) -> Iterator[str | int]:
    """The words of one dead letter for `file_causes`."""
    reason = _object(text)
    beside = reason.pop("beside", [])
    others = [each for each in beside if isinstance(each, dict)] if _is_list(beside) else []
    newest, *rest = [_explained(each) for each in (reason, *others)]
    is_known = [newest, *rest] == [reason, *others] == [reason, *beside]
    after = newest | ({"beside": rest} if rest else {})
    yield from (vcon_uuid, _failed_at(reason), text)
    yield text if is_known else storable_json(after).decode()


def _is_new(text: str) -> bool:
    """Whether a reason was written by a version without fingerprints."""
    return '"fingerprint":"' not in text


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _explained(reason: Mapping[str, Any]) -> dict[str, Any]:
    """The reason with a fingerprint."""
    given = reason.get("fingerprint")
    if isinstance(given, str) and _FINGERPRINT.fullmatch(given):
        return dict(reason)
    kind, step, error = (_text(reason, name) for name in ("kind", "step", "error"))
    found = cause_of(kind, step, error, "")
    if found.fingerprint == UNKNOWN:
        return {**reason, "fingerprint": UNKNOWN}
    known = {"fingerprint": found.fingerprint, "type": found.type, "message": found.message}
    return {**reason, **known, "config_hash": ""}


def _text(reason: Mapping[str, Any], name: str) -> str | None:
    value = reason.get(name)
    return value if isinstance(value, str) else None


def _failed_at(reason: Mapping[str, Any]) -> int:
    """When it failed (ms), by its reason; now if that is not known, or later."""
    now = time.time()
    try:
        seconds = datetime.fromisoformat(str(reason.get("at"))).timestamp()
    except (ValueError, OverflowError):
        return int(now * 1000)
    return int(min(max(seconds, 0), now) * 1000)
