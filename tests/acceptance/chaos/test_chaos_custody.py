"""With CUSTODY=postgres nothing accepted is lost with a server, and nothing settled runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Play


async def test_a_redis_without_its_data(play: Play) -> None:
    """Its files are deleted, a command empties it, and it gets older data: all is as it was."""
    await play("Redis loses its data, in three ways")


async def test_a_replica_that_was_behind(play: Play) -> None:
    """What the promoted replica has not got is queued there."""
    await play("primary killed, its replica behind")


async def test_a_commit_without_an_answer(play: Play) -> None:
    """A caller that repeats its request gets one run."""
    await play("Postgres killed between commit and answer")


async def test_a_recovery_that_is_killed(play: Play) -> None:
    """Another replica goes on with it."""
    await play("the recovering replica killed")


async def test_replicas_that_see_different_servers(play: Play) -> None:
    """The one that is alone does nothing until the other is gone."""
    await play("two replicas, two Redis")


async def test_a_backup_of_both_servers(play: Play) -> None:
    """What had been accepted before it began is there after the restore."""
    await play("both servers restored from a backup")
