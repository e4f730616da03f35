"""Rows that Redis never got are deleted after an hour; nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from pipeline.recovery.leftovers import Leftovers
from pipeline.redis_client import keys
from tests.integration.db.ingress_rows import execute
from tests.integration.recovery.recovery_scene import RecoveryScene

VCON = "019aa000-0000-7000-8000-000000000001"
AGED = "UPDATE custody SET accepted_at = accepted_at - interval '61 minutes'"


async def _left(scene: RecoveryScene) -> int:
    """Sweep; how many rows are left."""
    await Leftovers(scene.records.identities, scene.connection).sweep()
    with scene.database.session() as session:
        return len(session.execute(text("SELECT number FROM custody")).all())


async def test_a_row_that_redis_never_got(recovering: RecoveryScene) -> None:
    """Its request was answered 503 after the commit; not before an hour has passed."""
    await recovering.recover()
    recovering.commit("in", vcon_uuid=VCON)
    assert await _left(recovering) == 1
    execute(recovering.database, AGED)
    assert await _left(recovering) == 0


@pytest.mark.parametrize("left", ["document", "about", "hold", "lock"])
async def test_redis_has_something_of_it(recovering: RecoveryScene, left: str) -> None:
    """Another program may have deleted the rest."""
    await recovering.recover()
    recovering.commit("in", vcon_uuid=VCON)
    execute(recovering.database, AGED)
    client = recovering.client
    if left == "document":
        client.execute_command("JSON.SET", keys.vcon(VCON), ".", "{}")
    elif left == "about":
        client.hset(keys.about(VCON), "digest", "d")
    elif left == "hold":
        client.sadd(keys.holds(VCON), "in")
    else:
        client.hset("pc:locks", VCON, "w")
    assert await _left(recovering) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"place": "DLQ:in", "state": {"reason": {}}},
        {"place": "out", "run_id": VCON},
        {"place": f"run:main|{VCON}", "run_id": VCON},
        {"place": "in", "state": {"run_id": VCON}},
        {"place": ""},
    ],
)
async def test_what_a_run_has_left(recovering: RecoveryScene, row: dict[str, Any]) -> None:
    """Such rows are not of a request that queued a vCon."""
    await recovering.recover()
    recovering.commit(**row, vcon_uuid=VCON)
    execute(recovering.database, AGED)
    assert await _left(recovering) == 1


async def test_redis_that_is_not_the_one(recovering: RecoveryScene) -> None:
    """Lost, under recovery, or with older data: what is open is needed."""
    await recovering.recover()
    recovering.commit("in", vcon_uuid=VCON)
    execute(recovering.database, AGED)
    client = recovering.client
    tokens = client.get("pc:tokens")
    client.set("pc:tokens", 0)
    assert await _left(recovering) == 1
    client.set("pc:tokens", tokens)
    client.hset("pc:epoch", "recovering", "mark")
    assert await _left(recovering) == 1
    client.flushall()
    assert await _left(recovering) == 1
    await recovering.watch()._look()
    assert await _left(recovering) == 1


async def test_what_a_recovery_could_not_put_back(recovering: RecoveryScene) -> None:
    """A key had another type then, and was mended since."""
    await recovering.recover()
    recovering.commit("in", vcon_uuid=VCON)
    execute(recovering.database, AGED)
    recovering.client.flushall()
    recovering.client.set("in", "text")
    await recovering.recover()
    recovering.client.delete("in")
    assert await _left(recovering) == 1


async def test_a_list_of_another_type(recovering: RecoveryScene) -> None:
    """It is not known what was in it."""
    await recovering.recover()
    recovering.commit("in", vcon_uuid=VCON)
    execute(recovering.database, AGED)
    recovering.client.set("in", "text")
    assert await _left(recovering) == 1


async def test_more_than_a_page(recovering: RecoveryScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are deleted, beside one that Redis knows."""
    monkeypatch.setattr("pipeline.recovery.leftovers.PAGE", 2)
    await recovering.recover()
    for number in range(2, 7):
        recovering.commit("in", vcon_uuid=f"{VCON[:-1]}{number}")
    await recovering.accept(["in", "two"])
    execute(recovering.database, AGED)
    assert await _left(recovering) == 1
