"""Reads custody for a recovery: what is open, what is settled, and what is remembered.

Each function works in the transaction of one step of the recovery.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from core.observability.storable_text import storable_json

type Key = tuple[datetime, int]
"""The primary key of a row."""

_COLUMNS = """accepted_at, number, vcon_uuid, lists, run_id, digest, created_at, terms, received,
    owner, state, octet_length(document)"""
# A place counts unless a later row has it, too. A dead-letter list has a reason, and so a row, for
# each list that the vCon failed in; one that a later row replays does not count, either. A row that
# was left over by a repeated request is void as well: the run of the same content has ended while
# Redis still knew the vCon. Only rows of requests that brought a vCon in have neither state nor
# run.
#
# The history is asked, too: an earlier version, or a worker with CUSTODY=redis, ends a run without
# a release. A run that began (at its last attempt) after the row was committed had the vCon of the
# row. `started_at` is of the worker's clock and `accepted_at` of Postgres', and they may differ: a
# run that seems to have begun up to 0.1 s before the row counts. If an earlier row may be that of
# the run, only one that began a minute after the row does. In doubt the vCon is run again. A run
# whose token another row has has released what it was of. Failed and partial ones do not count:
# their dead letters would be in Redis alone. Dead letters, and lists that no chain reads, end
# without a run. The day of a run's id, or that of ids that tell none, leaves out most partitions.
_HAS_RUN = """
SELECT FROM chain_runs AS run
WHERE run.vcon_in = row.vcon_uuid AND run.status IN ('done', 'halted', 'cancelled')
    AND run.finished_at IS NOT NULL AND (
        run.recorded_on >= CAST(row.accepted_at AT TIME ZONE 'UTC' AS date) - 1
        OR run.recorded_on = DATE '1970-01-01'
    ) AND (
        place = 'run:' || run.chain || '|' || run.run_id
        OR run.ingress_list = place AND place NOT LIKE 'DLQ:%'
        AND (run.run_id IS DISTINCT FROM row.run_id OR row.state IS NOT NULL)
        AND NOT EXISTS (
            SELECT FROM custody AS other WHERE other.vcon_uuid = row.vcon_uuid
                AND other.number <> row.number AND other.token = run.token
        ) AND coalesce(run.started_at, run.finished_at) > row.accepted_at + CASE WHEN EXISTS (
            SELECT FROM custody AS before WHERE before.vcon_uuid = row.vcon_uuid
                AND before.number < row.number AND place = ANY (before.lists)
                AND coalesce(before.released_at, now()) > row.accepted_at - interval '1 minute'
        ) THEN interval '1 minute' ELSE interval '-0.1 s' END
    )
