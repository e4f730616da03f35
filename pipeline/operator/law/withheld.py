"""Withheld vCons: which there are, and their release.

A release never overrides the law: it is evaluated again here, and by the worker when the run goes
on at its step. A release is a replay of the entry, so it has a row of custody before Redis queues
the new run, and a vCon leaves the list of withheld ones in the same script in which it is queued.
"""

from collections.abc import Mapping
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
from pipeline.withheld.listing import Position, WithheldLists, position_of, purpose_of, start_of
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


REPEATED = 2
"""How often, on average, each vCon of a list is looked at before a release of the list ends.

Some are looked at again when others release them meanwhile, or when they are withheld again.
"""


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

    async def release(self, wanted: ReleaseParameters, call: Call) -> ReleaseResult:
        """Queue the vCons whose steps the law allows now.

        Raises:
            UnknownNameError: none of these vCons is withheld, or no chain has this list.
            ConflictError: the law still withholds all of these vCons, or one is being processed.
            InvalidError: the cursor is none.
            UnavailableError: what decides cannot be read; nothing more is released.
        """
        counts = await self._lists.counts(wanted.list_name)
        result = ReleaseResult()
        if not wanted.vcon_uuids:
            [(name, count)] = counts.items()
            await self._release_list(name, count, wanted, result, call)
            return result
        for name in counts:
            for each in await self._lists.named(name, list(dict.fromkeys(wanted.vcon_uuids))):
                result.add(await self._release(each))
        if not result.released:
            _refuse(wanted, result)
        return result

    async def _release_list(
        self, name: str, count: int, wanted: ReleaseParameters, result: ReleaseResult, call: Call
    ) -> None:
        """Look at a page of a list, or at page after page to its end."""
        position, looked = position_of(wanted.cursor), 0
        most = REPEATED * count if wanted.every else wanted.limit
        while True:
            start = await self._lists.start_at(name, position, wanted.limit)
            page = await self._lists.oldest(name, start, wanted.limit)
            outcomes = [await self._release(each) for each in page]
            for outcome in outcomes:
                result.add(outcome)
            left = [each.vcon_uuid for each in outcomes if isinstance(each, WithheldVcon)]
            position = Position(start + len(left), left[-1] if left else position.last)
            looked += len(page)
            if len(page) < wanted.limit:
                return
            if looked >= most:
                result.cursor = str(position)
                return
            told = f"{result.released_count} released, {result.withheld_count} still withheld"
            call.progress(f"{looked} of {count}: {told}")

    async def _release(self, found: WithheldVcon) -> ReleasedVcon | WithheldVcon:
        chain = self._chain_of(found.list_name)
        if chain is None:
            return _still(found, f"no enabled chain reads {found.list_name}")
        hooks = self._config.config.hooks or {}
        purpose = purpose_of(chain, found.kind, found.step, tuple(hooks.values()))
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
