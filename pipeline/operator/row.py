"""A row of the table of operations: an operation, and what carries it out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from core.operator_interfaces import Call, Operation

type Handler = Callable[[Any, Call], Awaitable[BaseModel]]
type Audited = Callable[[Any], tuple[str, Mapping[str, Any]] | None]


def all_arguments(parameters: BaseModel) -> tuple[str, Mapping[str, Any]]:
    """The audit of a change without a target: all arguments that are given."""
    return "", parameters.model_dump(mode="json", exclude_defaults=True)


class Row(NamedTuple):
    """One operation with what carries it out.

    `audited` gives the target and details for the audit (by default all arguments), or None for
    arguments with which nothing is changed, such as a dry run: these need no reason.
    """

    operation: Operation
    handler: Handler
    audited: Audited = all_arguments
    close: Callable[[], Awaitable[None]] | None = None
    """Ends what the operation has begun in this process, before its connections are closed."""


def about(field: str) -> Audited:
    """The audit of a change whose target is one of the arguments; the others are details."""

    def audited(parameters: BaseModel) -> tuple[str, Mapping[str, Any]]:
        detail = parameters.model_dump(mode="json", exclude_defaults=True, exclude={field})
        return str(getattr(parameters, field)), detail

    return audited
