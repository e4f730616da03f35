"""Claims of this worker in Redis that it does not know, because the reply to the claim was lost.

A lost claim may even be executed later than the worker gives up waiting for it: the command was in
a socket buffer. While the worker lives, no other worker touches its claims, so it returns them
itself.
"""

from collections.abc import Container

from pipeline.runs.queues import Queues

UNCLAIMED_SECONDS = 15.0
"""Seconds between two checks; longer than the wait for any reply."""


class UnclaimedRuns:
    """Finds and returns the unknown claims of one worker."""

    def __init__(self, queues: Queues, worker: str, known: Container[int]) -> None:
        """`known`: the tokens of the claims that the worker runs."""
        self._queues = queues
        self._worker = worker
        self._known = known
        self._suspected: set[int] = set()

    async def give_back(self) -> None:
        """Return unknown claims to their lists; to be called while no claim is in progress."""
        for token, vcon_uuid in (await self._unknown()).items():
            await self._queues.give_back_unknown(self._worker, vcon_uuid, token)

    async def check(self) -> None:
        """Return claims that were unknown at the previous check, too."""
        unknown = await self._unknown()
        for token in unknown.keys() & self._suspected:
            await self._queues.give_back_unknown(self._worker, unknown[token], token)
        self._suspected = set(unknown)

    async def _unknown(self) -> dict[int, str]:
        held = await self._queues.held(self._worker)
        return {token: uuid for token, uuid in held.items() if token not in self._known}
