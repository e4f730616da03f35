"""Which Redis counts: the one that was approved last, with the data that it had then."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from redis import Redis

from devstack.servers.valkey import Valkey
from pipeline.recovery.watch import NOT_LOOKED
from pipeline.redis_client.client import RedisConnection
from tests.integration.recovery.recovery_scene import RecoveryScene


async def test_the_first_redis_is_approved(recovering: RecoveryScene) -> None:
    """It gets a name and the first generation, and workers may claim."""
    watch = recovering.watch()
    assert watch.problem == NOT_LOOKED
    assert not recovering.is_open()
    await watch.finish()
    assert watch.problem == ""
    assert recovering.is_open()
    row, epoch = recovering.row(), recovering.client.hgetall("pc:epoch")
    assert (row.generation, row.recovery, row.seen_by) == (1, None, "one")
    assert (epoch["name"], epoch["generation"]) == (row.name, "1")
    assert "recovering" not in epoch


async def test_one_round_approves_it(
    recovering: RecoveryScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look of a process is enough, where recovering nothing takes at most a second."""
    monkeypatch.setattr("pipeline.recovery.watch.WATCH_SECONDS", 60.0)  # this machine may be slow
    watch = recovering.watch()
    await watch.round()
    assert watch.problem == ""
    assert recovering.row().recovery is None


async def test_looks_change_nothing_but_the_time_and_the_counter(recovering: RecoveryScene) -> None:
    """Each look raises the counter, so that older data are recognised."""
    watch = recovering.watch()
    await watch.finish()
    before = recovering.row()
    recovering.some_time_later()
    await watch.round()
    after = recovering.row()
    assert after.generation == before.generation
    assert after.counter > before.counter
    assert after.age < 6


async def test_flushall_is_noticed(recovering: RecoveryScene) -> None:
    """The same server without its data gets another generation, and its name again."""
    watch = recovering.watch()
    await watch.finish()
    name = recovering.row().name
    recovering.client.flushall()
    assert not recovering.is_open()
    await watch.finish()
    assert recovering.is_open()
    assert (recovering.row().generation, recovering.row().name) == (2, name)
    assert recovering.client.hget("pc:epoch", "name") == name


async def test_tokens_are_never_given_twice(recovering: RecoveryScene) -> None:
    """After a loss they go on far behind all that were given."""
    watch = recovering.watch()
    await watch.finish()
    before = int(recovering.client.get("pc:tokens"))
    recovering.client.flushall()
    await watch.finish()
    assert int(recovering.client.get("pc:tokens")) > before + 1_000_000


async def test_older_data_in_the_same_server(recovering: RecoveryScene) -> None:
    """Data from before the last look have a lower counter."""
    watch = recovering.watch()
    await watch.finish()
    older = recovering.client.get("pc:tokens")
    recovering.some_time_later()
    await watch.round()
    recovering.client.set("pc:tokens", older)
    await watch.finish()
    assert recovering.row().generation == 2


@pytest.fixture
def other(tmp_path: Path) -> Valkey:
    """A Redis of the test's own."""
    with_keeper = Valkey.start(tmp_path / "other")
    yield with_keeper  # type: ignore[misc]
    with_keeper.stop()


async def test_a_restart_without_a_loss(recovering: RecoveryScene, other: Valkey) -> None:
    """The same data in another process are approved again."""
    connection = RedisConnection(other.url)
    watch = recovering.watch("one", connection)
    await watch.finish()
    other.kill()
    other.restart()
    with Redis.from_url(other.url, decode_responses=True) as client:
        assert not recovering.is_open(client)
        await connection.wait_until_reachable()
        await watch.finish()
        assert recovering.is_open(client)
    assert recovering.row().generation == 2
    await connection.close()


async def test_an_older_file_is_recovered(
    recovering: RecoveryScene, other: Valkey, tmp_path: Path
) -> None:
    """Also one from before the last recovery, whose generation is lower."""
    connection = RedisConnection(other.url)
    watch = recovering.watch("one", connection)
    await watch.finish()
    other.kill()
    shutil.copytree(other.folder / "appendonlydir", tmp_path / "copy")
    other.restart()
    await connection.wait_until_reachable()
    await watch.finish()
    other.kill()
    shutil.rmtree(other.folder / "appendonlydir")
    shutil.copytree(tmp_path / "copy", other.folder / "appendonlydir")
    other.restart()
    await connection.wait_until_reachable()
    await watch.finish()
    assert recovering.row().generation == 3
    assert watch.problem == ""
    await connection.close()


async def test_two_replicas_see_two_servers(recovering: RecoveryScene, other: Valkey) -> None:
    """The server in use stays; the other one is taken once the first is no longer seen."""
    connection = RedisConnection(other.url)
    first, second = recovering.watch("one"), recovering.watch("two", connection)
    await first.finish()
    await second.finish()
    with Redis.from_url(other.url, decode_responses=True) as client:
        assert "not the one that other replicas use" in second.problem
        assert not recovering.is_open(client)
        assert recovering.is_open()
        recovering.some_time_later()
        await second.finish()
        assert recovering.is_open(client)
        assert recovering.row().generation == 2
        await first.finish()
        assert "replaced by another one" in first.problem
        assert not recovering.is_open()
        assert recovering.is_open(client)
    await connection.close()


async def test_the_server_before_comes_back_alone(recovering: RecoveryScene, other: Valkey) -> None:
    """A server whose place was taken is recovered once the other one is gone."""
    connection = RedisConnection(other.url)
    first, second = recovering.watch("one"), recovering.watch("two", connection)
    await first.finish()
    recovering.some_time_later()
    await second.finish()
    await first.finish()
    assert not recovering.is_open()
    recovering.some_time_later()
    await first.finish()
    assert recovering.is_open()
    assert (recovering.row().generation, first.problem) == (3, "")
    await connection.close()


async def test_recovery_is_lost_again(recovering: RecoveryScene) -> None:
    """FLUSHALL during a recovery: it starts over, and does not go on where it was."""
    watch = recovering.watch()
    await watch.finish()
    recovering.client.flushall()
    await watch._look()
    assert await watch._recovery.go_on()
    recovering.client.flushall()
    await watch.finish()
    assert recovering.is_open()
    assert recovering.row().recovery is None


async def test_a_killed_recovery_goes_on_elsewhere(recovering: RecoveryScene) -> None:
    """At each slice another replica goes on."""
    number = 0
    await recovering.watch(f"{number}").finish()
    recovering.client.flushall()
    await recovering.watch("0")._look()
    while recovering.row().recovery is not None:
        number += 1
        assert await recovering.watch(f"{number}")._recovery.go_on()
    assert number > 2
    assert recovering.is_open()
