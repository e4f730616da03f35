"""SQLite, with Python's own driver in a thread."""

from flowlang.connections import plugin_registry
from flowlang.connections.sqlite.provider import SqlitePlugin

plugin_registry.register(SqlitePlugin())

__all__ = ["SqlitePlugin"]
