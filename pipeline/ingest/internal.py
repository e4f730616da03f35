"""What is taken in through our own door: one vCon, checked, normalised, stored and enqueued."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.errors import UnknownNameError
from core.helper_process import Apart, here
from core.observability.metrics import VCONS_RECEIVED
from pipeline.config.parser import Chain
from pipeline.ingest.entry import Entry, entry_apart
from pipeline.ingest.intake import Intake
from pipeline.live_config import Configuration
from schemas.ingested import Ingested


class Ingress:
    """The door through which vCons come in over RPC from whoever may call the service."""

    def __init__(
        self,
        configuration: Configuration,
        max_vcon_bytes: int,
        intake: Intake,
        apart: Apart = here,
    ) -> None:
        """Lists are those of the configuration; `apart` looks at vCons that are given as bytes."""
        self._apart = apart
        self._configuration = configuration
        self._max_vcon_bytes = max_vcon_bytes
        self._intake = intake

    async def take(self, vcon: Mapping[str, Any] | bytes, lists: Sequence[str]) -> Ingested:
        """The vCon's canonical uuid and what came of it; it is stored and in every list named.

        Raises:
            UnknownNameError: for a list that no enabled chain reads.
            InvalidError: with everything that is wrong with the vCon, and where.
            TooLargeError: when it is larger than accepted.
            ConflictError: when other content under its uuid is being processed.
            UnavailableError: when a list is full or Redis is away.
        """
        entry = await self.entry(vcon, [self._reader(name) for name in lists])
        names = _once(lists)
        outcome = await self._intake.ingest(entry, names)
        for name in names:
            VCONS_RECEIVED.count(name, outcome)
        return Ingested(uuid=entry.vcon_uuid, outcome=outcome, warnings=entry.warnings)

    async def entry(self, vcon: Mapping[str, Any] | bytes, chains: Iterable[Chain]) -> Entry:
        """The vCon as it goes into these chains; see `entry_of`."""
        return await entry_apart(self._apart, vcon, self._max_vcon_bytes, chains)

    async def put(self, entry: Entry, key: str | None = None) -> None:
        """Store a vCon that goes into no list, for the request with this idempotency key.

        Raises:
            ConflictError: other content under its uuid is being processed, or the key was used with
                other content.
            UnavailableError: when Redis is away.
        """
        await self._intake.ingest(entry, (), key=key)

    def _reader(self, name: str) -> Chain:
        config = self._configuration.config
        chain = config.chain_reading(name)
        if chain is None:
            raise UnknownNameError("ingress list", name, config.ingress_lists)
        return chain


def _once(lists: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(lists))
