"""Custody in Postgres: accepted vCons until their storages have them.

A row is one request that was accepted, or what a run has left to be done. It is inserted before
Redis gets the vCon, and released, place after place, once the runs have ended. `ref` names a row as
text, `{time}.{number}:{generation}`: the time of its transaction in microseconds, which selects the
partition, and the generation of Redis for which it was inserted.

Every transaction takes the lock `CUSTODY_LOCK` shared and reads the generation. Recovery takes it
alone to raise the generation, so it sees each row of the generation before, and scripts of Redis
refuse such a row later.

The latest row of a vCon and a place counts. An earlier one that is open is void: the process ended
between its transaction and Redis, and the caller has sent the vCon again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from core.db.database import Database, Row
from core.db.driver.pipelined import Pipelined
from core.observability.storable_text import storable_json

CUSTODY_LOCK = 0x6375_7374_6F64_7900
"""An advisory lock of the database, the same in every replica and version."""
SHARED: LiteralString = "SELECT pg_advisory_xact_lock_shared(7166761325952268544);"
"""What each transaction begins with; the number is `CUSTODY_LOCK`."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewCustody:
    """A row to be inserted; the fields are those of the table (`core.db.tables.CustodyRecord`)."""

    vcon_uuid: str
    lists: Sequence[str]
    document: bytes
    digest: str = ""
    created_at: float = 0.0
    terms: Sequence[str] = ()
    received: str = ""
    owner: str | None = None
    run_id: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    state: Mapping[str, Any] | None = None

    def columns(self) -> dict[str, Any]:
        """All columns but the document."""
        return {
            "vcon_uuid": self.vcon_uuid,
            "lists": self.lists,
            "digest": self.digest,
            "created_at": self.created_at,
            "terms": self.terms,
            "received": self.received,
            "owner": self.owner,
            "run_id": self.run_id,
            "keys": self.keys or None,
            "state": self.state,
        }


@dataclass(frozen=True, slots=True)
class Release:
    """What ends the custody of one place of a row.

    `keep_document`: no storage has the vCon, such as one that a link has halted.
    """

    ref: str
    place: str
    outcome: str
    token: int | None = None
    keep_document: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the run of a row continues, and its vCon as it is then."""

    ref: str
    state: Mapping[str, Any]
    document: bytes


def ref_of(accepted_at: datetime, number: int, generation: int) -> str:
    """The name of a row."""
    return f"{(accepted_at - _EPOCH) // timedelta(microseconds=1)}.{number}:{generation}"


def key_of(ref: str) -> tuple[datetime, int]:
    """The primary key of the row with this name.

    Raises:
        ValueError: it is none.
    """
    moment, _, number = ref.partition(":")[0].partition(".")
    return _EPOCH + timedelta(microseconds=int(moment)), int(number)


# The numbers are given in the order of the rows, so that sorted by them they belong to the items.
INSERT: LiteralString = """
INSERT INTO custody (
    vcon_uuid, lists, open, digest, created_at, terms, received, owner, run_id, keys, state,
    document
)
SELECT vcon_uuid, lists, lists, digest, created_at, terms, received, owner, run_id, keys, state,
    document
