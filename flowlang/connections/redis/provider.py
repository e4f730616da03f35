"""The connection plugin for Redis."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowlang.connections.bounds import Kept, require_room, size_of
from flowlang.connections.built_in import BuiltInPlugin, task
from flowlang.connections.tls import CHECKS, needs_tls
from flowlang.exceptions import ConnectionError

if TYPE_CHECKING:
    from redis.asyncio import Redis

SECONDS = {"type": "number", "default": 5.0, "minimum": 0.1}

PAGE = 50
"""Names of fields that are asked for at once."""
PAGE_WITH_VALUES = 5

type Outputs = dict[str, Any]


class RedisPlugin(BuiltInPlugin):
    """Reads and writes keys. A value that is no text or number is kept as JSON text."""

    name = "redis"
    description = "Redis"
    category = "caching"
    product = "Redis"
    prefix = "redis"
    dependencies = ("redis>=5.0.0",)
    required = ("url",)
    properties = {
        "url": {"type": "string", "description": "redis://user:password@host:port/number"},
        "max_connections": {"type": "integer", "default": 50, "minimum": 1, "maximum": 500},
        "decode_responses": {
            "type": "boolean",
            "default": True,
            "description": "Whether values are texts; otherwise bytes",
        },
        "socket_timeout": SECONDS,
        "socket_connect_timeout": SECONDS,
        **CHECKS,
    }
    schemes = ("redis://", "rediss://")
    scaffold = {"url": "${env.REDIS_URL}"}
    scaffold_name = "cache"

    def __init__(self) -> None:
        super().__init__()
        self._client: Redis | None = None

    def validate_config(self, config: dict[str, Any]) -> tuple[bool, str | None]:
        """Whether it is a URL of Redis, and certificates are named only for one with TLS."""
        told = needs_tls(config, _has_tls(config), "begin the url with rediss://")
        return (False, told) if told else super().validate_config(config)

    async def connect(self, config: dict[str, Any]) -> Any:
        """Open the client, and see that the server answers."""
        from redis.asyncio import BlockingConnectionPool, Redis

        self.bound(config)
        names = ("max_connections", "decode_responses", "socket_timeout", "socket_connect_timeout")
        settings = {name: self.setting(config, name) for name in names}
        pool = BlockingConnectionPool.from_url(
            config["url"], timeout=settings["socket_timeout"], **settings, **_tls(config)
        )
        self._client = Redis.from_pool(pool)
        await self._client.ping()
        return self._client

    async def disconnect(self) -> None:
        """Close the client with all its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def get_connection(self) -> "Redis":
        """The one client: it takes a connection of its pool for each command."""
        if self._client is None:
            raise ConnectionError("Redis is not connected")
        return self._client

    async def check_connection(self, connection: "Redis") -> None:
        """See that the server answers."""
        await connection.ping()

    @task
    async def _get(self, key: str, connection: Any = None) -> Outputs:
        """A text: `value`, None when there is none; `exists`. One above `max_bytes` is refused."""
        require_room(await connection.strlen(key), self._bounds[1], "the value")
        value = await connection.get(key)
        return {"value": value, "exists": value is not None}

    @task
    async def _set(
        self, key: str, value: Any, ex: int | None = None, connection: Any = None
    ) -> Outputs:
        """Write a text, for `ex` seconds if that is given: `success`."""
        return {"success": bool(await connection.set(key, _text(value), ex=ex))}

    @task
    async def _delete(self, keys: str | list[str], connection: Any = None) -> Outputs:
        """Remove keys: `deleted_count`."""
        named = _listed(keys)
        return {"deleted_count": await connection.delete(*named) if named else 0}

    @task
    async def _exists(self, keys: str | list[str], connection: Any = None) -> Outputs:
        """How many of these keys are there: `count`; `exists` when all are."""
        named = _listed(keys)
        count = await connection.exists(*named) if named else 0
        return {"count": count, "exists": count == len(named) > 0}

    @task
    async def _expire(self, key: str, seconds: int, connection: Any = None) -> Outputs:
        """Let a key go after so many seconds: `success`, False when there is none."""
        return {"success": bool(await connection.expire(key, seconds))}

    @task
    async def _incr(self, key: str, amount: int = 1, connection: Any = None) -> Outputs:
        """Add to a number: `value` after that."""
        return {"value": await connection.incrby(key, amount)}

    @task
    async def _hgetall(self, key: str, connection: Any = None) -> Outputs:
        """All fields of a hash: `hash`, empty when there is none; `truncated` if it has more.

        Values are read once it is known how large they are.
        """
        kept, found, cursor = self.kept(object), dict[Any, Any](), None
        while cursor != 0 and not kept.is_cut:
            cursor, names = await _names(connection, key, cursor or 0)
            fitting = await _fitting(connection, key, names, kept)
            values = await connection.hmget(key, fitting) if fitting else []
            found |= zip(fitting, values, strict=True)
        present = {name: value for name, value in found.items() if value is not None}
        return {"hash": present, **kept.told}

    @task
    async def _hset(self, key: str, mapping: Mapping[str, Any], connection: Any = None) -> Outputs:
        """Write fields of a hash: `fields_set`, how many are new."""
        texts = {name: _text(value) for name, value in mapping.items()}
        return {"fields_set": await connection.hset(key, mapping=texts) if texts else 0}


async def _names(connection: Any, key: str, cursor: int) -> tuple[int, list[Any]]:
    """A page of a hash's names; Redis before 7.4 tells them only with their values."""
    from redis.exceptions import ResponseError

    try:
        cursor, names = await connection.hscan(key, cursor, count=PAGE, no_values=True)
    except ResponseError as error:
        if "syntax" not in str(error):
            raise
        cursor, names = await connection.hscan(key, cursor, count=PAGE_WITH_VALUES)
    return cursor, list(names)


async def _fitting(connection: Any, key: str, names: list[Any], kept: Kept[Any]) -> list[Any]:
    """The first of these fields of a hash, as many as there is room for."""
    before = len(kept.rows)
    async with connection.pipeline(transaction=False) as asked:
        for name in names:
            asked.hstrlen(key, name)
        sizes = await asked.execute()
    for name, size in zip(names, sizes, strict=True):
        if not kept.take(size_of(name) + size, lambda: None):
            break
    return names[: len(kept.rows) - before]


def _has_tls(config: Mapping[str, Any]) -> bool:
    return str(config.get("url")).startswith("rediss://")


def _tls(config: Mapping[str, Any]) -> Outputs:
    """The driver's options, which override those in the URL's query."""
    told: Outputs = {}
    if config.get("tls_ca_file"):
        told["ssl_ca_certs"] = config["tls_ca_file"]
    if config.get("tls_verify") is False:
        told |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    return told


def _listed(keys: str | list[str]) -> list[str]:
    """One key is a list of one, not of its letters."""
    return [keys] if isinstance(keys, str | bytes) else list(keys)


def _text(value: Any) -> Any:
    """A value in a form that Redis can store."""
    if isinstance(value, str | bytes | int | float) and not isinstance(value, bool):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
