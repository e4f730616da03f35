"""Claims and their ends: each step is one Lua script, atomic and harmless to repeat.

Where an element is. An element of an ingress list is a vCon's uuid, of a run list `uuid|run`. At
any time it is in exactly one of: its list, the suspects of that list (`pc:suspects:{list}`), one
worker's in-flight hash, the delayed retries (`pc:later`), or the elements that wait for another run
of the same vCon (`pc:waiting:{uuid}`).

    list --claim--> in flight --finish-----> egress lists, dead-letter lists
      ^                 |------later, aside-> pc:later --(due, next claim)--> list
      |                 |------return-------> head of the list (the worker stops)
      +-----------------+------rescue-------> head of the list (the worker is dead)

Claim. One script pops the element, writes `pc:inflight:{worker}` (uuid -> token, run, list,
element) and locks the vCon in `pc:locks`. While the lock exists, other elements of the vCon wait.

Lease. A worker renews `pc:worker:{id}` three times per lease (`lease.py`), and starts no step
unless the lease is valid by its own clock. While the key exists, no other worker touches its
claims. `rescue` acts only after the key has expired.

Fencing token. Each claim gets the next number of `pc:tokens`. Every write of a run (checkpoint,
settlement, a link's document) passes worker, uuid and token, and changes nothing unless the
in-flight entry has exactly these. So a worker that was suspended for longer than its lease cannot
write over the run of the worker that took over; it gets `Lost` and drops the run.

Settlement. One script removes the in-flight entry and the lock, writes the run, and pushes to
egress lists and dead-letter lists. It happens once for a claim, or not at all.

What can fail, and what happens:
- The reply to a claim is lost: the element is in flight, and the worker does not know. While the
  worker lives, `UnclaimedRuns` returns it; after its death, the rescue does.
- The worker dies in a link or a storage: the rescue returns the element, and the next attempt
  resumes from the checkpoint. Steps after the last checkpoint are repeated, so a plugin runs at
  least once. If the worker held one element, an attempt is charged; of several, any may have killed
  it, so they become suspects, and a suspect worker runs them one at a time.
- The reply to a settlement is lost: it is repeated, finds no entry, and returns False. The run
  ended at the first call.
- The lease runs out while the worker lives: its steps pause, and after the next renewal each run
  writes a checkpoint first, which is refused if another worker has the run (`LeaseGuard`).
- Redis is unavailable: callers repeat until it answers. No attempt is used up.
- A key has another type: the script refuses before it changes anything, and names the key.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from core.observability.storable_text import storable_json
from core.observability.tracing import installed
from core.run_ids import new_run_id
from pipeline.custody.ended import NO_CUSTODY, Ended
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import WrongTypeError
from pipeline.redis_client.list_states import RedisState, state_of
from pipeline.redis_client.slices import find_first
from pipeline.runs.document_writes import written
from pipeline.runs.turns import Turns, in_turn

LOCKS_AT_ONCE = 100
"""Locks that one call of `unlock.lua` reads; other clients of Redis are served in between."""
MOST_UNLOCKED = 10
"""Locks that one call removes at most; so many mean that there may be more."""
NOT_HELD, WRITTEN, CANCELLED = 0, 1, 2
"""Replies of `journal.lua`; the first changes nothing."""
STALL_EXPIRY = 60
"""Seconds that the note about a stalled worker is kept: it is killed before, or goes on."""


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
    """The fencing token: unique, and higher for later claims."""
    context: str = ""
    """The producer's trace context, JSON, or ""."""
    cancelled: int = 0
    """1 when a cancellation of the run is requested."""
    envelope: int = 0
    """1 when the vCon is signed or encrypted."""
    critical: str = ""
    """The extensions that the vCon marks as critical, JSON, as `envelope.named_in` reads it."""
    size: int = -1
    """Bytes of the document; -1 if they are not known, as of vCons that other programs queue."""
    refs: str = ""
    """The rows of custody for its place, separated by spaces."""
    refs_in_redis: str = ""
    """Those of a vCon that was accepted for no list."""
    generation: str = ""
    """The generation of this Redis; "" without custody."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The reply to a claim.

    `aside`: an error for each vCon that was set aside because a key of its own has another type.
    `closed`: the lists that were skipped because of such a key. `paused`: those with elements whose
    chain is paused, or all if the replica is drained. `further`: those that may have more elements.
    `unsure`: recovery has not approved this Redis, so nothing is claimed.
    """

    claims: list[Claim] = field(default_factory=list)
    lease_lost: bool = False
    retry_in: float | None = None
    aside: Sequence[str] = ()
    closed: Sequence[str] = ()
    paused: Sequence[str] = ()
    further: Sequence[str] = ()
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A checkpoint: the run as JSON, and its vCon.

    `document` is the vCon's text if Redis does not have it yet, else empty; `base` the text that
    Redis has, if that is known.
    """

    journal: bytes
    vcon_uuid: str
    document: bytes = b""
    base: bytes | str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a run. `dead_letters` are pairs of list and reason (JSON).

    `context`: the trace context for readers of the egress lists, JSON or "". `version`: the uuid
    of the version of the vCon that these lists get in its place; "" if they get the vCon itself.
    `index_notes`: JSON for the index in Postgres about the vCon that came out of the run, and about
    the one that came in if that is another.
    """

    record: Record
    saved: bool = False
    egress_lists: Sequence[str] = ()
    dead_letters: Sequence[tuple[str, str]] = ()
    context: str = ""
    index_notes: tuple[str, str] = ("", "")
    custody: Ended = NO_CUSTODY
    version: str = ""

    def egress(self) -> list[str]:
        """The egress lists as the script reads them: with the version, if there is one."""
        behind = f"\n{self.version}" if self.version else ""
        return [f"{name}{behind}" for name in self.egress_lists]


