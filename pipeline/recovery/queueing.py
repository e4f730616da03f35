"""The phases beside claims: what custody holds and Redis does not know is put into Redis again."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from core.db import custody_reading
from core.db.custody import ref_of
from core.db.custody_reading import START, KeptRow, Key
from core.observability.storable_text import storable_json
from pipeline.live_config import Configuration
from pipeline.media import media
from pipeline.recovery.places import Place, Placing
from pipeline.recovery.recovery import MarkLostError, Slice, Under
from pipeline.recovery.steps import in_thread
from pipeline.redis_client import originals
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.staging import staged

PAGE = 500
"""Rows of one slice."""
MOST_BYTES = 8_000_000
"""Bytes of documents that are in memory at once, or one document."""
KEYS_AT_ONCE = 50
"""Idempotency keys of one script."""


class Queueing:
    """Puts rows back into Redis."""

    def __init__(
        self,
        connection: RedisConnection,
        configuration: Configuration,
        sorted_set: str,
        vcon_expiry: int,
    ) -> None:
        """`vcon_expiry`: seconds that Redis knows a vCon after its end; 0: without end."""
        self._connection = connection
        self._configuration = configuration
        self._sorted_set = sorted_set
        self._expiry = vcon_expiry or 10 * 365 * 86400

    async def queue(self, under: Under) -> Slice:
        """A page of open rows."""
        session, state = under.step.session, under.state
        after, last = _cursor(state), state["last"]
        how = session, after, last, PAGE, self._expiry
        rows = await in_thread(custody_reading.open_rows, *how)
        return await self._page(under, rows)

    async def keep(self, under: Under) -> Slice:
        """A page of vCons that no list needs, such as halted ones: Redis had their document."""
        how = under.step.session, _cursor(under.state), under.state["last"], PAGE
        rows = await in_thread(custody_reading.kept_rows, *how)
        return await self._page(under, rows)

    async def remember(self, under: Under) -> Slice:
        """A page of idempotency keys."""
        how = under.step.session, _cursor(under.state), under.state["last"], PAGE
        found = await in_thread(custody_reading.remembered_keys, *how)
        words = [
            (name, value, left)
            for _, known, left in found
            if left > 0
            for name, value in known.items()
        ]
        parts = [words[at : at + KEYS_AT_ONCE] for at in range(0, len(words), KEYS_AT_ONCE)]
        calls = (
            self._connection.script("remember", under.mark, *(w for each in part for w in each))
            for part in parts
        )
        written = await asyncio.gather(*calls)
        if any(count < 0 for count in written):
            raise MarkLostError
        counts = {"idempotency keys": sum(written)} if sum(written) else {}
        return Slice(_next(found[-1][0] if len(found) == PAGE else None), counts)

    async def _page(self, under: Under, rows: Sequence[KeptRow]) -> Slice:
        placing, counts = Placing(self._configuration.config), Counter[str]()
        wanted = [row for row in rows if row.places]
        places = {row.number: [placing.of(row, each) for each in row.places] for row in wanted}
        asked = wanted
        if under.state["had_data"]:
            replies = await self._put(under, wanted, places, {})
            asked = [row for row, reply in zip(wanted, replies, strict=True) if reply == ["stage"]]
            _count(counts, replies, placing)
        for part in _parts(asked):
            texts = await in_thread(custody_reading.documents, under.step.session, part)
            replies = await self._put(under, part, places, texts)
            _count(counts, replies, placing)
        return Slice(_next(rows[-1].key if len(rows) == PAGE else None), counts)

    async def _put(
        self,
        under: Under,
        rows: Sequence[KeptRow],
        places: dict[int, list[Place]],
        texts: dict[int, bytes],
    ) -> list[list[str]]:
        calls = (
            self._put_one(under, row, places[row.number], texts.get(row.number, b""))
            for row in rows
        )
        replies = list(await asyncio.gather(*calls))
        if ["lost"] in replies:
            raise MarkLostError
        return replies

    async def _put_one(
        self, under: Under, row: KeptRow, places: Sequence[Place], text: bytes
    ) -> list[str]:
        vcon_uuid = str(row.vcon_uuid)
        text, original = originals.apart(text)
        if original:
            await originals.offer(self._connection, vcon_uuid, original)
        size = len(text)
        text = text and await media.installed(self._connection).stripped(vcon_uuid, text)
        document = await staged(self._connection, text) if text else b""
        ref = ref_of(row.accepted_at, row.number, under.state["generation"])
        return list(
            await self._connection.script(
                "queue_again",
                under.mark,
                ref,
                vcon_uuid,
                document,
                row.created_at,
                self._sorted_set,
                row.digest,
                row.owner or "",
                0 if row.owner is None else 1,
                row.received,
                storable_json(list(row.terms)),
                size,
                originals.digest_of(original) if original else "",
                *(word for place in places for word in place),
            )
        )


def _kind_of(placing: Placing, place: str) -> str:
    """What is counted."""
    if place == "":
        return "documents"
    if place.startswith("DLQ:"):
        return "dead letters"
    return "egress" if place in placing.handed_out else "queued"


def _count(counts: Counter[str], replies: Sequence[Sequence[str]], placing: Placing) -> None:
    for reply in replies:
        if reply[0] == "ok":
            counts.update(_kind_of(placing, place) for place in reply[1:])
        elif reply[0] == "unusable":
            counts["not put back"] += 1


def _parts(rows: Sequence[KeptRow]) -> Iterator[list[KeptRow]]:
    part: list[KeptRow] = []
    size = 0
    for row in rows:
        if part and size + (row.size or 0) > MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += row.size or 0
    if part:
        yield part


def _cursor(state: dict[str, Any]) -> Key:
    if state["cursor"] is None:
        return START
    time, number = state["cursor"]
    return datetime.fromisoformat(time), int(number)


def _next(key: Key | None) -> list[Any] | None:
    return None if key is None else [key[0].isoformat(), key[1]]
