"""The ends of runs in one transaction: their history, what custody releases, what follows.

A run that ends leaves rows for the lists that get its vCon then: egress lists and dead-letter
lists. They are written only if the run releases what it was accepted by, or nothing is left of that
and the run has none yet. So a worker that has lost
its claim, or a batch that is written twice, leaves none.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from core.db.custody import RELEASED, SHARED, NewCustody, Release, key_of, ref_of, releasing
from core.db.database import Database, Row
from core.db.driver.pipelined import Pipelined
from core.db.law.endings import ENDINGS, endings, write_endings
from core.db.runs import WRITE_RUNS, write_runs, written
from core.errors import InvalidError
from core.observability.storable_text import storable_json

_CAUSED = ("failed", "partial")


@dataclass(frozen=True, slots=True)
class SettledRun:
    """The end of one run. Each of `follow_ups` is for one place, and has the id of the run.

    `generation`: that of the Redis that has the claim; None if it does not matter.
    """

    run: Mapping[str, Any]
    token: int
    releases: Sequence[Release]
    follow_ups: Sequence[NewCustody] = ()
    generation: int | None = None


class StaleGenerationError(Exception):
    """Recovery has approved another Redis since the claim was known to be held."""


_ADDED: LiteralString = """
, added AS (
    INSERT INTO custody (
        vcon_uuid, lists, open, digest, created_at, terms, received, owner, run_id, keys, state,
        document, token
    )
    SELECT vcon_uuid, lists, lists, digest, created_at, terms, received, owner, run_id, keys, state,
        document, token
    FROM ROWS FROM (
        jsonb_to_recordset(%(rows)s::jsonb) AS (
            vcon_uuid uuid, lists text[], digest text, created_at double precision, terms text[],
            received text, owner text, run_id uuid, keys jsonb, state jsonb, token bigint,
            after bigint[]
        ),
        unnest(%(documents)s::bytea[])
    ) AS row (
        vcon_uuid, lists, digest, created_at, terms, received, owner, run_id, keys, state, token,
        after, document
    )
    WHERE after = '{}' OR EXISTS (SELECT FROM released WHERE number = ANY (after)) OR NOT EXISTS (
        SELECT FROM custody AS known WHERE accepted_at = ANY(%(times)s::timestamptz[])
            AND number = ANY (after)
    ) AND NOT EXISTS (
        SELECT FROM custody AS known WHERE known.vcon_uuid = row.vcon_uuid
            AND known.run_id = row.run_id AND known.token >= row.token
    )
    RETURNING accepted_at, number, vcon_uuid, lists[1] AS place, run_id
)
SELECT accepted_at, number, vcon_uuid, place, run_id,
    coalesce((SELECT generation FROM redis_identity), 0)
FROM added
UNION ALL SELECT NULL, number, NULL, NULL, NULL, 0 FROM released WHERE NOT was_open
"""
_SETTLE: LiteralString = f"{RELEASED}{_ADDED}"
# Another generation ends the transaction, by a cast of a text that is no number: a batch is written
# as a whole. Postgres repeats the text in its message, whose language depends on the server.
_FENCED = "another generation"
_FENCE: LiteralString = """
SELECT CASE WHEN coalesce((SELECT generation FROM redis_identity), 0)
    = ALL (%(generations)s::bigint[]) THEN 1
    ELSE CAST(concat('another generation', (SELECT generation FROM redis_identity)) AS integer) END
"""
_STATEMENTS = SHARED, _FENCE, WRITE_RUNS, _SETTLE
_BOTH, _WITH_LEDGER = Pipelined(*_STATEMENTS), Pipelined(*_STATEMENTS, *ENDINGS)
# Rows that an earlier attempt, or an end that Redis has refused, has left.
_SUPERSEDE: LiteralString = """
UPDATE custody SET open = '{}', document = NULL, released_at = now(), outcome = 'superseded'
FROM jsonb_to_recordset(%(runs)s::jsonb) AS run (run_id uuid, vcons uuid[], token bigint)
WHERE vcon_uuid = ANY (vcons) AND custody.run_id = run.run_id AND custody.token <= run.token
    AND number <> ALL (%(added)s::bigint[]) AND released_at IS NULL
"""
_FIND: LiteralString = """
SELECT accepted_at, number, vcon_uuid, lists[1], custody.run_id,
    coalesce((SELECT generation FROM redis_identity), 0)
