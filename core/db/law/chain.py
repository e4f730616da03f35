"""Events of the ledger, in the caller's transaction.

A trigger gives each event its number and its hash (`core.db.law_tables.EventRecord`). It takes the
lock `CHAIN_LOCK`, which is held until the transaction ends: events are written last in it, so that
no transaction waits for a row while others wait for the lock.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, LiteralString

from sqlalchemy.orm import Session

from core.observability.storable_text import storable_json

CHAIN_LOCK: LiteralString = "SELECT pg_advisory_xact_lock(7809649068498710016);"
"""What a transaction begins its last part with that reads the chain before it adds to it."""
_DIGEST: LiteralString = "encode(sha256(convert_to(jsonb_build_array({0})::text, 'UTF8')), 'hex')"
VERSION_DIGEST: LiteralString = _DIGEST.format(
    "id, vcon_uuid, prior, origin, form, chain, run_id, bytes, signers, commitment, recorded_at"
)
"""The digest of a row of `law_versions`, with which its event names it. Columns that later versions
add are not part of it."""
DELIVERY_DIGEST: LiteralString = _DIGEST.format(
    "id, vcon_uuid, kind, name, chain, run_id, attempt, worker, purpose, profile, basis,"
    " commitment, begun_at, ended_at, outcome, error"
)
BASIS_DIGEST: LiteralString = _DIGEST.format(
    "id, vcon_uuid, purpose, granted, basis, granted_at, expires_at, recorded_at, actor, ref"
)
"""Without the party, which is erased with it."""
PARTY_COMMITMENT: LiteralString = (
    "encode(sha256(convert_to('basis:' || id || ':' || coalesce(salt || ':', '') || party,"
    " 'UTF8')), 'hex')"
)
"""What the event of a basis says of its party. That of a grant has a salt, which an erasure
forgets; that of a denial stays, since it protects the person."""
INSERT_EVENTS: LiteralString = """
INSERT INTO law_events (event, vcon_uuid, about, digest, commitment)
SELECT event, vcon_uuid, about, digest, commitment
FROM jsonb_to_recordset(%(events)s::jsonb) AS row (
    event text, vcon_uuid uuid, about text, digest text, commitment text
)
"""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event; `event` is one of the ten names of the lifecycle draft."""

    event: str
    vcon_uuid: str | None = None
    about: str = ""
    digest: str = ""
    commitment: str = ""


def write_events(session: Session, events: Sequence[NewEvent]) -> None:
    """Add events to the chain; the last that the caller's transaction does."""
    if events:
        session.connection().exec_driver_sql(INSERT_EVENTS, events_parameter(events))


def events_parameter(events: Iterable[NewEvent]) -> Mapping[str, Any]:
    """The parameters of `INSERT_EVENTS`."""
    return {"events": storable_json([asdict(each) for each in events]).decode()}


def new_salt() -> str:
    """A salt in hex, for a vCon that has none yet."""
    return secrets.token_hex(32)
