"""What is asked and recorded when a vCon is written to a storage outside any run (`StoreVcon`).

As in a worker (`pipeline/worker/admission.py`): a storage with `requires` gets it only if the law
allows its purpose now, a storage of a chain with `custody` only once the delivery is committed.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from core.concurrency.thread_pool import BoundedCalls, in_own_thread
from core.db.law.deliveries import Deliveries, NewDelivery
from core.errors import ConflictError, GoneError, UnknownNameError
from pipeline.ledger.basis import NO_BASIS, Basis
from pipeline.ledger.deliveries import seen
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.withholding import refusal_text
from pipeline.withheld.evaluating import Evaluation, Records

type Save = Callable[[], Awaitable[str | None]]
"""Writes the vCon; the error, or None."""


class SavesOutsideRuns:
    """Admits saves, and records them."""

    def __init__(
        self,
        configuration: Configuration,
        connection: RedisConnection,
        bases: Records,
        deliveries: Deliveries,
        calls: BoundedCalls,
    ) -> None:
        """`calls` carries the calls of `deliveries`."""
        self._configuration = configuration
        self._connection = connection
        self._evaluation = Evaluation(connection, configuration, bases)
        self._deliveries = deliveries
        self._calls = calls

    async def basis(self, storage: str, vcon_uuid: str) -> Basis:
        """What allows a storage to get a vCon that Redis has.

        Raises:
            ConflictError: nothing does.
            UnknownNameError: Redis has it no longer.
            UnavailableError: Redis or Postgres cannot be reached.
        """
        purpose = self._configuration.config.storages[storage].requires
        if purpose is None:
            return NO_BASIS
        try:
            found = await self._evaluation.decision(vcon_uuid, purpose)
        except LookupError:
            raise UnknownNameError("vCon", vcon_uuid) from None
        if not found.allowed:
            text = refusal_text(found.error or "", found.place, purpose)
            raise ConflictError(f"storage {storage}: {text}")
        return Basis(purpose, found.profile, found.place)

    async def save(self, storage: str, vcon_uuid: str, basis: Basis, save: Save) -> str | None:
        """Write the vCon to the storage; the error, or None.

        Raises:
            GoneError: the vCon is erased.
            UnknownNameError: Redis has it no longer.
            UnavailableError: Redis or Postgres cannot be reached; whether it was written is then
                as `GetCustody` tells.
        """
        if not self._is_recorded(storage):
            return await save()
        delivery = await self._begun(storage, vcon_uuid, basis)
        error = await save()
        kind = None if error is None else error.partition(":")[0][:100]
        await self._calls(self._deliveries.end, delivery, "failed" if error else "ok", kind)
        return error

    def _is_recorded(self, storage: str) -> bool:
        chains = [each for each in self._configuration.config.chains.values() if each.custody]
        return any(each.name == storage for chain in chains for each in chain.storages)

    async def _begun(self, storage: str, vcon_uuid: str, basis: Basis) -> int:
        text: Any = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid))
        if text is None:
            raise UnknownNameError("vCon", vcon_uuid)
        new = NewDelivery(
            vcon_uuid=vcon_uuid,
            kind="storage",
            name=storage,
            digest=(await in_own_thread(seen, text))[0],
            purpose=basis.purpose,
            profile=basis.profile,
            basis=basis.place,
        )
        [delivery] = await self._calls(self._deliveries.begin, [new])
        if delivery is None:
            raise GoneError(vcon_uuid)
        return delivery