FROM ROWS FROM (
    jsonb_to_recordset(%(rows)s::jsonb) AS (
        vcon_uuid uuid, lists text[], digest text, created_at double precision, terms text[],
        received text, owner text, run_id uuid, keys jsonb, state jsonb
    ),
    unnest(%(documents)s::bytea[])
) AS row (
    vcon_uuid, lists, digest, created_at, terms, received, owner, run_id, keys, state, document
)
RETURNING accepted_at, number, coalesce((SELECT generation FROM redis_identity), 0)
"""
_DROP: LiteralString = """
DELETE FROM custody USING unnest(%(times)s::timestamptz[], %(numbers)s::bigint[]) AS row (t, n)
WHERE accepted_at = ANY(%(times)s::timestamptz[]) AND accepted_at = t AND number = n
"""
# The times are constants for the planner, which so leaves out the partitions of other days. Several
# places of one row in one batch are one change. A place that has been released stays so, unless a
# run with a higher token has ended since, since the one before had lost its claim; or the same one
# otherwise, because Redis has refused its end. `was_open` is false then. Rows are locked in their
# order, so that two batches cannot deadlock.
RELEASED: LiteralString = """
WITH wanted AS (
    SELECT t, n, array_agg(place) AS places, max(outcome) AS outcome, max(token) AS token,
        bool_or(keep) AS keeps
    FROM jsonb_to_recordset(%(releases)s::jsonb) AS each (
        t timestamptz, n bigint, place text, outcome text, token bigint, keep boolean
    ) GROUP BY t, n
), found AS (
    SELECT t, n, wanted.outcome, wanted.token, keeps, open && places AS was_open, ARRAY(
        SELECT place FROM unnest(open) AS place WHERE place <> ALL (places)
    ) AS left_open
    FROM custody JOIN wanted ON accepted_at = t AND number = n
    WHERE accepted_at = ANY(%(times)s::timestamptz[])
        AND (open && places OR coalesce(custody.token, 0) < wanted.token
            OR custody.token = wanted.token AND custody.outcome <> wanted.outcome)
    ORDER BY number FOR UPDATE OF custody
), released AS (
    UPDATE custody SET
        open = left_open,
        released_at = CASE WHEN left_open = '{}' THEN coalesce(released_at, now()) END,
        document = CASE WHEN left_open = '{}' AND NOT keeps THEN NULL ELSE document END,
        outcome = CASE WHEN found.token < custody.token THEN custody.outcome ELSE found.outcome END,
        token = greatest(custody.token, found.token)
    FROM found
    WHERE accepted_at = ANY(%(times)s::timestamptz[]) AND accepted_at = t AND number = n
    RETURNING number, was_open
)
"""
_NUMBERS: LiteralString = "SELECT number FROM released"
RELEASE: LiteralString = f"{RELEASED}{_NUMBERS}"
_CHECKPOINT: LiteralString = """
UPDATE custody SET state = row.state, document = row.document
FROM ROWS FROM (
    jsonb_to_recordset(%(rows)s::jsonb) AS (t timestamptz, n bigint, state jsonb),
    unnest(%(documents)s::bytea[])
) AS row (t, n, state, document)
WHERE accepted_at = ANY(%(times)s::timestamptz[]) AND accepted_at = t AND number = n
    AND released_at IS NULL
"""

ACCEPT = Pipelined(SHARED, INSERT)
_DELETE, _RELEASE, _NOTE = Pipelined(_DROP), Pipelined(RELEASE), Pipelined(_CHECKPOINT)


_ERASE: LiteralString = """
UPDATE custody SET open = '{}', document = NULL, state = NULL, terms = '{}', digest = '',
    released_at = coalesce(released_at, now()),
    outcome = CASE WHEN released_at IS NULL THEN 'deleted' ELSE outcome END
WHERE vcon_uuid = CAST(%(vcon)s AS uuid)
"""


class Custody:
    """Rows of custody. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def accept(self, items: Sequence[NewCustody]) -> list[str]:
        """Insert rows in one statement; their refs, in the order of the items."""
        _, rows = self.database.in_pipeline(ACCEPT, insertion(items))
        return refs_in_order(rows)

    def drop(self, refs: Sequence[str]) -> None:
        """Delete rows of requests that were refused after all, or had nothing to be done."""
        keys = [key_of(ref) for ref in refs]
        times, numbers = [time for time, _ in keys], [number for _, number in keys]
        self.database.in_pipeline(_DELETE, {"times": times, "numbers": numbers})

    def release(self, releases: Sequence[Release]) -> None:
        """End the custody of places; those that have been released before stay as they are."""
        self.database.in_pipeline(_RELEASE, releasing(releases))

    def erase(self, vcon_uuid: str) -> None:
        """End the custody of a vCon in all places; no row keeps anything of what it says."""
        self.database.at_once(_ERASE, {"vcon": vcon_uuid})

    def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Note where runs continue."""
        rows = [
            {"t": time.isoformat(), "n": number, "state": each.state}
            for each in checkpoints
            for time, number in [key_of(each.ref)]
        ]
        parameters = {
            "rows": storable_json(rows).decode(),
            "documents": [each.document for each in checkpoints],
            "times": [key_of(each.ref)[0] for each in checkpoints],
        }
        self.database.in_pipeline(_NOTE, parameters)


def insertion(items: Sequence[NewCustody]) -> dict[str, Any]:
    """The parameters of `INSERT`."""
    return {
        "rows": storable_json([item.columns() for item in items]).decode(),
        "documents": [item.document for item in items],
    }


def refs_in_order(rows: Iterable[Row]) -> list[str]:
    """The refs of inserted rows, in the order of the items."""
    return [ref_of(*row) for row in sorted(rows, key=lambda row: int(row[1]))]


def releasing(releases: Sequence[Release]) -> dict[str, Any]:
    """The parameters of `RELEASE`."""
    keys = [key_of(each.ref) for each in releases]
    rows = [
        {
            "t": time.isoformat(),
            "n": number,
            "place": each.place,
            "outcome": each.outcome,
            "token": each.token,
            "keep": each.keep_document,
        }
        for each, (time, number) in zip(releases, keys, strict=True)
    ]
    times = sorted({time for time, _ in keys})
    return {"releases": storable_json(rows).decode(), "times": times}
