"""Where vCons were given to: of deliveries in the ledger, and of the history of runs beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString, NamedTuple

from sqlalchemy import TextClause, text

from core.db.database import Database

_UNRECORDED: LiteralString = (
    "NOT EXISTS (SELECT FROM law_deliveries AS known WHERE known.run_id = run.run_id)"
)
"""Of a chain without custody: the history of runs has what the ledger does not."""
DELIVERED_TO: LiteralString = """
SELECT vcon_uuid, kind, name FROM law_deliveries WHERE vcon_uuid = ANY (%(vcons)s::uuid[])
"""
RAN_AT: LiteralString = f"""
SELECT vcon AS vcon_uuid, step ->> 'kind' AS kind, step ->> 'name' AS name
FROM chain_runs AS run, unnest(ARRAY[vcon_in, vcon_out]) AS vcon,
    jsonb_array_elements(CASE jsonb_typeof(steps) WHEN 'array' THEN steps END) AS step
WHERE (vcon_in = ANY (%(vcons)s::uuid[]) OR vcon_out = ANY (%(vcons)s::uuid[]))
    AND vcon = ANY (%(vcons)s::uuid[]) AND step ->> 'outcome' <> 'withheld' AND step ? 'name'
    AND (step ->> 'kind' = 'link' OR step ->> 'kind' = 'storage' AND vcon = vcon_out)
    AND {_UNRECORDED}
"""  # noqa: S608 -- constant texts
_PLACES: LiteralString = f"""
SELECT CAST(vcon_uuid AS text), kind, name FROM ({DELIVERED_TO} UNION {RAN_AT}) AS place
ORDER BY vcon_uuid, kind, name
"""  # noqa: S608 -- constant texts
_PASSED = text(f"""
SELECT CAST(vcon_out AS text), chain, count(*) FROM chain_runs AS run
WHERE vcon_out = ANY (CAST(:vcons AS uuid[])) AND status IN ('done', 'partial') AND {_UNRECORDED}
GROUP BY vcon_out, chain
""")  # noqa: S608 -- constant texts
_HANDED_ON = text("""
SELECT CAST(vcon_uuid AS text), name, count(*) FROM law_deliveries
WHERE vcon_uuid = ANY (CAST(:vcons AS uuid[])) AND kind = 'egress' GROUP BY vcon_uuid, name
""")
_KNOWN = text("""
SELECT CAST(sought AS text) FROM unnest(CAST(:vcons AS uuid[])) AS sought
WHERE EXISTS (SELECT FROM law_deliveries WHERE vcon_uuid = sought)
    OR EXISTS (SELECT FROM law_versions WHERE vcon_uuid = sought)
    OR EXISTS (SELECT FROM custody WHERE vcon_uuid = sought)
    OR EXISTS (SELECT FROM chain_runs WHERE vcon_in = sought)
    OR EXISTS (SELECT FROM chain_runs WHERE vcon_out = sought)
""")
_HISTORY_FROM = text("SELECT min(finished_at) FROM chain_runs")


@dataclass(frozen=True, slots=True)
class NewTarget:
    """A destination that has a vCon, or may have it."""

    vcon_uuid: str
    kind: str
    name: str


class Passed(NamedTuple):
    """How often a vCon has come to the end of a chain, or was put into a list."""

    vcon_uuid: str
    name: str
    times: int


class PlaceRows:
    """Reads them. Every method blocks, and raises `UnavailableError` without Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def places(self, vcon_uuids: Sequence[str]) -> list[NewTarget]:
        """The destinations of deliveries and runs, as `ErasureRows.begin` notes them."""
        words = {"vcons": list(vcon_uuids)}
        with self._database.session() as session:
            rows = session.connection().exec_driver_sql(_PLACES, words)
            return [NewTarget(*row) for row in rows]

    def known(self, vcon_uuids: Sequence[str]) -> list[str]:
        """Those that have a delivery, a version, a row of custody or a run."""
        with self._database.session() as session:
            return list(session.scalars(_KNOWN, {"vcons": list(vcon_uuids)}))

    def passed(self, vcon_uuids: Sequence[str]) -> list[Passed]:
        """Which of these have come to the end of which chain, as far as the ledger has no run."""
        return self._counted(_PASSED, vcon_uuids)

    def handed_on(self, vcon_uuids: Sequence[str]) -> list[Passed]:
        """Which of these were given to which egress lists, as far as the ledger has it."""
        return self._counted(_HANDED_ON, vcon_uuids)

    def history_from(self) -> datetime | None:
        """The end of the oldest run of the history; None if it has none."""
        with self._database.session() as session:
            found: datetime | None = session.execute(_HISTORY_FROM).scalar_one()
            return found

    def _counted(self, statement: TextClause, vcon_uuids: Sequence[str]) -> list[Passed]:
        with self._database.session() as session:
            rows = session.execute(statement, {"vcons": list(vcon_uuids)})
            return [Passed(*row) for row in rows]
