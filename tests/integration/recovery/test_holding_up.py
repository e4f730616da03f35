"""What holds up claims is written before claims begin, and is told while claims are closed."""

from __future__ import annotations

from pipeline.operator.numbers.redis_facts import CLOSED, redis_status
from pipeline.redis_client.list_states import state_of
from tests.integration.recovery.recovery_scene import RecoveryScene


async def test_pauses_and_drains(recovering: RecoveryScene) -> None:
    """As they were at the last look, also if older data have others."""
    await recovering.recover()
    client = recovering.client
    client.hset("pc:paused", "main", '{"until":null}')
    client.hset("pc:drained", "host:1:2", '{"until":null}')
    await recovering.recover()
    client.flushall()
    await recovering.recover()
    assert client.hgetall("pc:paused") == {"main": '{"until":null}'}
    assert client.hgetall("pc:drained") == {"host:1:2": '{"until":null}'}
    client.hset("pc:paused", "other", "{}")
    client.set("pc:tokens", 1)
    await recovering.recover()
    assert client.hkeys("pc:paused") == ["main"]
    client.delete("pc:paused")
    await recovering.recover()
    client.flushall()
    await recovering.recover()
    assert client.hgetall("pc:paused") == {}


async def test_status_tells_that_claims_are_closed(recovering: RecoveryScene) -> None:
    """Between the beginning of a recovery and the approval."""

    async def warnings() -> list[str]:
        state = await state_of(recovering.connection, [], "vcons")
        return list((await redis_status(recovering.connection, state)).warnings)

    await recovering.recover()
    assert CLOSED not in await warnings()
    recovering.client.flushall()
    watch = recovering.watch()
    await watch._look()
    assert "being recovered" in watch.problem
    await watch._recovery.go_on()
    assert CLOSED in await warnings()
    await watch.finish()
    assert CLOSED not in await warnings()
    assert watch.problem == ""