FROM custody JOIN jsonb_to_recordset(%(runs)s::jsonb) AS run (
    run_id uuid, vcons uuid[], token bigint
) ON vcon_uuid = ANY (vcons) AND custody.run_id = run.run_id AND custody.token = run.token
WHERE released_at IS NULL
"""

type FollowUps = Mapping[tuple[str, str], str]
"""The rows that were added: by vCon and place their refs."""


class Settlements:
    """Writes the ends of runs. The method blocks: call it in a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, settlements: Sequence[SettledRun]) -> list[FollowUps]:
        """Write them all or none; what was added for each. May be repeated.

        Raises:
            UnavailableError: Postgres cannot be reached or is not migrated.
            InvalidError: a value does not fit.
            StaleGenerationError: one of them has another generation than Redis now.
        """
        try:
            rows = self._written(settlements)
        except InvalidError as error:
            if _FENCED in str(error):
                raise StaleGenerationError from None
            raise
        again = {number for at, number, *_ in rows if at is None}
        added = [row for row in rows if row[0] is not None]
        self._supersede(settlements, again, [number for _, number, *_ in added])
        return self._with_earlier(settlements, _by_run(settlements, added))

    def _written(self, settlements: Sequence[SettledRun]) -> Sequence[Row]:
        runs = [{**each.run, "token": each.token} for each in settlements]
        parameters = _parameters(settlements)
        if any(run["status"] in _CAUSED for run in runs):
            with self._database.transaction() as session:
                session.connection().exec_driver_sql(SHARED)
                session.connection().exec_driver_sql(_FENCE, parameters)
                write_runs(session, runs)
                found = session.connection().exec_driver_sql(_SETTLE, parameters)
                rows: Sequence[Row] = [tuple(row) for row in found]
                write_endings(session, runs)
                return rows
        ended = endings(runs)
        statements = _BOTH if ended is None else _WITH_LEDGER
        parameters |= written(runs) | (ended or {})
        return self._database.in_pipeline(statements, parameters)[len(_STATEMENTS) - 1]

    def _supersede(
        self, settlements: Sequence[SettledRun], again: Set[int], added: Sequence[int]
    ) -> None:
        """Release what is left of ends that these ones have replaced."""
        if replacing := [each for each in settlements if not again.isdisjoint(_numbers(each))]:
            self._database.at_once(_SUPERSEDE, {"runs": _named(replacing), "added": added})

    def _with_earlier(
        self, settlements: Sequence[SettledRun], found: list[FollowUps]
    ) -> list[FollowUps]:
        """What was added, or was by an earlier call with the same run."""
        pairs = zip(settlements, found, strict=True)
        if not (missing := [each for each, added in pairs if each.follow_ups and not added]):
            return found
        [rows] = self._database.at_once(_FIND, {"runs": _named(missing)})
        earlier = _by_run(settlements, rows)
        return [added or before for added, before in zip(found, earlier, strict=True)]


def _named(settlements: Sequence[SettledRun]) -> str:
    """The runs as these statements name them."""
    runs = [
        {
            "run_id": each.run["run_id"],
            "vcons": [each.run["vcon_in"], each.run["vcon_out"]],
            "token": each.token,
        }
        for each in settlements
    ]
    return storable_json(runs).decode()


def _numbers(settlement: SettledRun) -> list[int]:
    return [key_of(each.ref)[1] for each in settlement.releases]


def _parameters(settlements: Sequence[SettledRun]) -> dict[str, Any]:
    follow_ups = [(row, each) for each in settlements for row in each.follow_ups]
    rows = [
        {**row.columns(), "token": each.token, "after": _numbers(each)} for row, each in follow_ups
    ]
    return {
        **releasing([release for each in settlements for release in each.releases]),
        "generations": list({each.generation for each in settlements} - {None}),
        "rows": storable_json(rows).decode(),
        "documents": [row.document for row, _ in follow_ups],
    }


def _by_run(settlements: Sequence[SettledRun], rows: Sequence[Row]) -> list[FollowUps]:
    added: dict[str, dict[tuple[str, str], str]] = {}
    for at, number, vcon_uuid, place, run_id, generation in rows:
        added.setdefault(str(run_id), {})[str(vcon_uuid), place] = ref_of(at, number, generation)
    return [added.get(str(UUID(each.run["run_id"])), {}) for each in settlements]
