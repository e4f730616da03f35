"""Finds unexpected lines in a service's JSON log."""

import json
from typing import Any

PLUGINS = "pipeline.plugins.errors"
"""The logger of failing plugins: their tracebacks are logged by design, the engine's are faults."""
TRACEBACK = "Traceback (most recent call last):"
SHOWN = 1500
"""Characters of each line."""


def unexpected_lines(log: str) -> list[str]:
    """Every line with a traceback, shortened, except those about plugins."""
    return [line[:SHOWN] for line in log.splitlines() if _is_unexpected(line)]


def _is_unexpected(line: str) -> bool:
    fields = _fields(line)
    if fields is None:  # printed by the interpreter
        return TRACEBACK in line
    return "exception" in fields and fields.get("logger") != PLUGINS


def _fields(line: str) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None
