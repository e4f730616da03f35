"""Checks of values in a flow's YAML; messages name their place."""

import re
from collections.abc import Mapping
from typing import Any

from flowlang.exceptions import FlowValidationError

RESERVED = ("inputs", "env", "context")
"""Names that a path in `${}` may begin with, besides the ids of steps."""
_NAME = re.compile(r"[^\W\d][\w-]*")


def only(given: Mapping[str, Any], known: set[str], place: str) -> None:
    """Check that there are no other keys. Raises FlowValidationError."""
    unknown = sorted(str(key) for key in given if key not in known)
    if unknown:
        told = ", ".join(unknown)
        raise FlowValidationError(f"{place}: unknown {told}; known are {', '.join(sorted(known))}")


def text(value: Any, place: str) -> str:
    """A text that is not empty. Raises FlowValidationError."""
    if not isinstance(value, str) or not value:
        raise FlowValidationError(f"'{place}' must be a text")
    return value


def mapping(value: Any, place: str) -> dict[str, Any]:
    """A mapping, nothing being an empty one. Raises FlowValidationError."""
    if not isinstance(value, Mapping | None):
        raise FlowValidationError(f"'{place}' must be a mapping")
    return dict(value or {})


def items(value: Any, place: str) -> list[Any]:
    """A list. Raises FlowValidationError."""
    if not isinstance(value, list):
        raise FlowValidationError(f"'{place}' must be a list")
    return value


def name(value: Any, place: str) -> str:
    """A name that a path in `${}` can begin with. Raises FlowValidationError."""
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value in RESERVED:
        reserved = ", ".join(RESERVED)
        raise FlowValidationError(
            f"{place}: '{value}' is no name: letters, digits, _ and -, and none of {reserved}"
        )
    return value


def seconds(value: Any, place: str) -> float | None:
    """A number of seconds, or None. Raises FlowValidationError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise FlowValidationError(f"{place}: 'timeout' is a number of seconds above 0")
    return float(value)
