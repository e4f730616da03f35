"""The operations that operators ask for, over RPC, on the command line and on the console.

Each is one row of a table (`pipeline/operator/operations.py`). The surfaces only read arguments and
draw results: what an operation does, whether it is audited, and what its arguments may be is the
same everywhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from schemas.ingress_key import Author


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its arguments and its result are Pydantic models."""

    name: str
    summary: str
    """One line for lists of operations."""
    parameters: type[BaseModel]
    result: type[BaseModel]
    changes: bool = False
    """It changes something: it needs a reason, and is audited before it is done."""
    people: bool = False
    """Its result may have data about people: parties, numbers, texts of conversations."""
    remote: bool = True
    """It is also offered over RPC and on the console, not on the command line alone."""


def _quiet(_text: str) -> None:
    """Discard a line of progress."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation.

    `progress` takes a line for each step of long work; it must not block.
    """

    author: Author
    reason: str = ""
    progress: Callable[[str], None] = _quiet


class OperatorApi(Protocol):
    """The operations of this process."""

    @property
    def operations(self) -> Mapping[str, Operation]:
        """All operations by name."""
        ...

    async def perform(self, name: str, arguments: Mapping[str, Any], call: Call) -> BaseModel:
        """Check the arguments, audit the call if it changes something, and carry it out.

        Raises:
            UnknownNameError: there is no such operation, or no such chain, vCon, key ...
            InvalidError: with `problems`, one for each argument that is not valid; or no reason.
            PatchcordError: what the operation raises.
        """
        ...
