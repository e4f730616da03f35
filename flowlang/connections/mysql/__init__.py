"""MySQL and MariaDB, over asyncmy and its pool."""

from flowlang.connections import plugin_registry
from flowlang.connections.mysql.provider import MysqlPlugin

plugin_registry.register(MysqlPlugin())

__all__ = ["MysqlPlugin"]
