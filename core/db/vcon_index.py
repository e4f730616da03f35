"""The index of vCons in Postgres: by whom a vCon can be found, and which storages have it.

Written with the history of runs, in the same transaction (`core.db.runs`). Rows outlive the runs:
they go with the vCon. A row whose vCon was erased stays for a while without its terms: a replica
that still writes an older note about the vCon must not bring it back.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from core.db.database import Database
from core.db.failure_causes import forget_example, forget_messages
from core.errors import UnavailableError
from core.observability.storable_text import storable_json
from schemas.stored_vcon import StoredVcon

MOST_TERMS = 1000
"""Terms of one row: a vCon that is replaced keeps the earlier ones too, until there are so many."""


@dataclass(slots=True)
class IndexChange:
    """What one batch of notes says about a vCon.

    `at`: the time of the last note. `created_at` is None where the notes do not say it. `removed`:
    storages that no longer have it; `gone`: neither has Redis.
    """

    vcon_uuid: str
    at: datetime
    created_at: datetime | None = None
    terms: list[str] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)
    storages: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    gone: bool = False


# Sorted by the key, so two replicas that write the same rows do not deadlock. They may where each
# also removes rows that the other writes: one of the two batches is then tried again. A date of
# creation that is not known is the time of the note; it does not replace one that is known. A batch
# that is repeated after a newer one does not bring back storages that were removed since.
_WRITE = text("""
INSERT INTO vcon_index AS known (vcon_uuid, created_at, terms, chains, storages, updated_at)
SELECT vcon_uuid, coalesce(created_at, at), terms, chains, storages, at
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (vcon_uuid uuid, created_at timestamptz,
    terms text[], chains text[], storages text[], at timestamptz)
ORDER BY vcon_uuid
ON CONFLICT (vcon_uuid) DO UPDATE SET
    created_at = CASE WHEN excluded.created_at = excluded.updated_at THEN known.created_at
        ELSE excluded.created_at END,
    terms = CASE WHEN cardinality(known.terms) > :most THEN excluded.terms
        ELSE ARRAY(SELECT DISTINCT unnest(known.terms || excluded.terms)) END,
    chains = ARRAY(SELECT DISTINCT unnest(known.chains || excluded.chains)),
    storages = CASE WHEN excluded.updated_at < known.updated_at THEN known.storages
        ELSE ARRAY(SELECT DISTINCT unnest(known.storages || excluded.storages)) END,
    updated_at = greatest(known.updated_at, excluded.updated_at), erased_at = NULL
WHERE known.erased_at IS NULL OR known.erased_at < excluded.updated_at
""")

_REMOVE = text("""
UPDATE vcon_index AS known SET storages = left_over, updated_at = at,
    terms = CASE WHEN over THEN '{}' ELSE terms END,
    chains = CASE WHEN over THEN '{}' ELSE chains END,
    erased_at = CASE WHEN over THEN at ELSE erased_at END
FROM (
    SELECT vcon_uuid, at, left_over, gone AND left_over = '{}' AS over
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (
        vcon_uuid uuid, removed text[], gone boolean, at timestamptz
    ) JOIN vcon_index USING (vcon_uuid),
    LATERAL (
        SELECT ARRAY(SELECT unnest(storages) EXCEPT SELECT unnest(removed))
    ) AS rest (left_over)
    ORDER BY vcon_uuid
) AS change
WHERE known.vcon_uuid = change.vcon_uuid AND known.erased_at IS NULL AND known.updated_at <= at
""")

# In force also if the clocks differ: notes from before the newest one that is known have no effect.
_ERASE = text("""
INSERT INTO vcon_index AS known
    (vcon_uuid, created_at, terms, chains, storages, updated_at, erased_at)
VALUES (:vcon_uuid, :at, '{}', '{}', '{}', :at, :at)
ON CONFLICT (vcon_uuid) DO UPDATE SET terms = '{}', chains = '{}', storages = '{}',
    updated_at = greatest(known.updated_at, excluded.updated_at),
    erased_at = greatest(known.updated_at, excluded.erased_at)
