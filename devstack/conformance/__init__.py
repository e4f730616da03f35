"""Checks whether any link, storage or tracer keeps to the rules of plugins; docs/conformance.md."""
