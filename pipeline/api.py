"""The pipeline as actions see it: `core.interfaces.Pipeline`."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from core.errors import InvalidError, UnknownNameError
from core.observability.redaction import KNOWN
from pipeline.admin.connections import ConnectionsApi
from pipeline.admin.operations import PipelineOperations
from pipeline.admin.runs import Runs
from pipeline.config.lists import lists_beside
from pipeline.config.parser import Chain
from pipeline.ingest.admin import PartnerAdmin
from pipeline.ingest.internal import InternalApi
from pipeline.ingest.partner import PartnerApi
from pipeline.ledger.basis import Basis
from pipeline.ledger.outside_runs import SavesOutsideRuns
from pipeline.live_config import Configuration
from pipeline.operator.operations import OperatorOperations
from pipeline.operator.sessions import RedisConsoleSessions
from pipeline.plugins.loader import LoadedStorage
from pipeline.redis_client.list_states import ListState
from pipeline.runs.calls import PluginCalls
from pipeline.runs.queues import Queues
from pipeline.storages.lookup import VconLookup, formed
from pipeline.vcon.normalization import outgoing
from pipeline.vcon_server.configuration import ConfigurationAdmin
from pipeline.vcon_server.operations import VconServerOperations
from schemas.chain import ChainSummary, ListDepth
from schemas.run import Run, Step
from schemas.uuids import canonical_uuid


class PipelineService:
    """Ingest, run, find and save vCons."""

    def __init__(
        self,
        configuration: Configuration,
        internal: InternalApi,
        partners: PartnerApi,
        lookup: VconLookup,
        runs: Runs,
        calls: PluginCalls,
        queues: Queues,
        operations: PipelineOperations,
        vcon_server: VconServerOperations,
        configuration_admin: ConfigurationAdmin,
        partner_admin: PartnerAdmin,
        connections: ConnectionsApi,
        operator: OperatorOperations,
        console_sessions: RedisConsoleSessions,
        saves: SavesOutsideRuns,
        egress_format: str,
    ) -> None:
        """`saves` is asked before a storage gets a vCon outside of a run.

        `egress_format` is the setting EGRESS_FORMAT_VERSION: the form of vCons in answers.
        """
        self._saves = saves
        self._egress_format = egress_format
        self.internal = internal
        self.partners = partners
        self.operations = operations
        self.vcon_server = vcon_server
        self.configuration_admin = configuration_admin
        self.partner_admin = partner_admin
        self.connections = connections
        self.operator = operator
        self.console_sessions = console_sessions
        self._configuration = configuration
        self._lookup = lookup
        self._runs = runs
        self._calls = calls
        self._queues = queues

    @property
    def ingress_lists(self) -> Sequence[str]:
        """The lists that chains read; what comes in for a disabled one waits."""
        return self._configuration.config.intake_lists

    async def run_chain(
        self,
        chain: str,
        vcon: str | Mapping[str, Any] | bytes,
        wait: float,
        idempotency_key: str | None = None,
        waiting: AbstractContextManager[None] | None = None,
    ) -> Run:
        """Run one chain on one vCon; the run when it is finished, or after `wait` seconds.

        `waiting` is entered while it only waits for the run.

        The same key again within a day, on any replica, gives the run that was requested first.

        Raises:
            UnknownNameError: the chain or vCon does not exist.
            InvalidError: the chain is disabled, or the vCon is not valid.
            ReusedKeyError: the key was used for another chain or vCon, or for other content of it.
        """
        run_id = await self._requested(self._enabled(chain), vcon, idempotency_key)
        if wait <= 0:
            return await self._runs.find(run_id)
        with waiting or nullcontext():
            return await self._runs.wait(run_id, wait)

    async def _requested(
        self, chain: Chain, vcon: str | Mapping[str, Any] | bytes, key: str | None
    ) -> str:
        entry = None if isinstance(vcon, str) else await self.internal.entry(vcon, [chain])
        named = entry.vcon_uuid if entry else canonical_uuid(vcon) or str(vcon)
        digests = entry.digests if entry else ()
        if key is not None:  # first, since `put` would store the document again
            known = await self._runs.requested(key, chain.name, named, digests)
            if known is not None:
                return known
        if entry:
            await self.internal.put(entry, key)
        else:
            named = await self._lookup.bring_back(named, [chain])
        return await self._runs.start(chain.name, named, key, digests)

    async def cancel_run(self, run_id: str) -> Run:
        """Stop a run before its next link; see `Runs.cancel`."""
        return await self._runs.cancel(run_id)

    def _enabled(self, name: str) -> Chain:
        chain = self._configuration.config.chains.get(name)
        if chain is None:
            raise UnknownNameError("chain", name, list(self._configuration.config.chains))
        if chain.broken:
            msg = f"chain {name} is disabled, as it is broken: {'; '.join(chain.broken)}"
            raise InvalidError(KNOWN.sentence(msg))
        if not chain.enabled:
            msg = f"chain {name} is disabled in the configuration"
            raise InvalidError(msg)
        return chain

    async def _in_redis(self, vcon: str | Mapping[str, Any] | bytes) -> str:
        if isinstance(vcon, str):
            return await self._lookup.bring_back(vcon)
        return (await self.internal.accept(vcon, ())).uuid

    async def find_run(self, run_id: str) -> Run:
        """A run in Redis or in the history."""
        return await self._runs.find(run_id)

    async def save(
        self, vcon: str | Mapping[str, Any] | bytes, storages: Sequence[str]
    ) -> list[Step]:
        """Write one vCon to storages now, concurrently; one step each.

        Raises:
            UnknownNameError: a storage or the vCon does not exist.
            ConflictError: the law does not allow one of the storages; none gets the vCon.
            GoneError: the vCon is erased.
        """
        names = list(dict.fromkeys(storages))
        loaded = [await self._lookup.storage(name) for name in names]
        vcon_uuid = await self._in_redis(vcon)
        bases = [await self._saves.basis(name, vcon_uuid) for name in names]
        given = zip(loaded, bases, strict=True)
        return await asyncio.gather(*(self._save_one(*each, vcon_uuid) for each in given))

    async def _save_one(self, storage: LoadedStorage, basis: Basis, vcon_uuid: str) -> Step:
        began = time.perf_counter()
        save = partial(self._calls.save, storage, vcon_uuid)
        error = await self._saves.save(storage.name, vcon_uuid, basis, save)
        if error is None:
            await self._queues.note_saved(vcon_uuid, storage.name)
        return Step(
            name=storage.name,
            kind="storage",
            outcome="ok" if error is None else "failed",
            seconds=round(time.perf_counter() - began, 6),
            error=error,
        )

    async def find_vcon(self, vcon_uuid: str, storage: str | None) -> dict[str, Any]:
        """A vCon from Redis or any storage, or only from the one named, in the egress format."""
        if storage is None:
            document = await self._lookup.find(vcon_uuid)
        else:
            document = await self._lookup.find_in(storage, vcon_uuid)
        return await formed(document, partial(outgoing, form=self._egress_format))

    async def chains(self) -> list[ChainSummary]:
        """Every chain with its parts and the depth of its lists."""
        return [await self._summary(chain) for chain in self._configuration.config.chains.values()]

    async def _summary(self, chain: Chain) -> ChainSummary:
        shown = [*chain.ingress_lists, *chain.egress_lists]
        state = await self._queues.state(_once([*shown, *lists_beside(chain)]))
        return ChainSummary(
            name=chain.name,
            enabled=chain.is_on,
            links=[link.name for link in chain.links],
            storages=[storage.name for storage in chain.storages],
            ingress_lists=[_depth(name, state.lists[name]) for name in chain.ingress_lists],
            egress_lists=[_depth(name, state.lists[name]) for name in chain.egress_lists],
            errors=[error for name, error in state.unusable.items() if name not in shown],
            broken=[KNOWN.sentence(each) for each in chain.broken],
        )


def _depth(name: str, state: ListState) -> ListDepth:
    return ListDepth(name=name, depth=state.depth + state.suspects, error=state.error or None)


def _once(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
