"""Nothing is lost when a server or a storage goes away and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Play


async def test_valkey(play: Play) -> None:
    """Killing Valkey loses no vCon, and no healthy one uses up an attempt."""
    await play("Valkey killed")


async def test_valkey_without_memory(play: Play) -> None:
    """What is in flight ends all the same, and idle workers pause."""
    await play("no memory")


async def test_postgres(play: Play) -> None:
    """Chains go on without Postgres, and in the end every run has its row there."""
    await play("Postgres stopped")


async def test_a_storage(play: Play) -> None:
    """What a storage refused is replayed by itself, and no link runs again for that."""
    await play("a storage down")