""")

# Two ways to a page: all vCons of the terms by the GIN index, then sorted; or all vCons by time,
# and those of the terms picked out. The first is fast for a person, the second for a number that
# nearly every vCon has. Postgres cannot estimate how rare a term is (it expects 1 % of the rows),
# so the first is tried for a short time. A page without a cursor begins before all rows: no time is
# later than infinity.
_FIND = """
WITH hits AS {how} (
    SELECT * FROM vcon_index WHERE terms && CAST(:terms AS text[])
    AND (created_at, vcon_uuid) < (CAST(:created_at AS timestamptz), CAST(:vcon_uuid AS uuid))
)
SELECT to_jsonb(page) FROM (
    SELECT * FROM hits ORDER BY created_at DESC, vcon_uuid DESC LIMIT :limit
) AS page ORDER BY created_at DESC, vcon_uuid DESC
"""
_FIND_RARE = text(_FIND.format(how="MATERIALIZED"))
_FIND_FREQUENT = text(_FIND.format(how="NOT MATERIALIZED"))
_RARE_MILLISECONDS = text("SET LOCAL statement_timeout = 2000")
_FIRST: tuple[datetime | str, UUID] = ("infinity", UUID(int=0))

_GET = text("""
SELECT to_jsonb(known) FROM vcon_index AS known
WHERE vcon_uuid = ANY(CAST(:uuids AS uuid[])) AND erased_at IS NULL
""")

_PRUNE = text("""
DELETE FROM vcon_index WHERE vcon_uuid IN (
    SELECT vcon_uuid FROM vcon_index
    WHERE storages = '{}' AND updated_at < now() - make_interval(days => :days)
    LIMIT :batch FOR UPDATE SKIP LOCKED
)
""")

_FAILED = text("""
SELECT jsonb_build_object(
    'status', status, 'steps', steps, 'error', error, 'config_hash', config_hash
) FROM chain_runs
WHERE (vcon_in = ANY(CAST(:uuids AS uuid[])) OR vcon_out = ANY(CAST(:uuids AS uuid[])))
    AND status <> 'done'
""")

# Errors of plugins may repeat what a document says. The type, before the colon, stays; a text that
# does not begin with a type goes as a whole.
_SCRUB = text("""
UPDATE chain_runs SET
    error = CASE WHEN error IS NULL THEN NULL
        ELSE coalesce(substring(error FROM :type), 'error') || :erased END,
    steps = (
        SELECT coalesce(jsonb_agg(CASE WHEN jsonb_typeof(step -> 'error') = 'string'
            THEN jsonb_set(
                step, '{error}',
                to_jsonb(coalesce(substring(step ->> 'error' FROM :type), 'error') || :erased)
            )
            ELSE step END ORDER BY place), '[]')
        FROM jsonb_array_elements(steps) WITH ORDINALITY AS each (step, place)
    )
WHERE vcon_in = ANY(CAST(:uuids AS uuid[])) OR vcon_out = ANY(CAST(:uuids AS uuid[]))
RETURNING CAST(run_id AS text)
""")
_ERASED_TEXT = ": erased"
_TYPE = "^[A-Za-z_][A-Za-z0-9_.]*(?=:|$)"

_MADE_FROM = text("""
SELECT CAST(vcon_out AS text), CAST(vcon_in AS text) FROM chain_runs
WHERE vcon_in = ANY(CAST(:uuids AS uuid[])) AND vcon_out <> vcon_in
UNION SELECT CAST(vcon_uuid AS text), CAST(prior AS text) FROM law_versions
WHERE prior = ANY(CAST(:uuids AS uuid[]))
ORDER BY 1, 2 LIMIT :limit OFFSET :after
""")

_SECRET = "vcon_index"  # noqa: S105 -- the name of the row; with a fingerprint behind it others
_KEEP = text("""
INSERT INTO service_secrets (name, value, created_at)
VALUES (:name, :value, now()) ON CONFLICT DO NOTHING
""")
_KEPT = text("""
SELECT name, value FROM service_secrets WHERE name = :name OR starts_with(name, :name || ':')
""")


def write_changes(session: Session, changes: Sequence[IndexChange]) -> None:
    """Write what notes say, as part of the session's transaction; harmless to repeat."""
    stored = [each for each in changes if each.chains or each.storages or each.terms]
    removed = [each for each in changes if each.gone or each.removed]
    if stored:
        session.execute(
            _WRITE, {"rows": storable_json(_plain(stored)).decode(), "most": MOST_TERMS}
        )
    if removed:
        session.execute(_REMOVE, {"rows": storable_json(_plain(removed)).decode()})


def _plain(changes: Sequence[IndexChange]) -> Any:
    return orjson.loads(orjson.dumps(changes))