@lru_cache(maxsize=1000)
def index_note(chain: str | None, storages: tuple[str, ...]) -> str:
    """A note for `vcon_index`: the chain that a vCon went through, storages that have it since."""
    return storable_json({"chain": chain, "storages": list(storages)}).decode()


class Queues:
    """The queue scripts of `pipeline/redis_client/scripts/` as methods."""

    def __init__(
        self,
        connection: RedisConnection,
        *,
        run_expiry: int,
        vcon_expiry: int,
        sorted_set: str = "vcons",
        replica: str = "",
        gated: bool = False,
    ) -> None:
        """`run_expiry`, `vcon_expiry`: seconds that a finished run, a stored vCon stay in Redis.

        `sorted_set`: the key of the vCons by creation time. `replica`: the id of the service or API
        process, if it has one: while it is drained, `claim` claims nothing. `gated`: nor does it
        on a server that recovery has not approved.
        """
        self._connection = connection
        self._run_expiry = run_expiry
        self._vcon_expiry = vcon_expiry
        self._sorted_set = sorted_set
        self._replica = replica
        self._gated = int(gated)
        self._traced = int(installed() is not None)

    async def claim(
        self,
        worker: str,
        want: int,
        lists: Sequence[str],
        outputs: Mapping[str, Sequence[str]] | None = None,
        *,
        chains: Mapping[str, str] | None = None,
        suspects: bool = False,
        turns: Turns | None = None,
    ) -> Claims:
        """Claim up to `want` elements in the order of `turns`; by default one of each list in turn.

        `outputs`: the lists that each list's chain forwards to; nothing is claimed from a list
        while one of them has another type. `chains`: the chain of each list; nothing is claimed
        while it is paused. `suspects`: claim suspects of these lists only, else only elements that
        are none.
        """
        rows = [
            "\n".join((row, *(outputs or {}).get(name, ())))
            for name, row in zip(lists, _rows(lists, chains), strict=True)
        ]
        fresh = [new_run_id() for _ in range(want)]
        words = (want, int(suspects), self._traced, self._replica, self._gated)
        order = (turns or in_turn(len(rows), want)).words()
        reply = await self._connection.script(
            "claim", worker, *words, *order, len(rows), *rows, *fresh
        )
        state, wait_ms, aside, closed, paused, further, *claims = reply
        return Claims(
            claims=[Claim(*row) for row in claims],
            lease_lost=state == "dead",
            unsure=state == "unsure",
            retry_in=None if wait_ms < 0 else wait_ms / 1000,
            aside=aside,
            closed=closed,
            paused=paused,
            further=further,
        )

    async def finish(self, worker: str, claim: Claim, settlement: Settlement) -> bool:
        """End a run; False if this worker no longer holds it, and nothing changes."""
        letters = [word for letter in settlement.dead_letters for word in letter]
        return await self._settle(
            worker,
            claim,
            "finish",
            settlement.record,
            0,
            settlement.context,
            int(settlement.saved),
            len(settlement.egress_lists),
            *settlement.egress(),
            len(settlement.dead_letters),
            *letters,
            *settlement.index_notes,
            *settlement.custody.words(),
        )

    async def retry_later(self, worker: str, claim: Claim, record: Record, seconds: float) -> bool:
        """End a failed attempt; the next follows after so many seconds. False: no longer held."""
        return await self._settle(worker, claim, "later", record, seconds, claim.context)

    async def set_aside(self, worker: str, claim: Claim, record: Record, seconds: float) -> bool:
        """Like `retry_later`, but the attempt does not count: the run cannot be settled now."""
        return await self._settle(worker, claim, "aside", record, seconds, claim.context)

    async def give_back(self, worker: str, claim: Claim, record: Record) -> bool:
        """Return a claim to the head of its list; the attempt does not count. False: not held."""
        return await self._settle(worker, claim, "return", record, 0, claim.context)

    async def give_back_unknown(self, worker: str, vcon_uuid: str, token: int) -> bool:
        """`give_back` for a claim whose reply was lost: only uuid and token are known."""
        orphan = Claim("", "", vcon_uuid, "", token=token)
        return await self._settle(worker, orphan, "return", Record(b"", vcon_uuid), 0, "")

    async def _settle(
        self, worker: str, claim: Claim, how: str, record: Record, seconds: float, *rest: Any
    ) -> bool:
        before = (
            worker,
            claim.vcon_uuid,
            claim.token,
            how,
            record.journal,
            self._run_expiry,
            int(seconds * 1000),
            self._vcon_expiry,
            record.vcon_uuid,
        )
        document = record.document, record.base
        return bool(await written(self._connection, "settle", before, document, rest))

    async def checkpoint(
        self, worker: str, claim: Claim, record: Record, told: str | None = None
    ) -> int:
        """Write a checkpoint; returns `NOT_HELD`, `WRITTEN`, or `CANCELLED`.

        `CANCELLED`: written, and a cancellation of the run is requested. `told`: see `journal.lua`.
        """
        number = time.monotonic_ns()  # before a large document is staged, which takes time
        before = worker, claim.vcon_uuid, claim.token, record.journal, record.vcon_uuid
        document = record.document, record.base
        after = (0, number) if told is None else (0, number, told)
        return int(await written(self._connection, "journal", before, document, after))

    async def cancel(self, run_id: str, now: str) -> str:
        """Cancel a run; returns its status before, "" if unknown. `now` is ISO 8601."""
        words = ("cancel", run_id, now, self._run_expiry, self._vcon_expiry)
        reply = await self._connection.script(*words, "", "", "")
        if isinstance(reply, list):
            places = await self._places(*reply)
            reply = await self._connection.script(*words, *places)
        return str(reply)

    async def _places(self, name: str, element: str, vcon_uuid: str) -> list[int | str]:
        """A queued run's positions in its list, its suspects, and the waiting elements."""
        place = f"{name}\n{element}"
        wanted = ((name, element), (keys.suspects(name), element), (keys.waiting(vcon_uuid), place))
        found = [await find_first(self._connection, each, [what]) for each, what in wanted]
        return [next(iter(positions.values()), "-") for positions in found]

    async def note_saved(self, vcon_uuid: str, storage: str) -> None:
        """Note that a storage has this vCon: it may expire when no list and no run needs it."""
        note = index_note(None, (storage,))
        await self._connection.script("saved", vcon_uuid, self._vcon_expiry, note)

    async def rescue(self, worker: str) -> int:
        """Return a dead worker's claims to their lists; their number, or -1 if it has a lease."""
        return int(await self._connection.script("rescue", worker))

    async def bury(self, worker: str) -> None:
        """End the lease of a worker that is known to be dead, and return its claims."""
        await self._connection.command("DEL", keys.worker(worker))
        await self.rescue(worker)

    async def unlock(self) -> AsyncIterator[list[str]]:
        """Remove locks on vCons that no worker has in flight; yields their uuids."""
        cursor = "0"
        while True:
            words = cursor, LOCKS_AT_ONCE, self._vcon_expiry
            cursor, *unlocked = await self._connection.script("unlock", *words)
            if unlocked:
                yield unlocked
            if str(cursor) == "0" and len(unlocked) < MOST_UNLOCKED:
                return

    async def note_stall(self, worker: str, seconds: float) -> None:
        """Note that a worker makes no progress, for the errors of its runs if it dies."""
        words = f"it made no progress for {seconds:.0f} s or more"
        await self._connection.command("SET", keys.stalled(worker), words, "EX", STALL_EXPIRY)

    async def last_death(self, run_id: str) -> str:
        """Why the last worker died that held this run alone, to be appended to an error; or ""."""
        try:
            known = await self._connection.command("GET", keys.death(run_id))
        except WrongTypeError:
            return ""
        return f"; the last time {known}" if known else ""

    async def workers(self) -> list[str]:
        """The ids of all workers that have a lease, or may still hold claims."""
        return list(await self._connection.command("SMEMBERS", keys.WORKERS))

    async def held(self, worker: str) -> dict[int, str]:
        """A worker's claims: token -> vCon uuid."""
        flat = await self._connection.command("HGETALL", keys.inflight(worker))
        rows = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return {int(value.partition("\n")[0]): vcon_uuid for vcon_uuid, value in rows}

    async def holds(self, worker: str, claim: Claim) -> tuple[bool, str]:
        """Whether this worker has the claim in flight, and the generation of this Redis."""
        words = worker, claim.vcon_uuid, claim.token
        held, generation = await self._connection.script("held", *words)
        return bool(held), generation

    async def state(self, lists: Sequence[str]) -> RedisState:
        """The lengths of these lists, and the unusable keys."""
        return await state_of(self._connection, lists, self._sorted_set)

    async def suspects(self, lists: Sequence[str], chains: Mapping[str, str] | None = None) -> int:
        """The number of suspects in these lists, or less; 0 only if there are none to claim now.

        `chains`: the chain of each list; suspects of paused chains do not count.
        """
        rows = _rows(lists, chains)
        return int(await self._connection.script("suspects", self._replica, *rows))


def _rows(lists: Sequence[str], chains: Mapping[str, str] | None) -> list[str]:
    """Each list with its chain, for scripts."""
    return [f"{name}\n:{(chains or {}).get(name, '')}" for name in lists]
