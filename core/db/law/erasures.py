"""Erasures, their destinations and tombstones in Postgres.

Theory. `begin` commits, in one transaction, the tombstones and every destination that a vCon was
ever given to. It locks the salts of the vCons after the tombstones are inserted, and reads the
deliveries after that (`deliveries.py`): no delivery can be added afterwards. From then on each
step is repeatable, so a replica that is killed leaves an erasure that the next one continues.

One replica works on an erasure at a time: `take` puts its next time so many seconds ahead, and so
does each write. Two may all the same, where one is slow or an answer wakes it: a destination is
written over what was read of it only (`changed_at`), and so is the erasure (`updated_at`, which
answers, holds and additions change), so what one of them has seen too late counts for nothing. An
erasure ends once, with its events, in the transaction of `end`.

Tombstones have numbers without an order of their own but that of their commits: the table is
locked while they are given. Redis is told of them by number (`pipeline/erasure/tombstones.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString

from sqlalchemy import text
from sqlalchemy.orm import Session

from core.db.database import Database
from core.db.law.chain import NewEvent, write_events
from core.db.law.deliveries import ADD_SALTS, LOCK_SALTS, salts_for
from core.db.law.places import DELIVERED_TO, RAN_AT, NewTarget
from core.observability.storable_text import storable_json

_REQUEST = text("""
INSERT INTO law_erasures (id, subject, vcons, party, state, hold, suppress, due_at, actor, ref,
    progress)
VALUES (CAST(:id AS uuid), :subject, CAST(:vcons AS uuid[]), :party,
    CASE WHEN CAST(:hold AS text) IS NULL THEN 'requested' ELSE 'held' END, :hold, :suppress,
    CASE WHEN CAST(:hold AS text) IS NULL THEN now() END, :actor, :ref,
    jsonb_build_object('sought', CAST(:sought AS text[]), 'party', CAST(:bases AS text[])))
""")
_OPEN = text("""
SELECT to_jsonb(known) FROM law_erasures AS known
WHERE ended_at IS NULL AND vcons && CAST(:vcons AS uuid[]) ORDER BY requested_at
""")
_LOCK_TOMBSTONES: LiteralString = "LOCK TABLE law_tombstones IN SHARE ROW EXCLUSIVE MODE"
_LAY: LiteralString = """
INSERT INTO law_tombstones (number, vcon_uuid, erasure)
SELECT (SELECT coalesce(max(number), 0) FROM law_tombstones) + item, vcon_uuid, %(erasure)s::uuid
FROM unnest(%(vcons)s::uuid[]) WITH ORDINALITY AS row (vcon_uuid, item)
ON CONFLICT (vcon_uuid) DO NOTHING
"""
_TARGETS: LiteralString = """
INSERT INTO law_erasure_targets (erasure, vcon_uuid, kind, name, state, due_at)
SELECT %(erasure)s::uuid, vcon_uuid, kind, name, 'pending', now()
FROM jsonb_to_recordset(%(targets)s::jsonb) AS row (vcon_uuid uuid, kind text, name text)
ON CONFLICT DO NOTHING
"""
_NOTE_PLACES: LiteralString = """
INSERT INTO law_erasure_targets (erasure, vcon_uuid, kind, name, state, due_at)
SELECT DISTINCT %(erasure)s::uuid, vcon_uuid, kind, name, 'pending', now()
FROM ({}) AS place ON CONFLICT DO NOTHING
"""
_DELIVERED, _RAN = (_NOTE_PLACES.format(each) for each in (DELIVERED_TO, RAN_AT))
_BEGUN: LiteralString = """
UPDATE law_erasures SET updated_at = clock_timestamp(),
    progress = progress - 'sought' || %(progress)s::jsonb,
    state = CASE WHEN state = 'requested' THEN 'running' ELSE state END,
    vcons = ARRAY(SELECT DISTINCT unnest(vcons || %(vcons)s::uuid[]))
