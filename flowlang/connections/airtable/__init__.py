"""Airtable, over its HTTP API."""

from flowlang.connections import plugin_registry
from flowlang.connections.airtable.provider import AirtablePlugin

plugin_registry.register(AirtablePlugin())

__all__ = ["AirtablePlugin"]