"""
_OPEN = text(f"""
SELECT {_COLUMNS}, ARRAY(
    SELECT place FROM unnest(row.open) AS place WHERE NOT EXISTS (
        SELECT FROM custody AS later WHERE later.vcon_uuid = row.vcon_uuid
            AND later.number > row.number AND place = ANY (later.lists)
            AND (place NOT LIKE 'DLQ:%' OR later.state #>> '{{reason,list_name}}'
                IS NOT DISTINCT FROM row.state #>> '{{reason,list_name}}')
        OR later.vcon_uuid = row.vcon_uuid AND later.number > row.number AND place LIKE 'DLQ:%'
            AND jsonb_exists(later.state #> '{{replays,letters}}', place)
            AND later.state #>> '{{replays,list_name}}'
                IS NOT DISTINCT FROM row.state #>> '{{reason,list_name}}'
    ) AND (row.state IS NOT NULL OR row.run_id IS NOT NULL OR NOT EXISTS (
        SELECT FROM (
            SELECT * FROM custody AS before WHERE before.vcon_uuid = row.vcon_uuid
                AND before.number < row.number AND place = ANY (before.lists)
            ORDER BY before.number DESC LIMIT 1
        ) AS before
        WHERE before.digest = row.digest AND before.token IS NOT NULL
            AND place <> ALL (before.open) AND before.outcome IN ('done', 'halted', 'partial')
            AND coalesce(before.released_at, now())
                > row.accepted_at - make_interval(secs => :expiry)
    )) AND NOT EXISTS ({_HAS_RUN})
)
FROM custody AS row
WHERE released_at IS NULL AND (accepted_at, number) > (:time, :number) AND number <= :last
ORDER BY accepted_at, number LIMIT :limit FOR UPDATE
""")  # noqa: S608 -- constant columns
_KEPT = text(f"""
SELECT {_COLUMNS}, ARRAY['']
FROM custody AS row
WHERE released_at IS NOT NULL AND document IS NOT NULL AND number <= :last
    AND (accepted_at, number) > (:time, :number) AND NOT EXISTS (
        SELECT FROM custody AS later
        WHERE later.vcon_uuid = row.vcon_uuid AND later.number > row.number
    )
ORDER BY accepted_at, number LIMIT :limit FOR UPDATE
""")  # noqa: S608 -- constant columns
_DOCUMENTS = text("""
SELECT number, document FROM custody
WHERE accepted_at = ANY (CAST(:times AS timestamptz[])) AND number = ANY (:numbers)
""")
_REMEMBERED = text("""
SELECT accepted_at, number, keys, 86400 - extract(epoch FROM now() - accepted_at)::integer
FROM custody
WHERE keys IS NOT NULL AND accepted_at > now() - interval '1 day' AND number <= :last
    AND (accepted_at, number) > (:time, :number)
ORDER BY accepted_at, number LIMIT :limit
""")
_NAMED_REFS = text("""
SELECT row.n, row.place, place = ANY (open), document IS NOT NULL
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (t timestamptz, n bigint, place text)
JOIN custody ON accepted_at = t AND number = n
WHERE accepted_at = ANY (CAST(:times AS timestamptz[]))
""")
_ENDED = text("""
SELECT run_id FROM chain_runs
WHERE run_id = ANY (CAST(:runs AS uuid[])) AND recorded_on = ANY (CAST(:days AS date[]))
    AND status NOT IN ('queued', 'running')
""")
_RUN_SINCE = text("""
SELECT DISTINCT vcon_in, ingress_list FROM chain_runs
WHERE vcon_in = ANY (CAST(:vcons AS uuid[])) AND token > :token
    AND status NOT IN ('queued', 'running')
""")
# A later recovery may have left a row out; its event is the last thing that it writes.
_UNTOUCHED = text("""
SELECT accepted_at, number, CAST(vcon_uuid AS text), lists FROM custody AS row
WHERE released_at IS NULL AND (accepted_at, number) > (:time, :number)
    AND accepted_at < now() - make_interval(secs => :age)
    AND accepted_at > now() - interval '7 days'
    AND accepted_at > (
        SELECT coalesce(max(at), '-infinity') FROM audit_events WHERE action = 'recover'
    )
    AND run_id IS NULL AND state IS NULL AND token IS NULL AND lists = open AND lists <> '{}'
    AND NOT EXISTS (
        SELECT FROM unnest(lists) AS place
        WHERE place = '' OR place LIKE 'DLQ:%' OR place LIKE 'run:%'
    )
ORDER BY accepted_at, number LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_DELETE = text("""
DELETE FROM custody USING unnest(CAST(:times AS timestamptz[]), CAST(:numbers AS bigint[]))
    AS row (t, n)
WHERE accepted_at = ANY (CAST(:times AS timestamptz[])) AND accepted_at = t AND number = n
""")
START: Key = (datetime.fromisoformat("0001-01-02T00:00:00+00:00"), 0)
"""Before all rows."""


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A row without its document; `places` are those for which it counts."""

    accepted_at: datetime
    number: int
    vcon_uuid: UUID
    lists: Sequence[str]
    run_id: UUID | None
    digest: str
    created_at: float
    terms: Sequence[str]
    received: str
    owner: str | None
    state: Mapping[str, Any] | None
    size: int | None
    """Bytes of its document; None if it has none."""
    places: Sequence[str]

    @property
    def key(self) -> Key:
        """Its primary key."""
        return self.accepted_at, self.number


@dataclass(frozen=True, slots=True)
class Untouched:
    """A row of a request that no run has touched."""

    key: Key
    vcon: str
    lists: Sequence[str]


def _page(after: Key, last: int, limit: int) -> dict[str, Any]:
    return {"time": after[0], "number": after[1], "last": last, "limit": limit}


def open_rows(
    session: Session, after: Key, last: int, limit: int, expiry: int
) -> Sequence[KeptRow]:
    """Open rows up to the number `last`, locked: their release waits for this transaction.

    `expiry`: seconds for which Redis knows a vCon after its end.
    """
    found = session.execute(_OPEN, _page(after, last, limit) | {"expiry": expiry})
    return [KeptRow(*row) for row in found]


def kept_rows(session: Session, after: Key, last: int, limit: int) -> Sequence[KeptRow]:
    """Released rows that have kept their document, such as of halted runs."""
    return [KeptRow(*row) for row in session.execute(_KEPT, _page(after, last, limit))]


def documents(session: Session, rows: Iterable[KeptRow]) -> dict[int, bytes]:
    """The documents of rows, by the number of the row."""
    keys = [row.key for row in rows]
    values = {"times": [time for time, _ in keys], "numbers": [number for _, number in keys]}
    return {number: bytes(document) for number, document in session.execute(_DOCUMENTS, values)}


def remembered_keys(
    session: Session, after: Key, last: int, limit: int
) -> Sequence[tuple[Key, Mapping[str, str], int]]:
    """Idempotency keys of the last day, with the seconds that are left of their day."""
    found = session.execute(_REMEMBERED, _page(after, last, limit))
    return [((time, number), keys, left) for time, number, keys, left in found]


def open_places(
    session: Session, refs: Iterable[tuple[datetime, int, str]]
) -> tuple[set[tuple[int, str]], set[int]]:
    """Those of these rows and places that are open, and the rows that have a document."""
    wanted = list(refs)
    rows = [{"t": time.isoformat(), "n": number, "place": place} for time, number, place in wanted]
    values = {
        "rows": storable_json(rows).decode(),
        "times": sorted({time for time, _, _ in wanted}),
    }
    found = session.execute(_NAMED_REFS, values).all()
    are_open = {(number, place) for number, place, is_open, _ in found if is_open}
    return are_open, {number for number, _, _, has_document in found if has_document}


def ended_runs(session: Session, runs: Sequence[str], days: Sequence[str]) -> set[str]:
    """Those of these runs that have ended; `days` are those of their ids."""
    values = {"runs": list(runs), "days": sorted(set(days))}
    return {str(run) for (run,) in session.execute(_ENDED, values)}


def runs_since(session: Session, vcons: Sequence[str], token: int) -> set[tuple[str, str]]:
    """The vCons and lists of which a run ended under a higher fencing token."""
    values = {"vcons": list(vcons), "token": token}
    return {(str(vcon), name or "") for vcon, name in session.execute(_RUN_SINCE, values)}


def untouched_rows(session: Session, after: Key, age: int, limit: int) -> list[Untouched]:
    """Rows of requests of the last week, open in all lists, older than so many seconds; locked.

    Those of before the last recovery are left out.
    """
    values = {"time": after[0], "number": after[1], "age": age, "limit": limit}
    found = session.execute(_UNTOUCHED, values)
    return [Untouched((time, number), vcon, lists) for time, number, vcon, lists in found]


def delete_rows(session: Session, rows: Sequence[Key]) -> None:
    """Delete rows."""
    if rows:
        values = {"times": [time for time, _ in rows], "numbers": [number for _, number in rows]}
        session.execute(_DELETE, values)
