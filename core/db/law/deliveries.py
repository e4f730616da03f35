"""Deliveries before their calls, and versions of vCons, as rows.

Theory. A delivery is committed before the call that gives the vCon away, so each destination that
may have it is known, also after a kill. A row is refused for a vCon with a tombstone. The check and
the tombstone are ordered by the row of the vCon's salt: here it is locked FOR KEY SHARE before
tombstones are read, in a statement of its own, whose successor has a later snapshot; the erasure
adds the tombstone, locks the salt FOR UPDATE (`LOCK_SALTS`) and reads the deliveries after that. So
a delivery is either among those that the erasure finds, or refused.

Deliveries get into the chain of events when their run is recorded (`endings.py`), versions at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, LiteralString

from core.db.database import Database
from core.db.driver.pipelined import Pipelined
from core.db.law.chain import CHAIN_LOCK, DELIVERY_DIGEST, VERSION_DIGEST, new_salt
from core.observability.storable_text import storable_json

ADD_SALTS: LiteralString = """
INSERT INTO law_salts (vcon_uuid, salt)
SELECT vcon_uuid, decode(salt, 'hex')
FROM jsonb_to_recordset(%(salts)s::jsonb) AS row (vcon_uuid uuid, salt text) ORDER BY vcon_uuid
ON CONFLICT DO NOTHING
"""
_SHARE: LiteralString = """
SELECT FROM law_salts WHERE vcon_uuid = ANY (%(vcons)s::uuid[]) ORDER BY vcon_uuid FOR KEY SHARE
"""
LOCK_SALTS: LiteralString = """
SELECT FROM law_salts WHERE vcon_uuid = ANY (%(vcons)s::uuid[]) ORDER BY vcon_uuid FOR UPDATE
"""
"""After `ADD_SALTS`, and before deliveries are read: waits for those that are being written."""
COMMITMENT: LiteralString = (
    "coalesce(encode(sha256(salts.salt || decode(row.digest, 'hex')), 'hex'), '')"
)
"""That of a digest in hex; "" once the salt is forgotten."""
ADD_VERSIONS: LiteralString = f"""
WITH added AS (
    INSERT INTO law_versions (
        vcon_uuid, prior, origin, form, chain, run_id, bytes, signers, commitment
    )
    SELECT row.vcon_uuid, prior, origin, form, chain, run_id, bytes, signers, {COMMITMENT}
    FROM jsonb_to_recordset(%(versions)s::jsonb) AS row (
        vcon_uuid uuid, prior uuid, origin text, form text, chain text, run_id uuid, bytes bigint,
        signers text[], digest text
    ) JOIN law_salts AS salts ON salts.vcon_uuid = row.vcon_uuid
    ON CONFLICT DO NOTHING RETURNING *
)
INSERT INTO law_events (event, vcon_uuid, about, digest, commitment)
SELECT CASE origin WHEN 'received' THEN 'vcon_received' WHEN 'amended' THEN 'vcon_created'
        WHEN 'redacted' THEN 'vcon_party_redacted' ELSE 'vcon_enhanced' END,
    vcon_uuid, 'version:' || id, {VERSION_DIGEST}, commitment
FROM added ORDER BY id
"""  # noqa: S608 -- constant texts
"""Documents that the ledger does not have yet, with their events; after `CHAIN_LOCK`."""
# The numbers are given in the order of the items, so that sorted by them they belong to these.
_ADD_DELIVERIES: LiteralString = f"""
INSERT INTO law_deliveries (
    vcon_uuid, kind, name, chain, run_id, attempt, worker, purpose, profile, basis, commitment
)
SELECT row.vcon_uuid, kind, name, chain, run_id, attempt, worker, purpose, profile, basis,
    {COMMITMENT}
