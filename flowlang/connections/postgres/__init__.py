"""PostgreSQL, over psycopg 3 and its pool."""

from flowlang.connections import plugin_registry
from flowlang.connections.postgres.provider import PostgresPlugin

plugin_registry.register(PostgresPlugin())

__all__ = ["PostgresPlugin"]
