"""The index in a real Postgres, and what tests write to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.db.database import Database
from core.db.runs import RunHistory
from core.db.vcon_index import IndexChange, VconIndexRows
from core.setting_groups.operator import OperatorSettings
from pipeline.admin.run_archive import RunArchive, RunOutbox
from pipeline.redis_client.client import RedisConnection
from pipeline.stored.index import StoredIndex
from tests.integration.support.pipeline_fixtures import new_uuid, postgres_calls

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def change(vcon_uuid: str | None = None, minutes: float = 0, **changes: Any) -> IndexChange:
    """What notes say about a vCon, so many minutes after noon."""
    at = NOON + timedelta(minutes=minutes)
    return IndexChange(vcon_uuid or new_uuid(), at, **changes)


def index_of(database: Database, **settings: Any) -> StoredIndex:
    """The index of a service with these settings."""
    return StoredIndex(VconIndexRows(database), postgres_calls(), OperatorSettings(**settings))


def outbox_of(redis: RedisConnection, database: Database, index: StoredIndex) -> RunOutbox:
    """What moves runs and notes into Postgres."""
    archive = RunArchive(RunHistory(database), postgres_calls(), index.changes)
    return RunOutbox(redis, archive.write_runs, 200_000)


@pytest.fixture
def rows(migrated: Database) -> VconIndexRows:
    """An empty index."""
    return VconIndexRows(migrated)
