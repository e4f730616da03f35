"""`ledger verify` against a superuser who edits, deletes, inserts and truncates."""

from __future__ import annotations

import pytest

from core.db.law import checking
from core.db.law.bases import Bases
from tests.integration.law.ledger_scene import Ledger
from tests.integration.law.test_recorded_bases import new

COLUMNS = "event, vcon_uuid, about, digest, commitment, prior"
HASHED = (
    "encode(sha256(convert_to(concat_ws(E'\\n', prior, seq, to_char(at AT TIME ZONE 'UTC',"
    " 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), event, coalesce(vcon_uuid::text, ''), about, digest,"
    " commitment), 'UTF8')), 'hex')"
)


_ANEW = f"""
UPDATE law_events SET hash = {HASHED} WHERE seq = 1;
UPDATE law_events SET prior = (SELECT hash FROM law_events WHERE seq = 1) WHERE seq = 2;
UPDATE law_events SET hash = {HASHED} WHERE seq = 2
"""


@pytest.fixture
def written(ledger: Ledger) -> Ledger:
    """Two vCons, each with its version (events 1 and 4) and two deliveries (2, 3 and 5, 6)."""
    for _ in range(2):
        ledger.a_run("s3", "crm")
    assert ledger.verified().findings == []
    return ledger


DEEDS = (
    ("UPDATE law_events SET event = 'vcon_created' WHERE seq = 2", "event 2 was changed"),
    ("UPDATE law_events SET at = at + interval '1 us' WHERE seq = 6", "event 6 was changed"),
    ("UPDATE law_events SET at = 'infinity' WHERE seq = 6", "event 6 was changed"),
    ("UPDATE law_events SET at = '20260-01-01' WHERE seq = 2", "event 2 was changed"),
    (
        "UPDATE law_events SET at = (to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
        " || '+00 BC')::timestamptz WHERE seq = 2",
        "event 2 was changed",
    ),
    *(
        (
            f"ALTER TABLE law_events ALTER {name} DROP NOT NULL;"
            f" UPDATE law_events SET {name} = NULL WHERE seq = 2",
            f"event {1 if name == 'prior' else 2} was changed",
        )
        for name in ("at", "event", "about", "digest", "commitment", "prior", "hash")
    ),
    ("UPDATE law_events SET about = 'delivery:x' WHERE seq = 5", "event 5 was changed"),
    ("UPDATE law_events SET about = 'basis:' WHERE seq = 5", "event 5 was changed"),
    ("UPDATE law_events SET about = 'version:-1' WHERE seq = 1", "event 1 was changed"),
    (f"UPDATE law_events SET about = 'version:{9 * 10**18 * 10}'", "event 1 was changed"),
    ("UPDATE law_deliveries SET begun_at = '-infinity' WHERE id = 1", "delivery 1 was changed"),
    ("UPDATE law_events SET vcon_uuid = NULL WHERE seq = 1", "event 1 was changed"),
    ("UPDATE law_events SET about = 'delivery:1' WHERE seq = 5", "event 5 was changed"),
    ("UPDATE law_events SET digest = 'x' WHERE seq = 3", "event 3 was changed"),
    ("UPDATE law_events SET commitment = 'x' WHERE seq = 3", "event 3 was changed"),
    ("UPDATE law_events SET prior = 'x' WHERE seq = 3", "event 2 was changed or inserted"),
    ("UPDATE law_events SET hash = 'x' WHERE seq = 3", "event 3 was changed"),
    ("UPDATE law_events SET seq = 70 WHERE seq = 6", "events 6 to 69 were removed"),
    ("DELETE FROM law_events WHERE seq = 3", "event 3 was removed"),
    ("DELETE FROM law_events WHERE seq < 3", "events 1 to 2 were removed"),
    (
        f"UPDATE law_events SET event = 'vcon_deleted' WHERE seq = 4;"
        f" UPDATE law_events SET hash = {HASHED} WHERE seq = 4",
        "event 4 was changed or inserted: event 5 does not follow it",
    ),
    (
        f"INSERT INTO law_events (seq, at, {COLUMNS}, hash)"
        f" SELECT 0, at, {COLUMNS}, hash FROM law_events WHERE seq = 1",
        "event",
    ),
    ("UPDATE law_deliveries SET name = 'x' WHERE id = 2", "delivery 2 was changed: event 3"),
    ("UPDATE law_deliveries SET outcome = 'failed' WHERE id = 1", "delivery 1 was changed"),
    ("UPDATE law_deliveries SET outcome = NULL WHERE id = 1", "delivery 1 was changed"),
    ("UPDATE law_deliveries SET begun_at = now() WHERE id = 4", "delivery 4 was changed"),
    ("DELETE FROM law_deliveries WHERE id = 3", "delivery 3 was removed: event 5"),
    ("TRUNCATE law_deliveries", "delivery 1 was removed: event 2"),
    ("UPDATE law_versions SET bytes = 1 WHERE id = 2", "version 2 was changed: event 4"),
    ("DELETE FROM law_versions WHERE id = 1", "version 1 was removed: event 1"),
    (
        "INSERT INTO law_deliveries (vcon_uuid, kind, name, attempt, commitment, outcome)"
        " VALUES (gen_random_uuid(), 'link', 'l', 1, '', 'ok')",
        "delivery 5 was inserted",
    ),
    (
        "INSERT INTO law_versions (vcon_uuid, origin, form, bytes, commitment)"
        " VALUES (gen_random_uuid(), 'received', 'unsigned', 1, '')",
        "version 3 was inserted",
    ),
    (
        "INSERT INTO law_bases (vcon_uuid, purpose, granted, basis, granted_at, actor)"
        " VALUES (gen_random_uuid(), 'p', true, 'consent', now(), 'a')",
        "basis 1 was inserted",
    ),
    ("TRUNCATE law_events", "version 1 was inserted, or its event was cut"),
    ("DELETE FROM law_events WHERE seq > 4", "delivery 3 was inserted"),
)


