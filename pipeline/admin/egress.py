"""Reading egress lists: uuids are lent out, and come back unless their reader acknowledges them."""

import contextlib
from collections.abc import Sequence
from typing import Any

from core.errors import UnusableKeyError
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.slices import chunks

CHUNK = 200
"""How many uuids one script call moves or looks at; other clients of Redis go on in between."""


class Egress:
    """The reader's side of the egress lists."""

    def __init__(self, connection: RedisConnection, *, vcon_expiry: int) -> None:
        """`vcon_expiry`: seconds that a vCon stays once nobody needs it any more."""
        self._connection = connection
        self._vcon_expiry = vcon_expiry

    async def read(self, name: str, limit: int, lease_seconds: float) -> list[str]:
        """Up to `limit` uuids, oldest first; they come back after `lease_seconds`."""
        _, *uuids = await self._lend(name, limit, lease_seconds)
        return uuids

    async def _lend(self, name: str, limit: int, lease_seconds: float) -> list[Any]:
        return list(
            await self._connection.script("lease_egress", name, limit, lease_seconds, CHUNK)
        )

    async def take_back(self) -> None:
        """Put what was not acknowledged in time back to the heads of the lists it was lent from.

        Reading does so too; this is for readers that take from a list themselves, and for lists
        that a chain reads by now or that are configured no longer.
        """
        for name in await self._connection.command("SMEMBERS", keys.LENDERS):
            with contextlib.suppress(UnusableKeyError):
                while (await self._lend(name, 0, 0))[0] == CHUNK:
                    pass

    async def acknowledge(self, name: str, vcon_uuids: Sequence[str]) -> int:
        """The reader has them; how many of them were lent out until now."""
        count = 0
        for uuids in chunks(vcon_uuids, CHUNK):
            words = (name, self._vcon_expiry, *uuids)
            count += int(await self._connection.script("ack_egress", *words))
        return count
