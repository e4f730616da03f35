"""Connections to services: the plugins that know how, and what keeps them open.

A plugin's package registers itself when it is imported:
`plugin_registry.register(MyServicePlugin())`.
"""

from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.registry import ConnectionPluginRegistry

plugin_registry = ConnectionPluginRegistry(__name__, __path__)
"""Every plugin that was found: built-in, in a plugin folder, or an installed distribution's."""

__all__ = ["ConnectionPlugin", "ConnectionPluginRegistry", "plugin_registry"]
