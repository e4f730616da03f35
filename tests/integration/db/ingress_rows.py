"""Keys, usage, audit and owners in a PostgreSQL of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from core.db.database import Database
from core.db.ingress_keys import IngressKeys
from core.db.usage_and_audit import UsageAndAudit
from core.settings import DatabaseSettings
from pipeline.ingest.key_cache import hashed
from schemas.ingress_key import Author, IngressKey, NewKey

ADMIN = Author(actor="service:7", ref="ref-1")


@pytest.fixture
def migrated(database_settings: DatabaseSettings) -> Iterator[Database]:
    """A database of the test's own, migrated."""
    database = Database()
    database.initialize(database_settings)
    yield database
    database.close()


@pytest.fixture
def keys(migrated: Database) -> IngressKeys:
    """The keys in that database."""
    return IngressKeys(migrated)


@pytest.fixture
def ledger(migrated: Database) -> UsageAndAudit:
    """Usage and audit in that database."""
    return UsageAndAudit(migrated)


def made(keys: IngressKeys, secret: str = "s", days: float | None = None) -> IngressKey:
    """A key for the list `in`."""
    new = NewKey(ingress_list="in", label="partner", expires_in_days=days, requests_per_minute=9)
    return keys.create(new, hashed(secret), ADMIN)


def found(keys: IngressKeys, secret: str) -> IngressKey:
    """The key with this secret."""
    key = keys.find(hashed(secret))
    assert key is not None
    return IngressKey(**key.model_dump(exclude={"expires_in"}))


def execute(database: Database, statement: str) -> None:
    """Run SQL in a transaction of its own."""
    with database.transaction() as session:
        session.execute(text(statement))
