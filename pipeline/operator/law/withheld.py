"""Withheld vCons: which there are, and their release.

A release never overrides the law: it is evaluated again here, and by the worker when the run goes
on at its step. A release is a replay of the entry, so it has a row of custody before Redis queues
the new run, and a vCon leaves the list of withheld ones in the same script in which it is queued.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from core.errors import ConflictError, UnknownNameError
from core.operator_interfaces import Call, Operation
from pipeline.admin.dead_letters import DeadLetters, Destination, Selection
from pipeline.config.model import Chain
from pipeline.live_config import Configuration
from pipeline.operator.parts import Parts
from pipeline.operator.row import Row, all_arguments
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.withholding import refusal_text
from pipeline.withheld.evaluating import Evaluation, Records
from pipeline.withheld.listing import WithheldLists, purpose_of, start_of
from schemas.operator.law.withheld import (
    ReleasedVcon,
    ReleaseParameters,
    ReleaseResult,
    WithheldCount,
    WithheldPage,
    WithheldQuery,
    WithheldVcon,
)

WITHHELD = Operation("withheld", "vCons that the law withholds", WithheldQuery, WithheldPage)
RELEASE = Operation(
    "release",
    "Let withheld vCons go on, if the law allows it now",
    ReleaseParameters,
    ReleaseResult,
    changes=True,
)


class Withholding:
    """Lists withheld vCons and releases them."""

    def __init__(
        self,
        connection: RedisConnection,
        configuration: Configuration,
        letters: DeadLetters,
        records: Records,
    ) -> None:
        """`letters` queues what is released. `records`: see `Evaluation`."""
        self._config = configuration
        self._letters = letters
        self._lists = WithheldLists(connection, configuration)
        self._evaluation = Evaluation(connection, configuration, records)

    async def page(self, query: WithheldQuery, _call: Call) -> WithheldPage:
        """A page of withheld vCons, list by list.

        Raises:
            UnknownNameError: no chain has this list.
            InvalidError: the cursor is none.
        """
        first, start = start_of(query.cursor)
        counts = await self._lists.counts(query.list_name)
        found: list[WithheldVcon] = []
        cursor = None
        for name in sorted(each for each in counts if each >= first):
            at = start if name == first else 0
            room = query.limit - len(found)
            found += await self._lists.oldest(name, at, room) if room else []
            if len(found) == query.limit:
                cursor = f"{at + room}:{name}"
                break
        return WithheldPage(
            vcons=found,
            counts=[WithheldCount(list_name=name, count=n) for name, n in counts.items() if n],
            total=sum(counts.values()),
            cursor=cursor,
        )

    async def release(self, wanted: ReleaseParameters, _call: Call) -> ReleaseResult:
        """Queue the vCons whose steps the law allows now.

        Raises:
            UnknownNameError: none of these vCons is withheld, or no chain has this list.
            ConflictError: the law still withholds all of these vCons, or one is being processed.
            UnavailableError: what decides cannot be read; nothing more is released.
        """
        result = ReleaseResult(released=[], withheld=[])
        async for each in self._wanted(wanted):
            outcome = await self._release(each)
            if isinstance(outcome, ReleasedVcon):
                result.released.append(outcome)
            else:
                result.withheld.append(outcome)
        if wanted.vcon_uuids and not result.released:
            _refuse(wanted, result)
        return result

    async def _wanted(self, wanted: ReleaseParameters) -> AsyncIterator[WithheldVcon]:
        for name in await self._lists.counts(wanted.list_name):
            if wanted.vcon_uuids:
                found = await self._lists.named(name, list(dict.fromkeys(wanted.vcon_uuids)))
            else:
                found = await self._lists.oldest(name, 0, wanted.limit)
            for each in found:
                yield each

    async def _release(self, found: WithheldVcon) -> ReleasedVcon | WithheldVcon:
        chain = self._chain_of(found.list_name)
        if chain is None:
            return _still(found, f"no enabled chain reads {found.list_name}")
        purpose = purpose_of(chain, found.kind, found.step)
        if purpose is not None:
            try:
                decision = await self._evaluation.decision(found.vcon_uuid, purpose)
            except LookupError as error:
                return _still(found, str(error))
            if not decision.allowed:
                law, place = decision.error or "", decision.place
                told = {"law": law, "place": place, "purpose": purpose}
                return _still(found.model_copy(update=told), refusal_text(law, place, purpose))
        target = Destination(found.list_name, chain.name)
        runs = await self._letters.replay(
            keys.withheld(found.list_name),
            Selection(lambda _: target, limit=1, vcon_uuids=[found.vcon_uuid]),
        )
        if not runs:
            return _still(found, "it is being processed; try again")
        where = {"vcon_uuid": found.vcon_uuid, "list_name": found.list_name}
        return ReleasedVcon(run_id=runs[0], **where)

    def _chain_of(self, list_name: str) -> Chain | None:
        config = self._config.config
        runs = {keys.run_list(chain.name): chain for chain in config.enabled_chains}
        return config.chain_reading(list_name) or runs.get(list_name)


def _audited(wanted: ReleaseParameters) -> tuple[str, Mapping[str, Any]]:
    """One vCon is the target, so that its timeline shows the release."""
    if len(wanted.vcon_uuids) == 1:
        told = wanted.model_dump(mode="json", exclude_defaults=True, exclude={"vcon_uuids"})
        return f"vcon:{wanted.vcon_uuids[0]}", told
    return all_arguments(wanted)


def _still(found: WithheldVcon, error: str) -> WithheldVcon:
    return found.model_copy(update={"error": error})


def _refuse(wanted: ReleaseParameters, result: ReleaseResult) -> None:
    if not result.withheld:
        raise UnknownNameError("withheld vCon", ", ".join(wanted.vcon_uuids[:5]))
    told = [f"{each.vcon_uuid} in {each.list_name}: {each.error}" for each in result.withheld[:5]]
    raise ConflictError(f"still withheld: {'; '.join(told)}")


def rows(parts: Parts) -> list[Row]:
    """The operations of this subject."""
    letters = parts.operations.letter_lists
    withholding = Withholding(parts.redis, parts.configuration, letters, parts.recorded_bases)
    return [Row(WITHHELD, withholding.page), Row(RELEASE, withholding.release, _audited)]
