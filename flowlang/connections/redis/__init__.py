"""Redis, over redis-py."""

from flowlang.connections import plugin_registry
from flowlang.connections.redis.provider import RedisPlugin

plugin_registry.register(RedisPlugin())

__all__ = ["RedisPlugin"]
