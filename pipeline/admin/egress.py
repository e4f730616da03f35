"""Egress lists: readers lease uuids, which return to the list unless acknowledged in time."""

import contextlib
from collections.abc import Sequence
from typing import Any

from core.errors import UnusableKeyError
from pipeline.custody.places import Places
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.slices import chunks

CHUNK = 200
"""uuids of one script call, so that other clients of Redis are not held up."""

POP_SECONDS = 60.0
"""The lease of uuids that are being popped."""

ACKNOWLEDGED_AT_ONCE = CHUNK // 2
"""uuids in one script: to acknowledge one costs Redis about twice what leasing it does."""


class Egress:
    """The reader's side of the egress lists."""

    def __init__(
        self, connection: RedisConnection, *, vcon_expiry: int, places: Places | None = None
    ) -> None:
        """`vcon_expiry`: time to live, in seconds, of a vCon that no list or run holds.

        `places` ends the custody of what has been acknowledged.
        """
        self._places = places or Places(connection)
        self._connection = connection
        self._vcon_expiry = vcon_expiry

    async def read(self, name: str, limit: int, lease_seconds: float) -> list[str]:
        """Lease up to `limit` uuids, oldest first, for `lease_seconds`."""
        _, *uuids = await self._lend(name, limit, lease_seconds)
        return uuids

    async def read_many(self, name: str, limit: int, lease_seconds: float) -> list[str]:
        """`read` in slices, for any `limit`; stops as soon as the list is empty."""
        found: list[str] = []
        while len(found) < limit:
            room = min(CHUNK, limit - len(found))
            later = 0.001 * (len(found) // CHUNK)  # each slice, so that they expire in this order
            uuids = await self.read(name, room, lease_seconds + later)
            found += uuids
            if len(uuids) < room:
                break
        return found

    async def pop(self, name: str, limit: int) -> list[str]:
        """Take up to `limit` uuids, oldest first, for good.

        They are leased and then acknowledged, so those that a crash in between leaves leased
        return to the list.
        """
        uuids = await self.read_many(name, limit, POP_SECONDS)
        await self.acknowledge(name, uuids)
        return uuids

    async def _lend(self, name: str, limit: int, lease_seconds: float) -> list[Any]:
        return list(
            await self._connection.script("lease_egress", name, limit, lease_seconds, CHUNK)
        )

    async def take_back(self) -> None:
        """Return uuids whose lease has ended to the heads of their lists.

        `read` does so too. This is for lists that other programs, or by now a chain, read, and for
        lists that are no longer configured.
        """
        for name in await self._connection.command("SMEMBERS", keys.LENDERS):
            with contextlib.suppress(UnusableKeyError):
                while (await self._lend(name, 0, 0))[0] == CHUNK:
                    pass

    async def acknowledge(self, name: str, vcon_uuids: Sequence[str]) -> int:
        """End the leases of these uuids; how many were leased."""
        count = 0
        for uuids in chunks(vcon_uuids, ACKNOWLEDGED_AT_ONCE):
            words = (name, self._vcon_expiry, *uuids)
            count += int(await self._connection.script("ack_egress", *words))
            await self._places.ended([(each, name) for each in uuids], "read")
        return count
