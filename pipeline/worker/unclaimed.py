"""What a worker holds in Redis and knows nothing of: nobody runs it, and nobody takes it away.

A claim may have been made though its reply was lost, even long after it was given up on: the words
lay in a socket. While the worker lives, no other one looks for what it holds.
"""

from collections.abc import Container

from pipeline.runs.queues import Queues

ORPHANS_SECONDS = 15.0
"""Seconds between two looks; longer than any reply is waited for."""


class UnclaimedRuns:
    """The claims of one worker that it does not know."""

    def __init__(self, queues: Queues, worker: str, known: Container[int]) -> None:
        """`known` has the tokens of what the worker runs."""
        self._queues = queues
        self._worker = worker
        self._known = known
        self._suspected: set[int] = set()

    async def give_back(self) -> None:
        """To the heads of their lists; for a time when no claim is under way."""
        for token, vcon_uuid in (await self._unknown()).items():
            await self._queues.give_back_orphan(self._worker, vcon_uuid, token)

    async def look(self) -> None:
        """The same for those that were unknown at the last look as well."""
        unknown = await self._unknown()
        for token in unknown.keys() & self._suspected:
            await self._queues.give_back_orphan(self._worker, unknown[token], token)
        self._suspected = set(unknown)

    async def _unknown(self) -> dict[int, str]:
        held = await self._queues.held(self._worker)
        return {token: uuid for token, uuid in held.items() if token not in self._known}
