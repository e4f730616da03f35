"""Connects flows to Redis."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowlang.connections.built_in import BuiltInPlugin, task
from flowlang.connections.tls import CHECKS, needs_tls
from flowlang.exceptions import ConnectionError

if TYPE_CHECKING:
    from redis.asyncio import Redis

SECONDS = {"type": "number", "default": 5.0, "minimum": 0.1}

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
        if (size := await connection.strlen(key)) > self._bounds[1]:
            raise ValueError(f"the value has {size} bytes, above max_bytes {self._bounds[1]}")
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
        """All fields of a hash: `hash`, empty when there is none; `truncated` if it has more."""
        kept = self.kept(tuple[Any, Any])
        async for field in connection.hscan_iter(key, count=100):
            if not kept.add(field):
                break
        return {"hash": dict(kept.rows), **kept.told}

    @task
    async def _hset(self, key: str, mapping: Mapping[str, Any], connection: Any = None) -> Outputs:
        """Write fields of a hash: `fields_set`, how many are new."""
        texts = {name: _text(value) for name, value in mapping.items()}
        return {"fields_set": await connection.hset(key, mapping=texts) if texts else 0}


def _has_tls(config: Mapping[str, Any]) -> bool:
    return str(config.get("url")).startswith("rediss://")


def _tls(config: Mapping[str, Any]) -> Outputs:
    """The driver's options, which outdo those in the URL's query."""
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
    """What Redis can keep."""
    if isinstance(value, str | bytes | int | float) and not isinstance(value, bool):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
