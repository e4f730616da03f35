"""Connects flows to Redis."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.generated import connection_yaml, generate
from flowlang.exceptions import ConnectionError, FlowExecutionError

SCHEMES = ("redis://", "rediss://")

type Outcome = dict[str, Any]


class RedisPlugin(ConnectionPlugin):
    """Reads and writes keys. A value that is no text or number is kept as JSON text."""

    name = "redis"
    description = "Redis"
    category = "caching"

    def __init__(self) -> None:
        super().__init__()
        self._client: Any = None

    def get_config_schema(self) -> dict[str, Any]:
        """A URL, how many connections at most, and how long to wait."""
        seconds = {"type": "number", "default": 5.0, "minimum": 0.1}
        return {
            "type": "object",
            "required": ["url"],
            "properties": {
                "url": {"type": "string", "description": "redis://user:password@host:port/number"},
                "max_connections": {
                    "type": "integer",
                    "default": 50,
                    "minimum": 1,
                    "maximum": 500,
                },
                "decode_responses": {"type": "boolean", "default": True},
                "socket_timeout": seconds,
                "socket_connect_timeout": seconds,
            },
        }

    def get_dependencies(self) -> list[str]:
        """The driver."""
        return ["redis>=5.0.0"]

    def validate_config(self, config: dict[str, Any]) -> tuple[bool, str | None]:
        """The URL's scheme."""
        if not str(config.get("url", "")).startswith(SCHEMES):
            return False, f"url must begin with {' or '.join(SCHEMES)}"
        return True, None

    async def connect(self, config: dict[str, Any]) -> Any:
        """Open the client, and see that the server answers."""
        from redis.asyncio import BlockingConnectionPool, Redis

        seconds = config.get("socket_timeout", 5.0)
        pool = BlockingConnectionPool.from_url(
            config["url"],
            max_connections=config.get("max_connections", 50),
            decode_responses=config.get("decode_responses", True),
            socket_timeout=seconds,
            socket_connect_timeout=config.get("socket_connect_timeout", 5.0),
            timeout=seconds,
        )
        self._client = Redis.from_pool(pool)
        await self._client.ping()
        return self._client

    async def disconnect(self) -> None:
        """Close the client with all its connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def get_connection(self) -> Any:
        """The one client: it takes a connection of its pool for each command."""
        if self._client is None:
            raise ConnectionError("the client is not open")
        return self._client

    def get_builtin_tasks(self) -> dict[str, Callable[..., Any]]:
        """One for each command."""
        names = ("get", "set", "delete", "exists", "expire", "incr", "hgetall", "hset")
        return {f"redis_{name}": getattr(self, name) for name in names}

    async def get(self, connection: Any, key: str) -> Outcome:
        """A text: `value`, None when there is none; `exists`."""
        async with _told("get"):
            value = await connection.get(key)
        return {"value": value, "exists": value is not None}

    async def set(self, connection: Any, key: str, value: Any, ex: int | None = None) -> Outcome:
        """Write a text, for `ex` seconds if that is given: `success`."""
        async with _told("set"):
            return {"success": bool(await connection.set(key, _text(value), ex=ex))}

    async def delete(self, connection: Any, keys: str | list[str]) -> Outcome:
        """Remove keys: `deleted_count`."""
        async with _told("delete"):
            named = _listed(keys)
            return {"deleted_count": await connection.delete(*named) if named else 0}

    async def exists(self, connection: Any, keys: str | list[str]) -> Outcome:
        """How many of these keys are there: `count`; `exists` when all are."""
        async with _told("exists"):
            named = _listed(keys)
            count = await connection.exists(*named) if named else 0
        return {"count": count, "exists": count == len(named) > 0}

    async def expire(self, connection: Any, key: str, seconds: int) -> Outcome:
        """Let a key go after so many seconds: `success`, False when there is none."""
        async with _told("expire"):
            return {"success": bool(await connection.expire(key, seconds))}

    async def incr(self, connection: Any, key: str, amount: int = 1) -> Outcome:
        """Add to a number: `value` after that."""
        async with _told("incr"):
            return {"value": await connection.incrby(key, amount)}

    async def hgetall(self, connection: Any, key: str) -> Outcome:
        """All fields of a hash: `hash`, empty when there is none."""
        async with _told("hgetall"):
            return {"hash": dict(await connection.hgetall(key))}

    async def hset(self, connection: Any, key: str, mapping: Mapping[str, Any]) -> Outcome:
        """Write fields of a hash: `fields_set`, how many are new."""
        async with _told("hset"):
            texts = {name: _text(value) for name, value in mapping.items()}
            return {"fields_set": await connection.hset(key, mapping=texts) if texts else 0}

    def scaffold_connection_config(self, name: str = "cache", **kwargs: Any) -> str:
        """A connection by the URL in `REDIS_URL`."""
        return connection_yaml(name, self.name, url="${env.REDIS_URL}")

    def scaffold_example_flow(
        self, output_dir: str, connection_name: str = "cache", **kwargs: Any
    ) -> None:
        """`redis_example.yaml`: writes a key and reads it again."""
        text = f"""flow: RedisExample
description: Writes a key and reads it again

connections:{self.scaffold_connection_config(connection_name)}
steps:
  - redis_set:
      id: written
      connection: {connection_name}
      key: "flowlang:example"
      value: hello
      ex: 60

  - redis_get:
      id: read
      connection: {connection_name}
      key: "flowlang:example"
      outputs:
        - value

outputs:
  - name: value
    value: ${{read.value}}
"""
        generate(output_dir, "redis_example.yaml", text)


def _listed(keys: str | list[str]) -> list[str]:
    """One key is a list of one, not of its letters."""
    return [keys] if isinstance(keys, str | bytes) else list(keys)


def _text(value: Any) -> Any:
    """What Redis can keep."""
    if isinstance(value, str | bytes | int | float) and not isinstance(value, bool):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


@asynccontextmanager
async def _told(doing: str) -> AsyncIterator[None]:
    try:
        yield
    except Exception as error:
        said = str(error) or type(error).__name__
        raise FlowExecutionError(f"Redis {doing} failed: {said}") from error
