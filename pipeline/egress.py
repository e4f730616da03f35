"""Reading egress lists: uuids are lent out, and come back unless their reader acknowledges them."""

from collections.abc import Sequence

from pipeline.connection import RedisConnection


class Egress:
    """The reader's side of the egress lists."""

    def __init__(self, connection: RedisConnection, *, vcon_expiry: int) -> None:
        """`vcon_expiry`: seconds that a vCon stays once nobody needs it any more."""
        self._connection = connection
        self._vcon_expiry = vcon_expiry

    async def read(self, name: str, limit: int, lease_seconds: float) -> list[str]:
        """Up to `limit` uuids, oldest first; they come back after `lease_seconds`."""
        return list(await self._connection.script("lease_egress", name, limit, lease_seconds))

    async def take_back(self, name: str) -> None:
        """Put what was not acknowledged in time back to the head of its list.

        Reading does so too; this is for readers that take from the list themselves.
        """
        await self.read(name, 0, 0)

    async def acknowledge(self, name: str, vcon_uuids: Sequence[str]) -> int:
        """The reader has them; how many of them were lent out until now."""
        return int(
            await self._connection.script("ack_egress", name, self._vcon_expiry, *vcon_uuids)
        )
