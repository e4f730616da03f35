"""Flows in YAML over connections to any service: see `docs/connections.md`.

The package stands alone: it needs PyYAML, jsonschema and packaging, and nothing else of this
project. The drivers of its connection plugins are imported when a connection is opened.
"""
