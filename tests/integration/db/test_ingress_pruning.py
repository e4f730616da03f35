"""Pruning of rows about partners: only old ones, in batches, without waiting for writers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.db.database import Database
from core.db.ingress_keys import IngressKeys
from core.db.usage_and_audit import UsageAndAudit, Used
from core.db.vcon_owners import OURS, VconOwners
from pipeline.ingest.key_cache import hashed
from tests.integration.db.ingress_rows import ADMIN, execute, found, made

TABLES = ("vcon_owners", "ingress_usage", "audit_events", "ingress_keys", "tokens", "services")


def test_a_dead_key_that_the_file_still_has_stays_dead(
    keys: IngressKeys, ledger: UsageAndAudit, migrated: Database
):
    """However long ago it was revoked or rotated; when it is gone from the file, it is pruned."""
    names = ("revoked", "rotated", "removed")
    configured = [hashed(name) for name in names]
    keys.sync({"in": configured})
    keys.revoke(found(keys, "revoked").id, ADMIN)
    keys.rotate(found(keys, "rotated").id, hashed("new"), 0, ADMIN)
    keys.sync({"in": configured[:2]})
    assert found(keys, "removed").source == "config"
    long_ago = "= '2020-01-01' WHERE"
    execute(migrated, f"UPDATE ingress_keys SET revoked_at {long_ago} revoked_at < now()")
    execute(migrated, f"UPDATE ingress_keys SET expires_at {long_ago} expires_at < now()")
    assert ledger.prune({"ingress_keys": 30}, configured[:2]) == 1
    assert keys.find(configured[2]) is None
    keys.sync({"in": configured[:2]})
    assert found(keys, "revoked").revoked_at is not None
    assert found(keys, "rotated").expires_at is not None
    assert ledger.prune({"ingress_keys": 30}) == 2


OLD_ROWS = {
    "vcon_owners": ("SELECT gen_random_uuid(), gen_random_uuid(), '2020-01-01'", ""),
    "ingress_usage": ("SELECT gen_random_uuid(), '2020-01-01', 1, '{}', 1", ""),
    "audit_events": (
        "SELECT '2020-01-01', 'x', 'x', 'x', '{}'",
        "at, action, actor, target, detail",
    ),
    "ingress_keys": (
        "SELECT gen_random_uuid(), 'in', '', i, 'action', gen_random_uuid(), now(), '2020-01-01'",
        "id, ingress_list, label, secret_sha256, source, lineage, created_at, expires_at",
    ),
    "tokens": (
        "SELECT i, 1, '', now(), '2020-01-01'",
        "id, service_id, context, inserted_at, expires_at",
    ),
    "services": ("SELECT i, '', now(), now(), '2020-01-01'", ""),
}
"""Of each table a row that is long out of date, and its columns where not all are given."""


@pytest.mark.parametrize("table", TABLES)
def test_pruning_waits_for_nobody(ledger: UsageAndAudit, migrated: Database, table: str):
    """A locked row is skipped until the next time."""
    name = migrated.engine.url.database  # else a prune that waits would wait for ever
    execute(migrated, f"ALTER DATABASE {name} SET lock_timeout = '20s'")
    migrated.engine.dispose()
    row, columns = OLD_ROWS[table]
    into = f"{table} ({columns})" if columns else table
    execute(migrated, f"INSERT INTO {into} {row} FROM generate_series(1, 2) AS i")
    with migrated.transaction() as session:
        session.execute(text(f"SELECT 1 FROM {table} LIMIT 1 FOR UPDATE"))
        assert ledger.prune({table: 30}) == 1
    assert ledger.prune({table: 30}) == 1


def test_old_rows_are_pruned_in_batches(
    keys: IngressKeys, ledger: UsageAndAudit, migrated: Database
):
    """Of each table only what is older goes; 0 days keep everything."""
    kept, old = made(keys, "kept"), made(keys, "old")
    keys.revoke(old.id, ADMIN)
    ledger.add_usage(date(2020, 1, 1), {kept.id: Used(datetime.now(UTC), 1)})
    ledger.add_usage(datetime.now(UTC).date(), {kept.id: Used(datetime.now(UTC), 1)})
    VconOwners(migrated).confirm({str(uuid4()): OURS for _ in range(5)})
    execute(migrated, "UPDATE vcon_owners SET created_at = '2020-01-01'")
    execute(
        migrated,
        "UPDATE ingress_keys SET revoked_at = '2020-01-01' WHERE revoked_at < now()",
    )
    execute(
        migrated,
        "INSERT INTO audit_events (at, action, actor, target, detail)"
        " VALUES ('2020-01-01', 'x', 'x', 'x', '{}')",
    )
    execute(
        migrated,
        "INSERT INTO services VALUES"
        " (1, 'a', now(), now(), '2020-01-01'), (2, 'b', now(), now(), NULL)",
    )
    execute(
        migrated,
        "INSERT INTO tokens (id, service_id, context, inserted_at, expires_at, deleted_at) VALUES"
        " (1, 1, 'x', now(), '2020-01-01', NULL), (2, 1, 'x', now(), now(), '2020-01-01'),"
        " (3, 1, 'x', now(), now(), NULL)",
    )
    assert ledger.prune(dict.fromkeys(TABLES, 0)) == 0
    assert ledger.prune(dict.fromkeys(TABLES, 30), batch=2) == 5 + 1 + 1 + 1 + 1 + 2
    assert keys.all(None) == [found(keys, "kept")]
    assert len(ledger.usage(None, None, None)) == 1
