"""A key of another type under any name that a script uses: the script does all of it or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from redis import Redis

from pipeline.redis_client.script_texts import script_texts
from tests.integration.redis_client.script_world import CALLS, FOREIGN, World, kind_of, words

OVERWRITTEN = ("pc:probe", "pc:worker:")
"""Keys that are overwritten if they have another type: the probe, and a worker's own lease."""


@pytest.fixture
def world(client: Redis) -> Iterator[World]:
    """Each run of a script begins with it as it was."""
    yield World(client)
    client.flushdb()


def test_every_script_is_tried() -> None:
    """A new script needs arguments to be tried with."""
    assert script_texts().keys() == CALLS.keys()


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_key_of_another_type_takes_nothing_away(world: World, name: str) -> None:
    """Refused as a whole, with the key named and nothing changed, or done without that key.

    In neither case does a vCon leave the places where it stands, but for those where the script
    takes it away when all is well; and what the other program wrote is still there.
    """
    for arguments in map(words, CALLS[name]):
        world.restore()
        usual = world.look().places
        touched = [key for key in world.touched(name, arguments) if not key.startswith(OVERWRITTEN)]
        usual -= world.look().places
        for key in touched:
            for kind in FOREIGN.keys() - {kind_of(key)}:
                _try(world, name, arguments, key, kind, usual)


def _try(
    world: World, name: str, arguments: list[str], key: str, kind: str, usual: Counter[str]
) -> None:
    case = f"{name} {arguments}: {key!r} is a {kind}"
    world.restore(key, kind)
    before = world.look()
    refusal = world.run(name, arguments)
    after = world.look()
    if refusal is not None:
        assert refusal.startswith(f"WRONGTYPE {key} is no "), f"{case}: {refusal}"
        assert after == before, case
    assert after.keys[key].partition(" ")[0] == before.keys[key].partition(" ")[0], case
    lost = before.places - after.places - usual
    assert not lost, f"{case}: {lost}"
