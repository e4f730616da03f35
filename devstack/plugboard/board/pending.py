"""Pending requests.

All have the same timeout, so they are in the order of their deadlines, and one timer for the oldest
is enough.
"""

from itertools import takewhile
from typing import NamedTuple

from devstack.plugboard.board.sockets import Requester


class Waiting(NamedTuple):
    """One request; any consumer of its service may answer it until the deadline."""

    service_id: int
    requester: Requester
    deadline: float


class Pending:
    """Pending requests by response_ref; times are loop times in seconds."""

    def __init__(self, answer_timeout: float) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._answer_timeout = answer_timeout

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, ref: str, service_id: int, requester: Requester, now: float) -> None:
        """Add a request."""
        self._waiting[ref] = Waiting(service_id, requester, now + self._answer_timeout)

    def take(self, ref: object, service_id: int) -> Requester | None:
        """Remove a request; None for an unknown, answered, expired or foreign ref."""
        if not isinstance(ref, str):
            return None
        waiting = self._waiting.get(ref)
        if waiting is None or waiting.service_id != service_id:
            return None
        del self._waiting[ref]
        return waiting.requester

    def expire(self, now: float) -> list[Requester]:
        """Remove the requests past their deadline."""
        late = [ref for ref, _ in takewhile(lambda i: i[1].deadline <= now, self._waiting.items())]
        return [self._waiting.pop(ref).requester for ref in late]

    def next_deadline(self) -> float | None:
        """When to call `expire` next; None without pending requests."""
        return next((waiting.deadline for waiting in self._waiting.values()), None)
