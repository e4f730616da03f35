"""Moving vCon ids between lists: every step is one script, atomic and harmless to repeat."""

import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.observability.tracing import installed
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import WrongTypeError
from pipeline.redis_client.list_states import RedisState, state_of
from pipeline.redis_client.slices import find_first
from pipeline.redis_client.staging import staged

LOCKS_AT_ONCE = 100
"""Locks that one call of a script looks at; other clients of Redis go on in between."""
MOST_UNLOCKED = 10
"""How many of them it removes; so many say that there are more."""
NOT_HELD, WRITTEN, CANCELLED = 0, 1, 2
"""Replies of `journal.lua`; the first changes nothing."""
STALL_EXPIRY = 60
"""Seconds that it is known that a worker has stood still; it dies before, or goes on."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One vCon that this worker now holds. `attempt` counts from 1."""

    list_name: str
    element: str
    vcon_uuid: str
    run_id: str
    attempt: int = 1
    journal: str = ""
    token: int = 0
    """What this claim is told from every other by; later claims have higher ones."""
    context: str = ""
    """The trace context that the producer left for whoever goes on, JSON; mostly none."""
    cancelled: int = 0
    """1 when somebody wants this run to end."""
    envelope: int = 0
    """1 when the vCon is signed or encrypted."""
    critical: str = ""
    """The extensions that the vCon says must be known, as `extensions.named_in` reads them."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a worker got.

    `aside`: one line for each vCon that was put aside since a key of its own has another type.
    `closed`: the lists that were passed over for such a key.
    """

    claims: list[Claim] = field(default_factory=list)
    lease_lost: bool = False
    retry_in: float | None = None
    aside: Sequence[str] = ()
    closed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """How far a run has come: its journal (JSON) and its vCon.

    `document` is the vCon's text when Redis does not have it yet, else empty.
    """

    journal: bytes
    vcon_uuid: str
    document: bytes | str = b""


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a run ends. `dead_letters` are pairs of list and reason (JSON).

    `context` is what the readers of the egress lists link their traces with, JSON or empty.
    """

    record: Record
    saved: bool = False
    egress_lists: Sequence[str] = ()
    dead_letters: Sequence[tuple[str, str]] = ()
    context: str = ""


class Queues:
    """The queue scripts of `pipeline/redis_client/scripts/` as methods."""

    def __init__(
        self,
        connection: RedisConnection,
        *,
        run_expiry: int,
        vcon_expiry: int,
        sorted_set: str = "vcons",
    ) -> None:
        """`run_expiry`, `vcon_expiry`: seconds that a finished run, a stored vCon stay in Redis.

        `sorted_set`: the name of the one with all vCons.
        """
        self._connection = connection
        self._run_expiry = run_expiry
        self._vcon_expiry = vcon_expiry
        self._sorted_set = sorted_set

    async def claim(
        self,
        worker: str,
        want: int,
        lists: Sequence[str],
        outputs: Mapping[str, Sequence[str]] | None = None,
        *,
        suspects: bool = False,
    ) -> Claims:
        """Take up to `want` ids, in turn over the lists in the order given.

        `outputs` has, by list, the lists that its chain forwards to: nothing is taken out of a list
        while a key of another type stands in the place of one of them. `suspects`: only what was
        moved out of these lists because it may have killed a worker; else only the others.
        """
        rows = ["\n".join((name, *(outputs or {}).get(name, ()))) for name in lists]
        traced = int(installed() is not None)
        fresh = [str(uuid.uuid4()) for _ in range(want)]
        words = (want, int(suspects), traced, len(rows), *rows, *fresh)
        reply = await self._connection.script("claim", worker, *words)
        state, wait_ms, aside, closed, *claims = reply
        return Claims(
            claims=[Claim(*row) for row in claims],
            lease_lost=state == "dead",
            retry_in=None if wait_ms < 0 else wait_ms / 1000,
            aside=aside,
            closed=closed,
        )

    async def finish(self, worker: str, claim: Claim, settlement: Settlement) -> bool:
        """End a run; False when this worker no longer held it, and nothing happened."""
        letters = [word for letter in settlement.dead_letters for word in letter]
        return await self._settle(
            *(worker, claim, "finish", settlement.record, 0, settlement.context),
            *(int(settlement.saved), len(settlement.egress_lists), *settlement.egress_lists),
            *(len(settlement.dead_letters), *letters),
        )

    async def retry_later(self, worker: str, claim: Claim, record: Record, seconds: float) -> bool:
        """This attempt failed; run it again after so many seconds. False: no longer held."""
        return await self._settle(worker, claim, "later", record, seconds, claim.context)

    async def set_aside(self, worker: str, claim: Claim, record: Record, seconds: float) -> bool:
        """The same without using an attempt, for a run that cannot be settled as it should be."""
        return await self._settle(worker, claim, "aside", record, seconds, claim.context)

    async def give_back(self, worker: str, claim: Claim, record: Record) -> bool:
        """Back to the head of its list, without using an attempt. False: no longer held."""
        return await self._settle(worker, claim, "return", record, 0, claim.context)

    async def give_back_orphan(self, worker: str, vcon_uuid: str, token: int) -> bool:
        """The same for a claim whose reply never arrived: the worker does not know it holds it."""
        orphan = Claim("", "", vcon_uuid, "", token=token)
        return await self._settle(worker, orphan, "return", Record(b"", vcon_uuid), 0, "")

    async def _settle(
        self, worker: str, claim: Claim, how: str, record: Record, seconds: float, *rest: Any
    ) -> bool:
        document = await staged(self._connection, record.document)
        reply = await self._connection.script(
            "settle",
            *(worker, claim.vcon_uuid, claim.token, how),
            *(record.journal, self._run_expiry, int(seconds * 1000), self._vcon_expiry),
            *(record.vcon_uuid, document, *rest),
        )
        return bool(reply)

    async def checkpoint(self, worker: str, claim: Claim, record: Record) -> int:
        """Write down how far a run has come: `NOT_HELD`, `WRITTEN`, or `CANCELLED`.

        `CANCELLED`: it is written, and a cancellation of the run has been accepted.
        """
        number = time.monotonic_ns()  # before the document is written, which takes its time
        document = await staged(self._connection, record.document)
        reply = await self._connection.script(
            "journal",
            *(worker, claim.vcon_uuid, claim.token, record.journal),
            *(record.vcon_uuid, document, 0, number),
        )
        return int(reply)

    async def cancel(self, run_id: str, now: str) -> str:
        """Cancel a run; its status before, empty when it is not here. `now` is ISO 8601."""
        words = ("cancel", run_id, now, self._run_expiry, self._vcon_expiry)
        reply = await self._connection.script(*words, "", "", "")
        if isinstance(reply, list):
            places = await self._places(*reply)
            reply = await self._connection.script(*words, *places)
        return str(reply)

    async def _places(self, name: str, element: str, vcon_uuid: str) -> list[int | str]:
        """Where a queued run stands in its list, among the suspects, and among what waits."""
        place = f"{name}\n{element}"
        wanted = ((name, element), (keys.suspects(name), element), (keys.waiting(vcon_uuid), place))
        found = [await find_first(self._connection, each, [what]) for each, what in wanted]
        return [next(iter(positions.values()), "-") for positions in found]

    async def note_saved(self, vcon_uuid: str) -> None:
        """A storage has this vCon, though no run put it there: once nobody needs it, it may go."""
        await self._connection.script("saved", vcon_uuid, self._vcon_expiry)

    async def rescue(self, worker: str) -> int:
        """Give back what a dead worker held; how many ids, -1 when it is alive."""
        return int(await self._connection.script("rescue", worker))

    async def bury(self, worker: str) -> None:
        """Give back what a worker held that is known to be dead."""
        await self._connection.command("DEL", keys.worker(worker))
        await self.rescue(worker)

    async def unlock(self) -> AsyncIterator[list[str]]:
        """Remove locks on vCons that no worker has in flight; the uuids, as they are found."""
        cursor = "0"
        while True:
            words = cursor, LOCKS_AT_ONCE, self._vcon_expiry
            cursor, *unlocked = await self._connection.script("unlock", *words)
            if unlocked:
                yield unlocked
            if str(cursor) == "0" and len(unlocked) < MOST_UNLOCKED:
                return

    async def note_stall(self, worker: str, seconds: float) -> None:
        """A worker makes no progress: what it dies of will be told with what it held."""
        words = f"it made no progress for {seconds:.0f} s or more"
        await self._connection.command("SET", keys.stalled(worker), words, "EX", STALL_EXPIRY)

    async def last_death(self, run_id: str) -> str:
        """What is known of the last worker that died with this run, to be put behind a reason."""
        try:
            known = await self._connection.command("GET", keys.death(run_id))
        except WrongTypeError:
            return ""
        return f"; the last time {known}" if known else ""

    async def workers(self) -> list[str]:
        """Every worker id that was ever alive and has not been cleared away."""
        return list(await self._connection.command("SMEMBERS", keys.WORKERS))

    async def held(self, worker: str) -> dict[int, str]:
        """What a worker holds: token -> vCon uuid."""
        flat = await self._connection.command("HGETALL", keys.inflight(worker))
        rows = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return {int(value.partition("\n")[0]): vcon_uuid for vcon_uuid, value in rows}

    async def state(self, lists: Sequence[str]) -> RedisState:
        """How long these lists are, and which of them cannot be used."""
        return await state_of(self._connection, lists, self._sorted_set)

    async def suspects(self, lists: Sequence[str]) -> int:
        """How many vCons of these lists wait for a process of their own; at least whether any."""
        return int(await self._connection.script("suspects", *lists))