WHERE id = %(erasure)s::uuid AND state <> 'held' AND ended_at IS NULL
RETURNING to_jsonb(law_erasures)
"""
_TAKE = text("""
UPDATE law_erasures SET due_at = now() + make_interval(secs => :seconds)
WHERE id = CAST(:id AS uuid) AND ended_at IS NULL AND state <> 'held' AND due_at <= now()
RETURNING to_jsonb(law_erasures)
""")
_DUE: LiteralString = """
SELECT CAST(id AS text) FROM law_erasures
WHERE ended_at IS NULL AND state <> 'held' AND due_at <= now() ORDER BY due_at LIMIT %(limit)s
"""
_SAVE = text("""
UPDATE law_erasure_targets AS known SET state = row.state, attempts = row.attempts,
    due_at = row.due_at, error = row.error, detail = row.detail, tried_at = now(),
    changed_at = CASE WHEN known.state = row.state THEN known.changed_at
        ELSE clock_timestamp() END
FROM jsonb_to_recordset(CAST(:targets AS jsonb)) AS row (vcon_uuid uuid, kind text, name text,
    state text, attempts integer, due_at timestamptz, changed_at timestamptz, error text,
    detail jsonb)
WHERE known.erasure = CAST(:id AS uuid) AND known.vcon_uuid = row.vcon_uuid
    AND known.kind = row.kind AND known.name = row.name AND known.changed_at = row.changed_at
""")
_RENEW = text("""
UPDATE law_erasures SET due_at = now() + make_interval(secs => :seconds)
WHERE id = CAST(:id AS uuid) AND ended_at IS NULL
""")
_CHANGE = text("""
UPDATE law_erasures SET state = :state, due_at = :due_at, updated_at = clock_timestamp()
WHERE id = CAST(:id AS uuid) AND ended_at IS NULL AND updated_at = CAST(:seen AS timestamptz)
RETURNING to_jsonb(law_erasures)
""")
_END = text("""
UPDATE law_erasures SET state = :state, statement = :statement, due_at = NULL, ended_at = :at,
    progress = CASE WHEN statement IS NULL THEN progress ELSE progress || jsonb_build_object(
        'earlier', coalesce(progress -> 'earlier', '[]') || to_jsonb(statement)) END - 'party',
    updated_at = clock_timestamp()
WHERE id = CAST(:id AS uuid) AND ended_at IS NULL AND updated_at = CAST(:seen AS timestamptz)
RETURNING CAST(vcons AS text[])
""")
_TOLD = text("SELECT CAST(vcon_uuid AS text) FROM law_events WHERE about = :about")
_HOLD = text("""
UPDATE law_erasures SET state = 'held', hold = :hold, due_at = NULL, updated_at = now()
WHERE id = CAST(:id AS uuid) AND state IN ('requested', 'held') RETURNING to_jsonb(law_erasures)
""")
_GO_ON = text("""
UPDATE law_erasures SET state = 'requested', hold = NULL, due_at = now(), updated_at = now()
WHERE id = CAST(:id AS uuid) AND state = 'held' RETURNING to_jsonb(law_erasures)
""")
_ANSWER = text("""
UPDATE law_erasure_targets AS target SET state = :state, due_at = NULL, error = NULL,
    changed_at = clock_timestamp()
FROM law_erasures AS known
WHERE known.id = target.erasure AND known.id = CAST(:id AS uuid)
    AND target.kind = :kind AND target.name = :name AND target.state <> :state
    AND target.state IN ('pending', 'told', 'cannot', 'unreachable', 'acknowledged')
    AND (CAST(:vcon AS uuid) IS NULL OR vcon_uuid = CAST(:vcon AS uuid))
RETURNING CAST(vcon_uuid AS text)
""")
_AWAKE = text("""
UPDATE law_erasures SET due_at = now(), updated_at = clock_timestamp(), ended_at = NULL,
    state = CASE WHEN ended_at IS NULL THEN state ELSE 'running' END
WHERE id = CAST(:id AS uuid) AND state <> 'held'
""")
_GET = text("SELECT to_jsonb(known) FROM law_erasures AS known WHERE id = CAST(:id AS uuid)")
_TARGETS_OF = text("""
SELECT to_jsonb(known) FROM law_erasure_targets AS known WHERE erasure = CAST(:id AS uuid)
ORDER BY vcon_uuid, kind, name
""")
_PAGE = text("""
SELECT (to_jsonb(known) - 'statement') #- '{progress,earlier}' FROM law_erasures AS known
WHERE (requested_at, id) < (CAST(:at AS timestamptz), CAST(:id AS uuid))
    AND (NOT :open_only OR ended_at IS NULL)
