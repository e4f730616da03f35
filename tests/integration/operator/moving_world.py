"""A pipeline that moves at random between any two commands of a backup, and what it owes.

Ids come in by the service's script and from other programs; workers claim, write checkpoints, fail,
give back, die and replace vCons by others; readers borrow, acknowledge and simply take. After the
restore, `missing` names what the promise of the backup does not find.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Claim, Queues, Record, Settlement

IN, OUT, RUNS, CHAIN = "in", "out", "run:main", "main"
LETTERS = f"DLQ:{IN}"
MOST_LATE = 60
"""vCons that come in during a backup."""
PLACES = """
local found = {}
local function add(place, elements)
  for _, element in ipairs(elements) do
    found[#found + 1] = place
    found[#found + 1] = string.match(element, '([^\\n|]*)|?[^\\n|]*$')
  end
end
for _, list in ipairs({'in', 'run:main', 'pc:suspects:in', 'pc:suspects:run:main'}) do
  add('queued', redis.call('LRANGE', list, 0, -1))
end
add('queued', redis.call('ZRANGE', 'pc:later', 0, -1))
for _, key in ipairs(redis.call('KEYS', 'pc:waiting:*')) do
  add('queued', redis.call('LRANGE', key, 0, -1))
end
for _, key in ipairs(redis.call('KEYS', 'pc:inflight:*')) do
  add('queued', redis.call('HKEYS', key))
end
add('out', redis.call('LRANGE', 'out', 0, -1))
add('out', redis.call('ZRANGE', 'pc:lease:out', 0, -1))
add('dead', redis.call('LRANGE', 'DLQ:in', 0, -1))
return found
"""


@dataclass
class Held:
    """A claim with what its worker knows."""

    worker: str
    claim: Claim
    vcon: str
    is_late: bool
    """Claimed since the backup began."""


@dataclass
class MovingWorld:
    """The moves; `accepted` has every vCon that came in before `freeze`."""

    redis: RedisConnection
    queues: Queues
    chance: random.Random
    accepted: set[str] = field(default_factory=set)
    became: dict[str, str] = field(default_factory=dict)
    """vCon -> the one that a link has put in its place."""
    written: set[str] = field(default_factory=set)
    """vCons whose finished runs are in Postgres."""
    read: set[str] = field(default_factory=set)
    """vCons that a reader has taken for good."""
    ended: set[str] = field(default_factory=set)
    """vCons with a run that was claimed after the backup began, and has ended."""
    writes: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    _held: list[Held] = field(default_factory=list)
    _is_frozen: bool = False
    _late: int = 0

    def freeze(self) -> None:
        """The backup begins: what comes in from now on is not promised."""
        self._is_frozen = True

    async def move(self, times: int = 1) -> None:
        """Some random moves."""
        moves: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._ingest, 5),
            (self._push, 8),
            (self._request_run, 2),
            (self._claim, 5),
            (self._work, 12),
            (self._borrow, 2),
            (self._acknowledge, 2),
            (self._take, 1),
            (self._drain, 2),
            (self._die, 1),
        ]
        if self._is_frozen and self._late >= MOST_LATE:  # or the backup would never catch up
            moves = moves[3:]
        for _ in range(times):
            [(move, _)] = self.chance.choices(moves, [weight for _, weight in moves])
            await move()

    def _new(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def _accept(self, vcon_uuid: str) -> None:
        if self._is_frozen:
            self._late += 1
        else:
            self.accepted.add(vcon_uuid)

    async def _ingest(self) -> None:
        vcon_uuid = self._new()
        words = (vcon_uuid, _document(vcon_uuid, 0), 7, "digest", "vcons", 100_000, "")
        await self.redis.script("ingest", *words, "", "", "", "", "", "", "", 1, IN)
        self._accept(vcon_uuid)

    async def _push(self) -> None:
        """Another program's: a new vCon, or before the backup one again, in flight or not."""
        again = sorted(self.accepted) if not self._is_frozen else []
        if again and self.chance.random() < 0.3:
            await self.redis.command("RPUSH", IN, self.chance.choice(again))
            return
        vcon_uuid = self._new()
        await self.redis.command("JSON.SET", keys.vcon(vcon_uuid), ".", _document(vcon_uuid, 0))
        await self.redis.command("RPUSH", IN, vcon_uuid)
        self._accept(vcon_uuid)

    async def _request_run(self) -> None:
        vcon_uuid, run = self._new(), self._new()
        await self.redis.command("JSON.SET", keys.vcon(vcon_uuid), ".", _document(vcon_uuid, 0))
        journal = _journal(run, vcon_uuid, vcon_uuid, 0, "queued")
        await self.redis.script("enqueue_run", vcon_uuid, run, CHAIN, journal, "", "", "", 1000, "")
        self._accept(vcon_uuid)

    async def _claim(self) -> None:
        worker = self.chance.choice(("one", "two"))
        await self.redis.script("renew", worker, 600_000)
        claims = await self.queues.claim(
            worker,
            self.chance.randint(1, 3),
            [IN, RUNS],
            {IN: [OUT], RUNS: [OUT]},
            suspects=self.chance.random() < 0.3,
        )
        for claim in claims.claims:
            earlier = json.loads(claim.journal) if claim.journal else {}
            vcon_uuid = earlier.get("vcon_out", claim.vcon_uuid)
            self._held.append(Held(worker, claim, vcon_uuid, self._is_frozen))

    async def _work(self) -> None:
        if not self._held:
            return
        held = self.chance.choice(self._held)
        ends = (self._finish, self._finish, self._later, self._return)
        if self.chance.random() < 0.5:
            await self._checkpoint(held)
            return
        self._held.remove(held)
        await self.chance.choice(ends)(held)

    def _record(self, held: Held, status: str = "running") -> Record:
        """A checkpoint with the number of the document's writes so far, and that document."""
        claim, written = held.claim, self.writes[held.vcon] + 1
        self.writes[held.vcon] = written
        journal = _journal(claim.run_id, claim.vcon_uuid, held.vcon, written, status)
        return Record(journal.encode(), held.vcon, _document(held.vcon, written))

    async def _checkpoint(self, held: Held) -> None:
        if held.vcon == held.claim.vcon_uuid and self.chance.random() < 0.6:
            held.vcon = self.became[held.vcon] = self._new()
        await self.queues.checkpoint(held.worker, held.claim, self._record(held))

    async def _finish(self, held: Held) -> None:
        is_dead = self.chance.random() < 0.2
        reason = json.dumps({"error": "no", "run_id": held.claim.run_id, "list_name": IN})
        settlement = Settlement(
            self._record(held, "failed" if is_dead else "done"),
            egress_lists=() if is_dead else (OUT,),
            dead_letters=((LETTERS, reason),) if is_dead else (),
        )
        if await self.queues.finish(held.worker, held.claim, settlement):
            self.finished += 1
            if held.is_late:
                self.ended.add(held.claim.vcon_uuid)

    async def _later(self, held: Held) -> None:
        await self.queues.retry_later(
            held.worker, held.claim, self._record(held), self.chance.choice((0, 0, 3600))
        )

    async def _return(self, held: Held) -> None:
        await self.queues.give_back(held.worker, held.claim, self._record(held))

    async def _die(self) -> None:
        worker = self.chance.choice(("one", "two"))
        await self.queues.bury(worker)
        self._held = [held for held in self._held if held.worker != worker]

    async def _borrow(self) -> None:
        lease = self.chance.choice((0, 3600))
        await self.redis.script("lease_egress", OUT, self.chance.randint(1, 5), lease, 10)

    async def _acknowledge(self) -> None:
        lent = await self.redis.command("ZRANGE", f"pc:lease:{OUT}", 0, -1)
        some = self.chance.sample(lent, min(len(lent), 2))
        if some:
            await self.redis.script("ack_egress", OUT, 3600, *some)
            self.read.update(some)

    async def _take(self) -> None:
        taken = await self.redis.command("LPOP", OUT)
        self.read.update([taken] if taken else [])

    async def _drain(self) -> None:
        runs = await self.redis.command("LRANGE", keys.HISTORY, 0, 4)
        if runs:
            self.written.update(json.loads(run)["vcon_in"] for run in runs)
            await self.redis.script("drain_history", len(runs), runs[0])

    async def places(self) -> dict[str, set[str]]:
        """The vCons that are queued (in any place), in egress, and dead letters."""
        flat = await self.redis.command("EVAL", PLACES, 0)
        found: dict[str, set[str]] = {"queued": set(), "out": set(), "dead": set()}
        for place, vcon_uuid in zip(flat[::2], flat[1::2], strict=True):
            found[place].add(vcon_uuid)
        return found

    async def missing(self, before: dict[str, set[str]]) -> dict[str, str]:
        """What is not where it should be; `before`: the places when the backup ended."""
        after, lost = await self.places(), dict[str, str]()
        history = await self.redis.command("LRANGE", keys.HISTORY, 0, -1)
        recorded = self.written | {json.loads(run)["vcon_in"] for run in history}
        for vcon_uuid in self.accepted:
            ends = {vcon_uuid, self.became.get(vcon_uuid, vcon_uuid)}
            if vcon_uuid in after["queued"]:
                continue
            if vcon_uuid in before["queued"] and vcon_uuid not in self.ended:
                lost[vcon_uuid] = "had not ended"
            elif vcon_uuid not in recorded:
                lost[vcon_uuid] = "is in no history"
            elif ends & before["out"] and not ends & after["out"]:
                lost[vcon_uuid] = "was in egress"
            elif vcon_uuid in before["dead"] and vcon_uuid not in after["dead"]:
                lost[vcon_uuid] = "was a dead letter"
        return lost | await self._inconsistent(after)

    async def _inconsistent(self, after: dict[str, set[str]]) -> dict[str, str]:
        """Places without a document, and checkpoints that are ahead of their documents."""
        wrong = {}
        for vcon_uuid in set().union(*after.values()):
            if not await self.redis.command("EXISTS", keys.vcon(vcon_uuid)):
                wrong[vcon_uuid] = "has no document"
        for name in (IN, RUNS):
            attempts = await self.redis.command("HGETALL", f"pc:attempts:{name}")
            for element, value in _pairs(attempts):
                text = await self.redis.command("GET", keys.run(value.split("\n")[1]))
                run = json.loads(text or '{"writes": 0, "vcon_out": ""}')
                document = await self.redis.command("JSON.GET", keys.vcon(run["vcon_out"]))
                if run["writes"] > json.loads(document or '{"writes": 0}')["writes"]:
                    wrong[element] = "has a checkpoint that is ahead of its document"
        return wrong

    async def end_all(self) -> None:
        """Run everything to its end, as workers of a restored system do."""
        for _ in range(10_000):
            self._held.clear()
            for suspects in (False, True):
                await self.redis.script("renew", "new", 600_000)
                claims = await self.queues.claim("new", 10, [IN, RUNS], suspects=suspects)
                for claim in claims.claims:
                    await self._finish(Held("new", claim, claim.vcon_uuid, is_late=False))
            later = await self.redis.command("ZRANGE", keys.LATER, 0, -1)
            if later:
                due = [word for each in later for word in ("0", each)]
                await self.redis.command("ZADD", keys.LATER, *due)
            if not (await self.places())["queued"]:
                return
        raise AssertionError(await self.places())


def _document(vcon_uuid: str, writes: int) -> str:
    return json.dumps({"uuid": vcon_uuid, "writes": writes})


def _journal(run: str, vcon_in: str, vcon_out: str, writes: int, status: str) -> str:
    told: dict[str, Any] = {"run_id": run, "chain": CHAIN, "vcon_in": vcon_in}
    told |= {"vcon_out": vcon_out, "status": status, "writes": writes}
    return json.dumps(told, separators=(",", ":"))


def _pairs(flat: Any) -> list[tuple[str, str]]:
    return (
        list(flat.items())
        if isinstance(flat, dict)
        else list(zip(flat[::2], flat[1::2], strict=True))
    )
