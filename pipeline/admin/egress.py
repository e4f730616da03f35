"""Egress lists: readers lease uuids, which return to the list unless acknowledged in time."""

import contextlib
from collections.abc import Sequence
from typing import Any

from core.errors import UnusableKeyError
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.slices import chunks

CHUNK = 200
"""uuids of one script call, so that other clients of Redis are not held up."""


class Egress:
    """The reader's side of the egress lists."""

    def __init__(self, connection: RedisConnection, *, vcon_expiry: int) -> None:
        """`vcon_expiry`: time to live, in seconds, of a vCon that no list or run holds."""
        self._connection = connection
        self._vcon_expiry = vcon_expiry

    async def read(self, name: str, limit: int, lease_seconds: float) -> list[str]:
        """Lease up to `limit` uuids, oldest first, for `lease_seconds`."""
        _, *uuids = await self._lend(name, limit, lease_seconds)
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
        for uuids in chunks(vcon_uuids, CHUNK):
            words = (name, self._vcon_expiry, *uuids)
            count += int(await self._connection.script("ack_egress", *words))
        return count
