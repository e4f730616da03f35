"""Answers of replicas that have left the Plugboard, in a list that every replica serves."""

import asyncio
import uuid

from core.errors import UnavailableError
from core.interfaces import AnswerRelay, PeerCounts
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection, Reply

KEPT_SECONDS = 30
"""Time to live of an answer: as long as the Plugboard waits for it."""
LOOK_SECONDS = 3.0
"""Seconds that one read waits for an answer; each also renews the replica's registration."""
SHOWN_SECONDS = 10.0
"""A replica counts as dead when its registration is older."""


class RedisAnswerRelay(AnswerRelay):
    """The list and the register in Redis."""

    def __init__(self, connection: RedisConnection, look_seconds: float = LOOK_SECONDS) -> None:
        """Registers under a random name. `look_seconds`: how long one read waits for an answer."""
        self._connection = connection
        self._look_seconds = look_seconds
        self._replica = uuid.uuid4().hex
        self._in_order = asyncio.Lock()
        self._parting = False

    async def next_answer(self, service_id: int, *, serving: bool) -> str | None:
        """Take the oldest answer, waiting `look_seconds` for one; waits while Redis is away."""
        return await self._connection.insist(lambda: self._look(service_id, serving))

    async def _look(self, service_id: int, serving: bool) -> str | None:
        name = keys.answers(service_id)
        try:
            if serving:
                await self._show_serving(service_id)
            if await self._connection.wait_for_element(name, self._look_seconds):
                taken: str | None = await self._connection.command("LPOP", name)
                return taken
        except CommandRefused as error:
            raise _unusable(error) from error
        return None

    async def hand_over(self, service_id: int, text: bytes) -> None:
        """Append one answer."""
        name = keys.answers(service_id)
        try:
            await self._connection.command("RPUSH", name, text)
            await self._connection.command("EXPIRE", name, KEPT_SECONDS)
        except CommandRefused as error:
            raise _unusable(error) from error

    async def _show_serving(self, service_id: int) -> None:
        async with self._in_order:
            if not self._parting:
                await self._show(service_id, "serving", SHOWN_SECONDS)

    async def leave(self, service_id: int, seconds: float) -> PeerCounts:
        """From serving to leaving in one step: two who stop at once see each other do so."""
        return await self._part(service_id, "leaving", seconds)

    async def deregister(self, service_id: int) -> PeerCounts:
        """Forget this replica."""
        return await self._part(service_id, "gone", 0)

    async def _part(self, service_id: int, role: str, seconds: float) -> PeerCounts:
        """Never overtakes a look that shows the replica: peers would rely on a dead one."""
        self._parting = True
        async with self._in_order:
            return await self._show(service_id, role, seconds)

    async def _show(self, service_id: int, role: str, seconds: float) -> PeerCounts:
        register = keys.replicas(service_id)
        try:
            counts: Reply = await self._connection.script(
                "show_replica", register, self._replica, role, seconds
            )
        except CommandRefused as error:
            raise _unusable(error) from error
        return PeerCounts(*counts)


def _unusable(error: CommandRefused) -> UnavailableError:
    return UnavailableError(f"Redis refuses to relay answers: {error}"[:200])
