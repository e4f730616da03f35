"""Reading the ledger to check it: events page by page, and rows that do not fit their events.

What can be seen, and what cannot: a changed event no longer has its hash; one that was changed with
its hash is not what the next one follows; a removed one leaves a gap. A row that an event names is
compared by its digest. A tail that was cut is seen by a checkpoint, of which a copy should be kept
elsewhere, and by rows whose events are gone. A delivery that has not ended has no event yet. Whose
a basis is, is compared, but for a grant of a party that was erased with its salt.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any, LiteralString

from core.db.database import Database
from core.db.law.chain import BASIS_DIGEST, DELIVERY_DIGEST, PARTY_COMMITMENT, VERSION_DIGEST

NO_PARTY: LiteralString = "none"
"""In place of the commitment of a basis whose row has lost its person."""
PAGE = 5000
"""Events, or rows, of one statement."""
_ID: LiteralString = "substring(about FROM '^[a-z]+:([0-9]{1,18})$')::bigint"
_AT: LiteralString = (
    "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"
    " || CASE WHEN at < '0001-01-01' THEN ' BC' ELSE '' END"
)
# Values are read as texts: a superuser may have written what no type of Python holds, such as a
# time after the year 9999, or nothing where there must be something.
_EVENTS: LiteralString = f"""
SELECT seq, {_AT}, event, coalesce(vcon_uuid::text, ''), about, digest, commitment,
    prior, hash,
    CASE split_part(about, ':', 1)
        WHEN 'version' THEN (SELECT {VERSION_DIGEST} FROM law_versions WHERE id = {_ID})
        WHEN 'delivery' THEN (SELECT {DELIVERY_DIGEST} FROM law_deliveries WHERE id = {_ID})
        WHEN 'basis' THEN (SELECT {BASIS_DIGEST} FROM law_bases WHERE id = {_ID})
        WHEN 'erasure' THEN (SELECT '' FROM law_tombstones
            WHERE law_tombstones.vcon_uuid = law_events.vcon_uuid)
    END,
    CASE split_part(about, ':', 1) WHEN 'basis' THEN (SELECT CASE
        WHEN law_bases.vcon_uuid IS NOT NULL OR granted AND party IS NULL AND salt IS NULL THEN ''
        ELSE coalesce({PARTY_COMMITMENT}, '{NO_PARTY}') END FROM law_bases WHERE id = {_ID})
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
SELECT point.seq, point.hash, CASE WHEN isfinite(point.at) AND point.at < '9999-01-01'
    AND point.at > '0002-01-01' THEN point.at END, point.statement, known.hash
FROM law_checkpoints AS point
LEFT JOIN law_events AS known ON known.seq = point.seq ORDER BY point.seq
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the chain, and the digest that the row it is about has now.

    `party`: the commitment about the party of a recorded basis as it is now.

    None is what a superuser has removed, also from columns that must have a value.
    """

    seq: int
    at: str | None
    event: str | None
    vcon_uuid: str
    about: str | None
    digest: str | None
    commitment: str | None
    prior: str | None
    hash: str | None
    found: str | None
    party: str | None

    @property
    def is_of_its_party(self) -> bool:
        """Whether a recorded basis is about the person that it was recorded for, if that is known.

        An event of an earlier version does not say for whom a denial was.
        """
        return (
            self.party is None
            or self.party in ("", self.commitment)
            or (not self.commitment and self.party != NO_PARTY)
        )

    def computed(self) -> str | None:
        """The hash that it must have; None if a value is missing."""
        lines = self.prior, str(self.seq), self.at, self.event, self.vcon_uuid, self.about
        texts = [each for each in (*lines, self.digest, self.commitment) if each is not None]
        if len(texts) < len(lines) + 2 or self.hash is None:
            return None
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint, and the hash that the event with its number has now; None if there is none."""

    seq: int
    hash: str
    at: datetime | None
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
