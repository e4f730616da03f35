"""MongoDB, over pymongo's own asyncio client."""

from flowlang.connections import plugin_registry
from flowlang.connections.mongodb.provider import MongodbPlugin

plugin_registry.register(MongodbPlugin())

__all__ = ["MongodbPlugin"]
