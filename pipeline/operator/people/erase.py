"""`erase`: delete the vCons of a person wherever they are.

For each batch of vCons, in this order, so that an erasure that was interrupted can be repeated:

1. What waits for Postgres is written, so that the index and the history know every run.
2. A vCon that the index does not know gets a row: it is still found once Redis has forgotten it.
3. The texts of errors are removed from its runs in Postgres, since they may repeat what it said.
4. It is removed from Redis with its queue entries and dead letters, and from the storages. A run
   that holds it is cancelled first, and the vCon tried again at the end. Once Redis no longer has
   it, the checkpoints of its runs go; before, a run would begin again without. What the removal
   wrote is drained, too.
5. The row loses its terms. A row of a vCon that a place may still have stays, with those storages.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from core.db.vcon_index import IndexChange
from core.errors import ConflictError, PatchcordError, UnavailableError, UnusableKeyError
from core.operator_interfaces import Call, Operation
from pipeline.admin.index_members import index_members
from pipeline.admin.operations import CANNOT_DELETE
from pipeline.admin.run_archive import RunOutbox
from pipeline.erasure.removal import Removal, storages_of
from pipeline.erasure.traces import forget_errors
from pipeline.operator.audit import check_unnamed, checked_reason
from pipeline.operator.parts import Parts
from pipeline.operator.people.find import WITHOUT_POSTGRES, Find
from pipeline.operator.people.selection import Selection, Target, select
from pipeline.operator.row import Row
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused
from pipeline.vcon.party_terms import Field, party_terms, split
from schemas.operator.people import (
    ErasedVcon,
    EraseParameters,
    EraseResult,
    Outcome,
    Place,
)

ERASE = Operation(
    "erase",
    "Delete the vCons of a person everywhere",
    EraseParameters,
    EraseResult,
    changes=True,
    people=True,
)

BATCH = 50
BUSY_ROUNDS, BUSY_PAUSE = 20, 0.5
"""Tries, and seconds between them, for vCons that a run held."""
SHOWN = 200
"""Uuids that the audit names."""


class Erase:
    """Erases vCons, or says what an erasure would do."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._index = parts.index
        self._find = Find(parts)
        self._removal = Removal(parts.redis, parts.queues, parts.operations)
        limit = parts.settings.run_history_limit
        self._outbox = RunOutbox(parts.redis, parts.archive.write_runs, limit)

    async def erase(self, wanted: EraseParameters, call: Call) -> EraseResult:
        """Erase the vCons, each with the outcome at each place.

        Raises:
            UnavailableError: Postgres or Redis cannot be reached; it can be repeated.
            InvalidError: there is no reason, or nothing that can be searched.
        """
        selection = await self.selected(wanted, call)
        if wanted.dry_run:
            return _result(wanted, selection, [await self._preview(t) for t in selection.targets])
        await self.audit("erase", wanted, call, {"found": len(selection.targets)})
        erased = await self._all(selection.targets, wanted, call)
        result = _result(wanted, selection, erased)
        done = [each.uuid for each in erased if each.complete][:SHOWN]
        told = {"erased": result.erased, "left": result.left, "vcons": done}
        await self.audit("erased", wanted, call, told)
        return result

    async def selected(self, wanted: EraseParameters, call: Call) -> Selection:
        """The vCons that an erasure would be about.

        Raises:
            UnavailableError: Postgres or Redis cannot be reached.
            InvalidError: there is no reason, or nothing that can be searched.
        """
        if not wanted.dry_run:
            check_unnamed(wanted.given, reason=checked_reason(call))
        await self._outbox.drain_waiting()
        selection = await select(wanted, self._find, self._index, call)
        if WITHOUT_POSTGRES in selection.notes:
            raise UnavailableError(f"{WITHOUT_POSTGRES}; nothing was erased")
        return selection

    async def sought(self, name: Field, value: str) -> Sequence[str]:
        """By what the index finds this value later."""
        return await self._index.sought(name, self._find.form(name, value))

    async def audit(
        self, action: str, wanted: EraseParameters, call: Call, told: dict[str, Any]
    ) -> str:
        """Audit by what was searched without the value: by its hash, which is returned."""
        detail = {**told, "reason": checked_reason(call)}
        target = ""
        if wanted.given:
            [(name, value)] = wanted.given
            known = await self._index.keys()
            target = known.shown(name, self._find.form(name, value))
            detail["by"] = name
        elif len(wanted.uuids) == 1:
            [target] = wanted.uuids
        else:
            detail["uuids"] = wanted.uuids[:SHOWN]
        await self._parts.partner_admin.audit(action, call.author, target, detail)
        return target

    async def _all(
        self, targets: Sequence[Target], wanted: EraseParameters, call: Call
    ) -> list[ErasedVcon]:
        results: dict[str, ErasedVcon] = {}
        for at in range(0, len(targets), BATCH):
            results |= await self._batch(targets[at : at + BATCH], wanted)
            call.progress(f"{min(at + BATCH, len(targets))} of {len(targets)} vCons")
        busy = [each for each in targets if _is_busy(results[each.uuid])]
        for _ in range(BUSY_ROUNDS):
            if not busy:
                break
            await asyncio.sleep(BUSY_PAUSE)
            results |= await self._batch(busy, wanted)
            busy = [each for each in busy if _is_busy(results[each.uuid])]
        return [results[each.uuid] for each in targets]

    async def _batch(
        self, targets: Sequence[Target], wanted: EraseParameters
    ) -> dict[str, ErasedVcon]:
        for target in targets:
            if target.storages is None:
                await self._remember(target, wanted)
        await self._index.scrub_runs([each.uuid for each in targets])
        results = {target.uuid: await self._one(target) for target in targets}
        gone = [name for name, each in results.items() if _left_redis(each)]
        await forget_errors(self._parts.redis, self._index, gone)
        await self._outbox.drain_waiting()
        await forget_errors(self._parts.redis, self._index, gone)
        for result in results.values():
            await self._settle(result)
        return results

    async def _remember(self, target: Target, wanted: EraseParameters) -> None:
        """Give a vCon that the index does not know a row."""
        known = await self._index.keys()
        values = [(name, self._find.form(name, value)) for name, value in wanted.given]
        try:
            members = await index_members(self._parts.redis, target.uuid)
        except (CommandRefused, PatchcordError):
            members = None
        told = [term for key in (members.terms if members else ()) if (term := split(key))]
        terms = [*values, *party_terms(told, self._index.region)]
        change = IndexChange(target.uuid, await self._removal.time())
        change.terms = list(dict.fromkeys(known.kept(*term) for term in terms))
        change.storages = self._storages(target)
        if change.terms or change.storages:
            await self._index.write([change])

    async def _one(self, target: Target) -> ErasedVcon:
        result = ErasedVcon(
            uuid=target.uuid,
            created_at=target.created_at,
            made_from=target.made_from,
            places=[],
        )
        operations, storages = self._parts.operations, self._storages(target)
        try:
            deletion = await operations.remove(target.uuid, storages)
            if await operations.index.present([target.uuid]):  # a reader brought a copy back
                again = await operations.remove(target.uuid, ())
                deletion.removed["redis"] = deletion.removed["redis"] or again.removed["redis"]
        except ConflictError as error:
            await self._removal.cancel(target.uuid)
            result.places = [Place(place="redis", outcome="being processed", error=str(error))]
            return result
        except UnusableKeyError as error:  # another program's key in its place
            result.places = [Place(place="redis", outcome="failed", error=str(error)[:1000])]
            return result
        for name, was_there in deletion.removed.items():
            outcome: Outcome = "deleted" if was_there else "absent"
            result.places.append(Place(place=name, outcome=outcome))
        result.places += [_failed(name, problem) for name, problem in deletion.failed.items()]
        result.complete = not deletion.failed
        return result

    async def _settle(self, result: ErasedVcon) -> None:
        """Forget a vCon that is gone; of another one, remember the storages that may have it."""
        if result.complete:
            await self._index.erase(result.uuid, await self._removal.time())
            return
        known = self._parts.configuration.config.storages
        problems = [each for each in result.places if each.outcome in ("failed", "cannot delete")]
        left = [each.place for each in problems if each.place != "redis" or "redis" in known]
        if left:
            change = IndexChange(result.uuid, await self._removal.time(), storages=left)
            await self._index.write([change])

    async def _preview(self, target: Target) -> ErasedVcon:
        vcon = await self.preview(target)
        vcon.places += [await self.storage_preview(name) for name in self._storages(target)]
        return vcon

    async def preview(self, target: Target) -> ErasedVcon:
        """A vCon with what would be done in Redis."""
        here = await self._parts.operations.index.present([target.uuid])
        is_busy = await self._parts.redis.command("HEXISTS", keys.LOCKS, target.uuid)
        where: Outcome = "being processed" if is_busy else "would be deleted" if here else "absent"
        return ErasedVcon(
            uuid=target.uuid,
            created_at=target.created_at,
            made_from=target.made_from,
            places=[Place(place="redis", outcome=where)],
        )

    async def storage_preview(self, name: str) -> Place:
        """What would be done at a storage."""
        try:
            storage = await self._parts.lookup.storage(name)
        except PatchcordError as error:
            return _failed(name, str(error))
        if storage.delete is None:
            return _failed(name, CANNOT_DELETE)
        return Place(place=name, outcome="would be deleted")

    def _storages(self, target: Target) -> list[str]:
        config = self._parts.configuration.config
        return storages_of(target.storages, target.chains, config)


def _failed(name: str, problem: str) -> Place:
    outcome: Outcome = "cannot delete" if problem == CANNOT_DELETE else "failed"
    return Place(place=name, outcome=outcome, error=problem[:1000])


def _is_busy(result: ErasedVcon) -> bool:
    return any(each.outcome == "being processed" for each in result.places)


def _left_redis(result: ErasedVcon) -> bool:
    """Whether Redis no longer has it; a storage may."""
    return result.places[0].outcome in ("deleted", "absent")


def _result(
    wanted: EraseParameters, selection: Selection, vcons: Sequence[ErasedVcon]
) -> EraseResult:
    complete = sum(each.complete for each in vcons)
    return EraseResult(
        dry_run=wanted.dry_run,
        found=len(vcons),
        erased=complete,
        left=0 if wanted.dry_run else len(vcons) - complete,
        more=selection.more,
        vcons=list(vcons),
        notes=selection.notes,
    )


def _audits_itself(_parameters: BaseModel) -> None:
    """An erasure is audited by the hash of the value; its secret is read from Postgres."""


def rows(parts: Parts) -> Sequence[Row]:
    """The operation of this file."""
    return [Row(ERASE, Erase(parts).erase, _audits_itself)]