FROM jsonb_to_recordset(%(deliveries)s::jsonb) AS row (
    item bigint, vcon_uuid uuid, kind text, name text, chain text, run_id uuid, attempt integer,
    worker text, purpose text, profile text, basis text, digest text
) JOIN law_salts AS salts ON salts.vcon_uuid = row.vcon_uuid
WHERE NOT EXISTS (SELECT FROM law_tombstones AS dead WHERE dead.vcon_uuid = row.vcon_uuid)
ORDER BY item
RETURNING id, vcon_uuid
"""  # noqa: S608 -- constant texts
_OUTCOME: LiteralString = """
UPDATE law_deliveries SET outcome = %(outcome)s::text, error = %(error)s::text, ended_at = now()
WHERE id = %(id)s::bigint AND outcome IS NULL
"""
_SENT: LiteralString = f"""
INSERT INTO law_events (event, vcon_uuid, about, digest, commitment)
SELECT 'vcon_sent', vcon_uuid, 'delivery:' || id, {DELIVERY_DIGEST}, commitment
FROM law_deliveries WHERE id = %(id)s::bigint
    AND NOT EXISTS (SELECT FROM law_events WHERE about = 'delivery:' || law_deliveries.id)
"""  # noqa: S608 -- constant texts
_END = Pipelined(CHAIN_LOCK, _OUTCOME, _SENT)
_BEGIN = Pipelined(ADD_SALTS, _SHARE, _ADD_DELIVERIES)
_WITH_VERSIONS = Pipelined(ADD_SALTS, _SHARE, CHAIN_LOCK, ADD_VERSIONS, _ADD_DELIVERIES)


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A document; `digest` is its SHA-256 in hex, of which only the commitment is kept."""

    vcon_uuid: str
    origin: str
    form: str
    bytes: int
    digest: str
    chain: str | None = None
    run_id: str | None = None
    prior: str | None = None
    signers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A call that is about to give a vCon away; the fields are those of the table.

    `digest`: SHA-256 in hex of the document that is given. `version`: the document, if the run has
    not noted it yet.
    """

    vcon_uuid: str
    kind: str
    name: str
    digest: str
    attempt: int = 1
    chain: str | None = None
    run_id: str | None = None
    worker: str | None = None
    purpose: str | None = None
    profile: str | None = None
    basis: str | None = None
    version: NewVersion | None = None


class Deliveries:
    """Writes deliveries. The methods block: call them in a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, items: Sequence[NewDelivery]) -> list[int | None]:
        """Commit them; their ids, in the order of the items, None for a vCon with a tombstone.

        Raises:
            UnavailableError: Postgres cannot be reached or is not migrated.
            InvalidError: a value does not fit.
        """
        has_versions = any(each.version is not None for each in items)
        statements = _WITH_VERSIONS if has_versions else _BEGIN
        *_, rows = self._database.in_pipeline(statements, _parameters(items))
        return _by_item(items, rows)

    def end(self, delivery: int, outcome: str, error: str | None) -> None:
        """Note the outcome of one that no run made, with its event.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        told = {"id": delivery, "outcome": outcome, "error": error}
        self._database.in_pipeline(_END, told)


def salts_for(vcons: Iterable[str]) -> dict[str, Any]:
    """The parameters of `ADD_SALTS` and `LOCK_SALTS`."""
    uuids = sorted(set(vcons))
    salts = [{"vcon_uuid": each, "salt": new_salt()} for each in uuids]
    return {"salts": storable_json(salts).decode(), "vcons": uuids}


def versions_parameter(versions: Iterable[Mapping[str, Any]]) -> str:
    """That of `ADD_VERSIONS`, from members of `NewVersion`."""
    return storable_json(list(versions)).decode()


def _parameters(items: Sequence[NewDelivery]) -> dict[str, Any]:
    rows = [{**asdict(each), "item": number} for number, each in enumerate(items)]
    versions = [version for row in rows if (version := row.pop("version")) is not None]
    return {
        **salts_for(each.vcon_uuid for each in items),
        "versions": versions_parameter(versions),
        "deliveries": storable_json(rows).decode(),
    }


def _by_item(items: Sequence[NewDelivery], rows: Sequence[Sequence[Any]]) -> list[int | None]:
    """A vCon has all of its deliveries in the batch, or none."""
    given = {str(vcon_uuid) for _, vcon_uuid in rows}
    ids = iter(sorted(int(number) for number, _ in rows))
    return [next(ids) if each.vcon_uuid.lower() in given else None for each in items]