ORDER BY requested_at DESC, id DESC LIMIT :limit
""")
_COUNTS = text("""
SELECT jsonb_build_object('open', count(*) FILTER (WHERE state <> 'held'),
    'held', count(*) FILTER (WHERE state = 'held'),
    'overdue', count(*) FILTER (WHERE state <> 'held' AND requested_at < :before))
FROM law_erasures WHERE ended_at IS NULL
""")
_TOMBSTONES_OF = text("""
SELECT number, CAST(vcon_uuid AS text), CAST(erasure AS text) FROM law_tombstones
WHERE vcon_uuid = ANY (CAST(:vcons AS uuid[]))
""")
_LATEST: LiteralString = "SELECT coalesce(max(number), 0) FROM law_tombstones"
_AFTER: LiteralString = """
SELECT number, CAST(vcon_uuid AS text), CAST(erasure AS text) FROM law_tombstones
WHERE number > %(after)s ORDER BY number LIMIT %(limit)s
"""

type Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NewErasure:
    """A request; `party`: the keyed hash of the person's value, kept if `suppress`.

    `sought`: every form in which the index has that value, kept until the erasure begins. `bases`:
    every form in which recorded bases have it, kept until it ends.
    """

    id: str
    subject: str
    vcons: Sequence[str]
    actor: str
    ref: str | None = None
    hold: str | None = None
    suppress: bool = False
    party: str | None = None
    sought: Sequence[str] = ()
    bases: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A uuid that is refused, and the erasure that did it."""

    number: int
    vcon_uuid: str
    erasure: str