class VconIndexRows:
    """The index as rows. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(
        self, terms: Sequence[str], limit: int, after: tuple[datetime, UUID] | None = None
    ) -> list[StoredVcon]:
        """Find those with any of these terms, newest first; `after`: the last one seen before."""
        created_at, vcon_uuid = after or _FIRST
        words = {"terms": list(terms), "limit": limit}
        words |= {"created_at": str(created_at), "vcon_uuid": str(vcon_uuid)}
        try:
            with self._database.session() as session:
                session.execute(_RARE_MILLISECONDS)
                return [_stored(row) for row in session.scalars(_FIND_RARE, words)]
        except UnavailableError:  # it took too long, or Postgres is away, which is then tried again
            with self._database.session() as session:
                return [_stored(row) for row in session.scalars(_FIND_FREQUENT, words)]

    def get(self, uuids: Sequence[str]) -> dict[str, StoredVcon]:
        """What is known of these vCons, but for erased ones."""
        with self._database.session() as session:
            found = [_stored(row) for row in session.scalars(_GET, {"uuids": list(uuids)})]
        return {each.uuid: each for each in found}

    def with_terms(self, uuids: Sequence[str], terms: Sequence[str]) -> set[str]:
        """Those of these vCons that `find` would give for the terms."""
        statement = text(
            "SELECT CAST(vcon_uuid AS text) FROM vcon_index"
            " WHERE vcon_uuid = ANY(CAST(:uuids AS uuid[])) AND terms && CAST(:terms AS text[])"
        )
        words = {"uuids": list(uuids), "terms": list(terms)}
        with self._database.session() as session:
            return set(session.scalars(statement, words))

    def write(self, changes: Sequence[IndexChange]) -> None:
        """Write changes in a transaction of their own."""
        with self._database.transaction() as session:
            write_changes(session, changes)

    def erase(self, vcon_uuid: str, at: datetime) -> None:
        """Forget a vCon, and what notes from before `at` say of it, by Redis' clock."""
        with self._database.transaction() as session:
            session.execute(_ERASE, {"vcon_uuid": vcon_uuid, "at": at})
            forget_example(session, vcon_uuid)

    def made_from(self, uuids: Sequence[str], limit: int, after: int) -> list[tuple[str, str]]:
        """A page of the vCons that links put in the place of these, each with one of these."""
        words = {"uuids": list(uuids), "limit": limit, "after": after}
        with self._database.session() as session:
            return [(row[0], row[1]) for row in session.execute(_MADE_FROM, words)]

    def scrub_runs(self, uuids: Sequence[str]) -> list[str]:
        """Remove the texts of errors from the history of these vCons; the ids of their runs."""
        with self._database.transaction() as session:
            for each in uuids:
                forget_example(session, each)
            forget_messages(session, list(session.scalars(_FAILED, {"uuids": list(uuids)})))
            words = {"uuids": list(uuids), "erased": _ERASED_TEXT, "type": _TYPE}
            return list(session.scalars(_SCRUB, words))

    def prune(self, days: int, batch: int = 1000) -> None:
        """Delete rows of vCons that no storage has and of which nothing was heard for so long."""
        while True:
            with self._database.transaction() as session:
                found = session.execute(_PRUNE, {"days": days, "batch": batch})
                if int(getattr(found, "rowcount", 0)) < batch:
                    return

    def secret(self, *, make: bool) -> str | None:
        """The secret of hashed terms that is kept in Postgres; made if there is none and `make`."""
        if make:
            self._keep(_SECRET, secrets.token_urlsafe(32))
        return self._kept().get(_SECRET)

    def register(self, fingerprint: str) -> None:
        """Remember that rows are written with the secret that has this fingerprint."""
        self._keep(f"{_SECRET}:{fingerprint}", "")

    def fingerprints(self) -> set[str]:
        """The fingerprints of all secrets that rows may be written with."""
        names = (name.partition(":")[2] for name in self._kept())
        return {name for name in names if name}

    def _keep(self, name: str, value: str) -> None:
        with self._database.transaction() as session:
            session.execute(_KEEP, {"name": name, "value": value})

    def _kept(self) -> dict[str, str]:
        with self._database.session() as session:
            return dict(tuple(row) for row in session.execute(_KEPT, {"name": _SECRET}))


def _stored(row: Any) -> StoredVcon:
    return StoredVcon.model_validate({**row, "uuid": row["vcon_uuid"]})
