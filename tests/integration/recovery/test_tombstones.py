"""What was erased does not come back with a recovery, though custody still has it."""

from __future__ import annotations

import orjson
import pytest

from core.db.law.erasures import NewErasure
from core.errors import GoneError
from core.run_ids import new_run_id
from pipeline.erasure import tombstones
from pipeline.ingest.entry import entry_of
from pipeline.redis_client import keys
from tests.integration.custody.custody_scene import rows
from tests.integration.recovery.recovery_scene import RecoveryScene


def erase(recovering: RecoveryScene, *vcon_uuids: str) -> None:
    """Postgres has the tombstones, and Redis has not been told yet."""
    rows, erasure = recovering.records.erasures, new_run_id()
    rows.request(NewErasure(erasure, "vcon", vcon_uuids, "test"))
    rows.begin(erasure, vcon_uuids, (), {})


async def test_an_empty_redis_refuses_before_anything_is_queued(
    recovering: RecoveryScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page; those beside them are queued again."""
    monkeypatch.setattr(tombstones, "PAGE", 2)
    await recovering.recover()
    entries = [await recovering.accept(["in"]) for _ in range(6)]
    erased = [each.vcon_uuid for each in entries[:5]]
    erase(recovering, *erased)
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.elements("in") == [entries[5].vcon_uuid]
    assert recovering.client.exists(*map(keys.tombstone, erased)) == 5
    again = entry_of(orjson.loads(entries[0].document), 10_000_000)
    with pytest.raises(GoneError):
        await recovering.intake.ingest(again, ["in"])
    assert recovering.client.exists(*map(keys.vcon, erased)) == 0


async def test_a_refused_vcon_leaves_no_row(recovering: RecoveryScene) -> None:
    """Custody gets nothing of a document that is refused."""
    await recovering.recover()
    entry = await recovering.accept(["in"])
    erase(recovering, entry.vcon_uuid)
    recovering.client.flushall()
    await recovering.recover()
    before = rows(recovering.database, "number")
    with pytest.raises(GoneError):
        await recovering.intake.ingest(entry, ["two"])
    assert rows(recovering.database, "number") == before