class ErasureRows:
    """Rows of erasures. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(self, new: NewErasure) -> None:
        """Insert a request."""
        with self._database.transaction() as session:
            lists = {"vcons": list(new.vcons), "sought": list(new.sought), "bases": list(new.bases)}
            session.execute(_REQUEST, asdict(new) | lists)

    def open_of(self, vcon_uuids: Sequence[str]) -> list[Row]:
        """Erasures of one of these vCons that have not ended, the oldest first."""
        return self._rows(_OPEN, vcons=list(vcon_uuids))

    def begin(
        self,
        erasure: str,
        vcon_uuids: Sequence[str],
        targets: Iterable[NewTarget],
        progress: Mapping[str, Any],
    ) -> Row | None:
        """Lay tombstones, and note every destination: given, of deliveries, and of runs.

        `progress`: what the erasure notes of itself, over what it has noted before.

        Returns the erasure, with those of the vCons that it did not have; None, and nothing is
        changed, if it is held or has ended.
        """
        vcons = salts_for(vcon_uuids)
        words = {**vcons, "erasure": erasure, "targets": _json(map(asdict, targets))}
        words["progress"] = storable_json(progress).decode()
        with self._database.transaction() as session:
            execute = session.connection().exec_driver_sql
            row: Row | None = execute(_BEGUN, words).scalar_one_or_none()
            if row is not None:
                for statement in (_LOCK_TOMBSTONES, _LAY, ADD_SALTS, LOCK_SALTS):
                    execute(statement, words)
                for statement in (_DELIVERED, _RAN, _TARGETS):
                    execute(statement, words)
        return row

    def add(self, erasure: str, vcon_uuids: Sequence[str], targets: Iterable[NewTarget]) -> None:
        """Note destinations that became known since: those given, and those of runs."""
        vcons = sorted(vcon_uuids)
        words = {"vcons": vcons, "erasure": erasure, "targets": _json(map(asdict, targets))}
        with self._database.transaction() as session:
            for statement in (_RAN, _TARGETS):
                session.connection().exec_driver_sql(statement, words)

    def tombstones_of(self, vcon_uuids: Sequence[str]) -> list[Tombstone]:
        """Those that are erased, or are being erased."""
        with self._database.session() as session:
            rows = session.execute(_TOMBSTONES_OF, {"vcons": list(vcon_uuids)})
            return [Tombstone(*row) for row in rows]

    def take(self, erasure: str, seconds: float) -> Row | None:
        """The erasure, if it is due and no other replica has taken it; for so many seconds."""
        return next(iter(self._rows(_TAKE, id=erasure, seconds=seconds)), None)

    def due(self, limit: int) -> list[str]:
        """Erasures that are due, the earliest first."""
        [rows] = self._database.at_once(_DUE, {"limit": limit})
        return [str(each) for (each,) in rows]

    def save(self, erasure: str, targets: Iterable[Row], seconds: float) -> None:
        """Write the states of destinations that are as they were read; the erasure stays taken."""
        with self._database.transaction() as session:
            session.execute(_SAVE, {"id": erasure, "targets": _json(targets)})
            session.execute(_RENEW, {"id": erasure, "seconds": seconds})

    def change(self, erasure: str, state: str, due_at: datetime | None, seen: datetime) -> None:
        """Write the state of an erasure and its next time, unless it was changed since `seen`."""
        self._rows(_CHANGE, id=erasure, state=state, due_at=due_at, seen=seen)

    def end(
        self, erasure: str, state: str, statement: str | None, at: datetime, seen: datetime
    ) -> bool:
        """End an erasure, with an event for each of its vCons that has none of it yet.

        The statement before, if there is one, is kept in `progress`. False if it has ended, or was
        changed since `seen`, its `updated_at`.
        """
        with self._database.transaction() as session:
            words = {"id": erasure, "state": state, "statement": statement, "at": at, "seen": seen}
            vcons = session.execute(_END, words).scalar_one_or_none()
            if vcons is None:
                return False
            _write_deleted(session, erasure, vcons)
        return True

    def hold(self, erasure: str, why: str) -> Row | None:
        """Hold an erasure; None if it has begun, or does not exist."""
        return next(iter(self._rows(_HOLD, id=erasure, hold=why)), None)

    def go_on(self, erasure: str) -> Row | None:
        """End the hold; None if the erasure is not held, or does not exist."""
        return next(iter(self._rows(_GO_ON, id=erasure)), None)

    def answer(
        self, erasure: str, kind: str, name: str, state: str, vcon_uuid: str | None = None
    ) -> list[str]:
        """Note what is said about a destination, of all vCons unless one is named; their uuids.

        An erasure that has ended is under way again, until it ends with another statement.
        """
        with self._database.transaction() as session:
            words = {"id": erasure, "kind": kind, "name": name, "state": state, "vcon": vcon_uuid}
            changed = session.scalars(_ANSWER, words).all()
            if changed:
                session.execute(_AWAKE, {"id": erasure})
        return [str(each) for each in changed]

    def get(self, erasure: str) -> Row | None:
        """One erasure."""
        return next(iter(self._rows(_GET, id=erasure)), None)

    def targets(self, erasure: str) -> list[Row]:
        """Its destinations, ordered by vCon, kind and name."""
        return self._rows(_TARGETS_OF, id=erasure)

    def page(self, limit: int, at: str, before: str, *, open_only: bool = False) -> list[Row]:
        """Erasures from before a time and id, newest first, without their statements."""
        return self._rows(_PAGE, limit=limit, at=at, id=before, open_only=open_only)

    def counts(self, before: datetime) -> Row:
        """How many have not ended: `open`, `held`, and of open ones those requested before."""
        found: Row = self._rows(_COUNTS, before=before)[0]
        return found

    def latest_tombstone(self) -> int:
        """The highest number; 0 if there is none."""
        [[(number,)]] = self._database.at_once(_LATEST, {})
        return int(number)

    def tombstones(self, after: int, limit: int) -> list[Tombstone]:
        """Those with a higher number, in order."""
        [rows] = self._database.at_once(_AFTER, {"after": after, "limit": limit})
        return [Tombstone(*row) for row in rows]

    def _rows(self, statement: Any, **words: Any) -> list[Any]:
        with self._database.transaction() as session:
            return list(session.scalars(statement, words))


def _write_deleted(session: Session, erasure: str, vcons: Sequence[str]) -> None:
    about = f"erasure:{erasure}"
    told = set(session.scalars(_TOLD, {"about": about}))
    events = [NewEvent("vcon_deleted", each, about) for each in sorted(vcons) if each not in told]
    write_events(session, events)


def _json(rows: Iterable[Row]) -> str:
    return storable_json(list(rows)).decode()
