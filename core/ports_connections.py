"""What actions may see of connections."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from schemas.connection import ConnectionSummary


class ConnectionDesk(Protocol):
    """Tasks and flows over the service's connections, as far as callers may run them.

    The two that run something raise `UnknownNameError`, `ForbiddenError` for what is not exposed,
    `InvalidError` for parameters that do not fit, `GuestError` for what fails, and `TooLateError`.
    """

    async def connections(self) -> Sequence[ConnectionSummary]:
        """Every connection, tried just now."""
        ...

    async def run_task(
        self, connection: str, task: str, params: Mapping[str, Any], timeout: float
    ) -> dict[str, Any]:
        """The outputs of one task."""
        ...

    async def run_flow(
        self, flow: str, inputs: Mapping[str, Any], timeout: float
    ) -> dict[str, Any]:
        """What came of a flow: `outputs`, and `terminated` and `reason` after an `exit`."""
        ...
