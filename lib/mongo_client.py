"""MongoDB's client for plugins, which import nothing of the service but `lib`."""

from flowlang.mongo_client import mongo_client

__all__ = ["mongo_client"]
