"""The tables of the law: what Postgres refuses to change, and the chain that it makes."""

import hashlib
from typing import Any

import pytest

from core.db.database import Database
from core.errors import ConflictError, PatchcordError

FILL = """
INSERT INTO law_versions (vcon_uuid, origin, form, bytes, commitment)
    VALUES (gen_random_uuid(), 'received', 'unsigned', 10, 'c');
INSERT INTO law_deliveries (vcon_uuid, kind, name, attempt, commitment, outcome)
    VALUES (gen_random_uuid(), 'storage', 's3', 1, 'c', NULL),
           (gen_random_uuid(), 'storage', 'ended', 1, 'c', 'ok');
INSERT INTO law_events (event) VALUES ('vcon_received'), ('vcon_sent');
INSERT INTO law_checkpoints (seq, hash) VALUES (2, 'h');
INSERT INTO law_bases (party, purpose, granted, basis, granted_at, actor)
    VALUES ('t1', 'transcription', true, 'consent', now(), 'service:1');
INSERT INTO law_salts (vcon_uuid, salt) VALUES (gen_random_uuid(), 's');
INSERT INTO law_tombstones (vcon_uuid, erasure, number)
VALUES (gen_random_uuid(), gen_random_uuid(), 1);
"""
STAY = "versions", "deliveries", "events", "checkpoints", "bases", "salts", "tombstones"


@pytest.fixture(autouse=True)
def _filled(database: Database) -> None:
    """A row in each table."""
    execute(database, FILL)


def execute(database: Database, statements: str) -> list[Any]:
    """Run SQL in a transaction of its own; the rows of the last statement, if it has any."""
    with database.transaction() as session:
        result = session.connection().exec_driver_sql(statements)
        return list(result.all()) if result.returns_rows else []


REFUSED = (
    *(f"DELETE FROM law_{table}" for table in STAY),
    *(f"TRUNCATE law_{table}" for table in (*STAY, "erasures", "erasure_targets")),
    "UPDATE law_versions SET bytes = 1",
    "UPDATE law_events SET event = 'vcon_deleted'",
    "UPDATE law_checkpoints SET hash = ''",
    "UPDATE law_tombstones SET at = now()",
    "UPDATE law_deliveries SET name = 's4', outcome = 'ok' WHERE outcome IS NULL",
    "UPDATE law_deliveries SET outcome = 'failed' WHERE outcome = 'ok'",
    "UPDATE law_bases SET granted = false",
    "UPDATE law_bases SET party = 't2'",
    "UPDATE law_salts SET salt = 'other'",
    "UPDATE law_salts SET vcon_uuid = gen_random_uuid(), salt = NULL",
)
ONCE = (
    "UPDATE law_deliveries SET outcome = 'ok', ended_at = now() WHERE outcome IS NULL",
    "UPDATE law_bases SET party = NULL",
    "UPDATE law_salts SET salt = NULL, forgotten_at = now()",
)


def test_rows_of_the_law_cannot_be_changed(database: Database) -> None:
    """Postgres refuses it, also where no row would be concerned."""
    assert [deed for deed in REFUSED if not is_refused(database, deed)] == []


def is_refused(database: Database, deed: str) -> bool:
    """Whether a trigger refuses it."""
    try:
        execute(database, deed)
    except ConflictError as error:
        return "append-only" in str(error)
    return False


def test_what_may_change_once(database: Database) -> None:
    """A delivery ends; the party of a basis is erased; a salt is forgotten."""
    assert [len(execute(database, f"{deed} RETURNING 1")) for deed in ONCE] == [1, 1, 1]


def test_events_are_chained(database: Database) -> None:
    """Numbers without gaps, and each hash is that of the lines of the row."""
    execute(database, "INSERT INTO law_events (event, about) VALUES ('vcon_expired', 'version:1')")
    rows = execute(
        database,
        "SELECT prior, seq, to_char(at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), event,"
        " coalesce(vcon_uuid::text, ''), about, digest, commitment, hash FROM law_events"
        " ORDER BY seq",
    )
    assert [row[1] for row in rows] == [1, 2, 3]
    before = ""
    for *values, found in rows:
        assert values[0] == before
        before = hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()
        assert found == before


def test_a_restored_event_keeps_its_place(database: Database) -> None:
    """As `COPY` of a backup gives it back."""
    execute(
        database,
        "INSERT INTO law_events (seq, at, event, prior, hash)"
        " VALUES (9, now(), 'vcon_sent', 'p', 'h'), (NULL, NULL, 'vcon_sent', NULL, NULL)",
    )
    assert execute(database, "SELECT seq, prior FROM law_events WHERE seq > 8 ORDER BY seq") == [
        (9, "p"),
        (10, "h"),
    ]


def test_an_event_has_one_of_the_ten_names(database: Database) -> None:
    """Any other is refused."""
    with pytest.raises(PatchcordError, match="ck_law_events_event"):
        execute(database, "INSERT INTO law_events (event) VALUES ('vcon_read')")
