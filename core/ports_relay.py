"""Where a replica that has left the Plugboard puts its answers, as the client sees it."""

from typing import NamedTuple, Protocol


class Company(NamedTuple):
    """The other replicas of a service, as far as they have shown themselves lately."""

    serving: int
    """Those that send the answers of others."""
    leaving: int
    """Those that have left and still work."""


class AnswerRelay(Protocol):
    """A list of answers that every replica of a service serves, and a register of the replicas.

    Except for `next_answer`, which waits for Redis, all raise `UnavailableError` when it is away.
    """

    async def next_answer(self, service_id: int, *, serving: bool) -> str | None:
        """Take the next answer; None after some seconds. `serving` shows this replica as such."""
        ...

    async def hand_over(self, service_id: int, text: bytes) -> None:
        """Put one answer into the list, where it stays for half a minute."""
        ...

    async def leave(self, service_id: int, seconds: float) -> Company:
        """Show this replica as leaving, for so long; who else is there."""
        ...

    async def gone(self, service_id: int) -> Company:
        """Take this replica out of the register; who else is there."""
        ...
