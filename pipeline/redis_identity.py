"""Notices that Redis has lost its data, such as after a restart without persistence.

`pc:epoch` holds a random name, written when there is none. A process remembers the name that it
found first; when the key is gone or has another one, what was queued before is gone, too.
"""

import logging
import uuid

from core.metrics import REDIS_LOSSES
from pipeline import keys
from pipeline.connection import RedisConnection

log = logging.getLogger(__name__)

NAME = "name"
"""The field of `pc:epoch`, which may get others."""


class RedisIdentity:
    """Looks whether this is still the Redis that it was."""

    def __init__(self, connection: RedisConnection) -> None:
        """Nothing is known of it yet."""
        self._connection = connection
        self._known: str | None = None

    async def look(self) -> None:
        """Read the name, or give one; another than before is logged and counted.

        Raises:
            UnavailableError: when Redis cannot be reached.
        """
        found = await self._connection.command("HGET", keys.EPOCH, NAME) or await self._named()
        if self._known is not None and found != self._known:
            REDIS_LOSSES.inc()
            log.error(
                "redis has come back without its data",
                extra={
                    "error": "pc:epoch is not the one this process knows: what was queued or in"
                    " flight is gone; see docs/operations.md"
                },
            )
        self._known = found

    async def _named(self) -> str:
        """The name, which another replica may have given meanwhile."""
        await self._connection.command("HSETNX", keys.EPOCH, NAME, uuid.uuid4().hex)
        return str(await self._connection.command("HGET", keys.EPOCH, NAME))
