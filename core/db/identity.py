"""The Redis that was last seen, and a recovery that is under way: the row of `redis_identity`.

All times are by Postgres' clock. A step of a recovery is one transaction under an advisory lock, so
one replica at a time works at it, and another goes on where a killed one has stopped.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

from sqlalchemy import text
from sqlalchemy.orm import Session

from core.db.custody import CUSTODY_LOCK
from core.db.database import Database
from core.observability.storable_text import storable_json

_RECOVERY_LOCK = 0x7063_5F72_6563_6F76
_READ: LiteralString = """
SELECT name, server, generation, counter, seen_by, recovery, kept,
    extract(epoch FROM now() - seen_at)::double precision
FROM redis_identity WHERE number = 1
"""
_REFRESH = text("""
UPDATE redis_identity
SET counter = greatest(counter, :counter), seen_at = now(), seen_by = :seen_by
WHERE number = 1 AND server = :server AND generation = :generation
""")
_BEGIN = text("""
INSERT INTO redis_identity (number, name, server, generation, counter, seen_at, seen_by, recovery)
VALUES (1, :name, '', 0, 0, now(), :seen_by, CAST(:recovery AS jsonb))
ON CONFLICT (number) DO UPDATE SET recovery = excluded.recovery
""")
_NOTE = text("UPDATE redis_identity SET recovery = CAST(:recovery AS jsonb) WHERE number = 1")
_END = text("UPDATE redis_identity SET recovery = NULL WHERE number = 1")
_APPROVE = text("""
UPDATE redis_identity SET server = :server, generation = generation + 1, counter = :counter,
    seen_at = now(), seen_by = :seen_by
WHERE number = 1 RETURNING generation
""")
_KEEP = text("""
UPDATE redis_identity SET kept = CAST(:kept AS jsonb)
WHERE number = 1 AND server = :server AND generation = :generation AND recovery IS NULL
""")


@dataclass(frozen=True, slots=True)
class Identity:
    """The row. `age`: seconds since a replica, `seen_by`, has last seen this server."""

    name: str
    server: str
    generation: int
    counter: int
    seen_by: str
    age: float
    recovery: Mapping[str, Any] | None = None
    kept: Mapping[str, Any] = field(default_factory=dict)


class IdentityStep:
    """One step of a recovery: what it reads and writes in its transaction."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.row = _identity(session.connection().exec_driver_sql(_READ).one_or_none())

    def begin(self, name: str, recovery: Mapping[str, Any], seen_by: str) -> None:
        """Note a recovery that begins, in place of another; `name` if there is no row yet."""
        values = {"name": name, "recovery": _json(recovery), "seen_by": seen_by}
        self.session.execute(_BEGIN, values)

    def note(self, recovery: Mapping[str, Any]) -> None:
        """Note how far the recovery is."""
        self.session.execute(_NOTE, {"recovery": _json(recovery)})

    def end(self) -> None:
        """There is nothing left to be recovered."""
        self.session.execute(_END)

    def approve(self, server: str, counter: int, seen_by: str) -> tuple[int, int]:
        """Make this server the one that counts; its generation, and the last row of before.

        Rows with a higher number get into Redis by the request that made them.
        """
        lock = text("SELECT pg_advisory_xact_lock(:lock)")
        self.session.execute(lock, {"lock": CUSTODY_LOCK})
        values = {"server": server, "counter": counter, "seen_by": seen_by}
        generation = self.session.execute(_APPROVE, values).scalar_one()
        last = self.session.execute(text("SELECT last_value FROM custody_number")).scalar_one()
        return int(generation), int(last)


class Identities:
    """The row and its changes. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Identity | None:
        """The row; None before the first Redis was seen."""
        [rows] = self._database.at_once(_READ, {})
        return _identity(rows[0] if rows else None)

    def refresh(self, row: Identity, counter: int, seen_by: str) -> None:
        """Note that a replica sees the server of the row, with this fencing counter."""
        values = {
            "counter": counter,
            "seen_by": seen_by,
            "server": row.server,
            "generation": row.generation,
        }
        with self._database.transaction() as session:
            session.execute(_REFRESH, values)

    def keep(self, row: Identity, kept: Mapping[str, Any]) -> None:
        """Keep pauses and drains as they are in the server of the row."""
        values = {"kept": _json(kept), "server": row.server, "generation": row.generation}
        with self._database.transaction() as session:
            session.execute(_KEEP, values)

    @contextmanager
    def step(self) -> Iterator[IdentityStep | None]:
        """A transaction for one step of a recovery; None while another replica does one."""
        with self._database.transaction() as session:
            lock = text("SELECT pg_try_advisory_xact_lock(:lock)")
            is_ours = session.execute(lock, {"lock": _RECOVERY_LOCK}).scalar_one()
            yield IdentityStep(session) if is_ours else None


def _identity(found: Sequence[Any] | None) -> Identity | None:
    if found is None:
        return None
    name, server, generation, counter, seen_by, recovery, kept, age = found
    return Identity(name, server, generation, counter, seen_by, age, recovery, kept)


def _json(value: Mapping[str, Any]) -> str:
    return storable_json(value).decode()
