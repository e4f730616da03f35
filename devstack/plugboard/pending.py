"""Requests that wait for their answer.

All wait equally long, so the order of arrival is the order of deadlines, and one timer for the
oldest is enough.
"""

from itertools import takewhile
from typing import NamedTuple

from devstack.plugboard.sockets import Requester


class Waiting(NamedTuple):
    """One request; any consumer of its service may answer it until the deadline."""

    service_id: int
    requester: Requester
    deadline: float


class Pending:
    """Waiting requests by their response_ref; times are the loop's, in seconds."""

    def __init__(self, answer_timeout: float) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._answer_timeout = answer_timeout

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, ref: str, service_id: int, requester: Requester, now: float) -> None:
        """Start waiting."""
        self._waiting[ref] = Waiting(service_id, requester, now + self._answer_timeout)

    def take(self, ref: object, service_id: int) -> Requester | None:
        """Stop waiting; None for a ref that is unknown, answered, expired or another service's."""
        if not isinstance(ref, str):
            return None
        waiting = self._waiting.get(ref)
        if waiting is None or waiting.service_id != service_id:
            return None
        del self._waiting[ref]
        return waiting.requester

    def expire(self, now: float) -> list[Requester]:
        """Stop waiting for whatever has reached its deadline."""
        late = [ref for ref, _ in takewhile(lambda i: i[1].deadline <= now, self._waiting.items())]
        return [self._waiting.pop(ref).requester for ref in late]

    def next_deadline(self) -> float | None:
        """When to call `expire` next; None when nothing waits."""
        return next((waiting.deadline for waiting in self._waiting.values()), None)
