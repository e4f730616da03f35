"""Media bodies in Redis: the hash `pc:media:{uuid}` of each vCon, a field for each body."""

from collections.abc import Sequence
from typing import ClassVar

from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection


class RedisStore:
    """Bodies beside the documents; Redis parses none of them."""

    kind: ClassVar[str] = "redis"

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def put(self, vcon_uuid: str, name: str, text: bytes) -> None:
        """See `MediaStore`."""
        await self._connection.command("HSET", keys.media(vcon_uuid), name, text)

    def put_from_thread(self, vcon_uuid: str, name: str, text: bytes) -> None:
        """See `MediaStore`."""
        self._connection.command_from_thread("HSET", keys.media(vcon_uuid), name, text)

    async def get(self, vcon_uuid: str, name: str) -> str | None:
        """See `MediaStore`."""
        found: str | None = await self._connection.command("HGET", keys.media(vcon_uuid), name)
        return found

    def get_from_thread(self, vcon_uuid: str, name: str) -> str | None:
        """See `MediaStore`."""
        key = keys.media(vcon_uuid)
        found: str | None = self._connection.command_from_thread("HGET", key, name)
        return found

    async def names(self, vcon_uuid: str) -> list[str]:
        """See `MediaStore`."""
        return list(await self._connection.command("HKEYS", keys.media(vcon_uuid)))

    async def remove(self, vcon_uuid: str, names: Sequence[str]) -> None:
        """See `MediaStore`."""
        await self._connection.command("HDEL", keys.media(vcon_uuid), *names)