def test_the_first_row_is_named(written: Ledger) -> None:
    """Everything that a superuser does to it."""
    found = {deed: written.found_after(deed)[0] for deed, _ in DEEDS}
    assert [each for each in DEEDS if not found[each[0]].startswith(each[1])] == []


@pytest.mark.parametrize("is_earlier", [False, True])
def test_whose_a_basis_is_cannot_be_changed(ledger: Ledger, is_earlier: bool) -> None:
    """An event of an earlier version does not name the party: only its loss is found then."""
    bases = Bases(ledger.database)
    bases.add(new("one", granted=False))
    bases.add(new("two"))
    if is_earlier:
        ledger.as_superuser(f"UPDATE law_events SET commitment = ''; {_ANEW}")
    assert ledger.verified().findings == []
    others = [] if is_earlier else ["basis 2 is no longer about its person: event 2 is about it"]
    for change in ("party = 'one'", "salt = NULL", "salt = '00'"):
        assert ledger.found_after(f"UPDATE law_bases SET {change} WHERE granted") == others
    ledger.execute("UPDATE law_bases SET party = NULL, salt = NULL WHERE granted")  # an erasure
    assert ledger.verified().findings == []
    lost = ["basis 1 is no longer about its person: event 1 is about it"]
    changed = "UPDATE law_bases SET party = {0} WHERE NOT granted"
    assert ledger.found_after(changed.format("NULL")) == lost
    assert ledger.found_after(changed.format("'two'")) == ([] if is_earlier else lost)
    assert ledger.found_after("UPDATE law_bases SET granted = true WHERE id = 1")


def test_a_cut_tail_is_named_by_its_checkpoint(written: Ledger) -> None:
    """Also if the rows of the tail are removed with it; one kept elsewhere shows it, too."""
    [(seq, head)] = written.execute("SELECT seq, hash FROM law_events WHERE seq = 6")
    written.execute(f"INSERT INTO law_checkpoints (seq, hash) VALUES ({seq}, '{head}')")
    assert written.verified((seq, head)).findings == []
    written.as_superuser(
        "DELETE FROM law_events WHERE seq > 4; DELETE FROM law_deliveries WHERE id > 2"
    )
    cut = "the checkpoint at event 6 has no event: the tail after event 4 was cut"
    assert written.verified().findings == [cut]
    written.as_superuser("TRUNCATE law_checkpoints")
    assert written.verified().findings == []
    assert written.verified((seq, head)).findings == [cut]


def test_a_chain_that_was_written_anew_does_not_match_a_checkpoint(written: Ledger) -> None:
    """With hashes that fit each other."""
    written.execute("INSERT INTO law_checkpoints (seq, hash) SELECT seq, hash FROM law_events")
    written.as_superuser(
        "CREATE TEMP TABLE old AS SELECT * FROM law_events; DELETE FROM law_events;"
        " UPDATE old SET event = 'vcon_deleted' WHERE seq = 3;"
    )
    written.as_superuser(
        "ALTER TABLE law_events ENABLE ALWAYS TRIGGER law_events_chain;"
        " INSERT INTO law_events (at, event, vcon_uuid, about, digest, commitment)"
        " SELECT at, event, vcon_uuid, about, digest, commitment FROM old ORDER BY seq"
    )
    first, *_ = written.verified().findings
    assert first == "the checkpoint at event 3 does not match: that event or one before was changed"


def test_a_report_counts(written: Ledger) -> None:
    """What is there, and what has not ended."""
    report = written.verified()
    assert (report.events, report.deliveries, report.versions) == (6, 4, 2)
    assert report.under_way == 0


def test_a_check_reads_pages(written: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is found on any of them."""
    monkeypatch.setattr(checking, "PAGE", 2)
    assert written.verified().findings == []
    written.as_superuser(
        "UPDATE law_deliveries SET name = 'x' WHERE id = 4;"
        " INSERT INTO law_versions (vcon_uuid, origin, form, bytes, commitment)"
        " VALUES (gen_random_uuid(), 'received', 'unsigned', 1, '')"
    )
    assert written.verified().findings == [
        "delivery 4 was changed: event 6 is about it",
        "version 3 was inserted, or its event was cut: no event is about it",
    ]


def test_a_tombstone_that_was_removed_is_named(written: Ledger) -> None:
    """Without it, the uuid of an erased vCon would be accepted again."""
    written.execute(
        "INSERT INTO law_tombstones (vcon_uuid, number, erasure)"
        " SELECT vcon_uuid, 1, gen_random_uuid() FROM law_events WHERE seq = 1;"
        " INSERT INTO law_events (event, vcon_uuid, about)"
        " SELECT 'vcon_deleted', vcon_uuid, 'erasure:' || erasure FROM law_tombstones"
    )
    [(vcon_uuid,)] = written.execute("SELECT vcon_uuid FROM law_tombstones")
    assert written.verified().findings == []
    [finding] = written.found_after("DELETE FROM law_tombstones")
    assert finding == f"the tombstone of vCon {vcon_uuid} was removed: event 7 is about it"


def test_a_checkpoint_whose_time_is_none_is_read(written: Ledger) -> None:
    """A signed one cannot be verified then."""
    point = "INSERT INTO law_checkpoints (seq, hash, at) SELECT seq, hash, '{}' FROM law_events"
    for at in ("infinity", "20260-01-01", "0044-03-15 BC"):
        assert written.found_after(point.format(at)) == []
