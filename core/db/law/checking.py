"""Reading the ledger to check it: events page by page, and rows that do not fit their events.

What can be seen, and what cannot: a changed event no longer has its hash; one that was changed with
its hash is not what the next one follows; a removed one leaves a gap. A row that an event names is
compared by its digest. A tail that was cut is seen by a checkpoint, of which a copy should be kept
elsewhere, and by rows whose events are gone. A delivery that has not ended has no event yet.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, LiteralString

from core.db.database import Database
from core.db.law.chain import BASIS_DIGEST, DELIVERY_DIGEST, VERSION_DIGEST

PAGE = 5000
"""Events, or rows, of one statement."""
_EVENTS: LiteralString = f"""
SELECT seq, at, event, coalesce(vcon_uuid::text, ''), about, digest, commitment, prior, hash,
    CASE split_part(about, ':', 1)
        WHEN 'version' THEN (SELECT {VERSION_DIGEST} FROM law_versions
            WHERE id = split_part(about, ':', 2)::bigint)
        WHEN 'delivery' THEN (SELECT {DELIVERY_DIGEST} FROM law_deliveries
            WHERE id = split_part(about, ':', 2)::bigint)
        WHEN 'basis' THEN (SELECT {BASIS_DIGEST} FROM law_bases
            WHERE id = split_part(about, ':', 2)::bigint)
    END
FROM law_events WHERE seq > %(after)s ORDER BY seq LIMIT %(page)s
"""  # noqa: S608 -- constant texts
_ROWS: LiteralString = """
SELECT id, row.about, EXISTS (SELECT FROM law_events AS known WHERE known.about = row.about)
FROM (SELECT id, '{0}:' || id AS about FROM {1} WHERE id > %(after)s {2} ORDER BY id
    LIMIT %(page)s) AS row ORDER BY id
"""
_WITH_EVENTS = (
    _ROWS.format("version", "law_versions", ""),
    _ROWS.format("delivery", "law_deliveries", "AND outcome IS NOT NULL"),
    _ROWS.format("basis", "law_bases", ""),
)
"""The rows that must have an event, in pages, so that no statement takes long."""
_COUNTS: LiteralString = """
SELECT (SELECT count(*) FROM law_deliveries), (SELECT count(*) FROM law_deliveries
    WHERE outcome IS NULL), (SELECT count(*) FROM law_versions)
"""
_CHECKPOINTS: LiteralString = """
SELECT point.seq, point.hash, point.at, point.statement, known.hash FROM law_checkpoints AS point
LEFT JOIN law_events AS known ON known.seq = point.seq ORDER BY point.seq
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the chain, and the digest that the row it is about has now."""

    seq: int
    at: datetime
    event: str
    vcon_uuid: str
    about: str
    digest: str
    commitment: str
    prior: str
    hash: str
    found: str | None

    def computed(self) -> str:
        """The hash that it must have."""
        at = self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        lines = self.prior, str(self.seq), at, self.event, self.vcon_uuid, self.about
        text = "\n".join((*lines, self.digest, self.commitment))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint, and the hash that the event with its number has now; None if there is none."""

    seq: int
    hash: str
    at: datetime
    statement: str | None
    found: str | None


class LedgerRows:
    """Reads the ledger. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def events(self) -> Iterator[Event]:
        """All events in the order of their numbers."""
        after = -(1 << 63)
        while rows := self._rows(_EVENTS, after=after, page=PAGE):
            yield from (Event(*row) for row in rows)
            after = int(rows[-1][0])

    def without_event(self, most: int) -> list[str]:
        """The first rows that no event is about, such as `delivery:17`."""
        return list(islice(chain.from_iterable(map(self._alone, _WITH_EVENTS)), most))

    def _alone(self, statement: LiteralString) -> Iterator[str]:
        after = -(1 << 63)
        while rows := self._rows(statement, after=after, page=PAGE):
            yield from (str(about) for _, about, has_event in rows if not has_event)
            after = int(rows[-1][0])

    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints in order."""
        return [Checkpoint(*row) for row in self._rows(_CHECKPOINTS)]

    def counts(self) -> tuple[int, int, int]:
        """Deliveries, those of them that have not ended, and versions."""
        [(deliveries, under_way, versions)] = self._rows(_COUNTS)
        return int(deliveries), int(under_way), int(versions)

    def _rows(self, statement: LiteralString, **words: Any) -> Sequence[Any]:
        with self._database.session() as session:
            return session.connection().exec_driver_sql(statement, words).all()
