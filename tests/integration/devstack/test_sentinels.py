"""The group of a primary, a replica and three sentinels promotes, and loses what was not sent."""

from __future__ import annotations

from pathlib import Path

from devstack.servers.sentinels import Sentinels


def test_a_replica_that_is_behind_is_promoted(reachable_folder: Path) -> None:
    """What was written after the link stopped is lost with the primary, the rest is there."""
    with Sentinels(reachable_folder) as group:
        with group.client(group.primary) as client:
            client.json().set("before", "$", {"a": 1})
            group.wait_until_in_sync()
            group.stop_link()
            client.set("after", 1)
        lost = group.primary
        lost.kill()
        group.wait_for_promotion()
        assert group.replica is lost
        with group.client(group.primary) as client:
            assert client.json().get("before") == {"a": 1}
            assert client.get("after") is None
