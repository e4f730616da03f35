"""`IngestVcon` without a key: vCons from callers of the service."""

from collections.abc import Iterable, Sequence
from typing import Any

from core.concurrency.helper_process import Offload, call_inline
from core.ingest_interfaces import IngestApi
from core.observability.metrics import UNKNOWN, VCONS_RECEIVED
from pipeline.config.lists import check_unread
from pipeline.config.parser import Chain
from pipeline.ingest.entry import Entry, make_entry
from pipeline.ingest.idempotency import NO_KEY, registration
from pipeline.ingest.intake import Intake
from pipeline.live_config import Configuration
from schemas.ingested import Ingested


class InternalApi:
    """`IngestVcon`: accepts vCons from callers of the service."""

    def __init__(
        self,
        configuration: Configuration,
        max_vcon_bytes: int,
        intake: Intake,
        partners: IngestApi,
        *,
        key_required: bool = False,
        offload: Offload = call_inline,
    ) -> None:
        """`partners` gets requests with a key, and all requests if a key is required.

        `offload` runs the validation of vCons that are given as bytes or text.
        """
        self._partners = partners
        self._key_required = key_required
        self._offload = offload
        self._configuration = configuration
        self._max_vcon_bytes = max_vcon_bytes
        self._intake = intake

    async def take(
        self,
        vcon: object,
        lists: Sequence[str],
        api_key: str | None = None,
        *,
        idempotency_key: str | None = None,
        any_list: bool = False,
    ) -> Ingested:
        """The vCon's canonical uuid and the outcome; it is stored and in every list named.

        Raises the errors of `accept`, or those of `PartnerApi.take`.
        """
        how: Any = {"idempotency_key": idempotency_key, "any_list": any_list}
        if api_key is not None or self._key_required:
            return await self._partners.take(vcon, lists, api_key, **how)
        return await self.accept(vcon, lists, **how)

    async def accept(
        self,
        vcon: object,
        lists: Sequence[str],
        *,
        idempotency_key: str | None = None,
        any_list: bool = False,
    ) -> Ingested:
        """`take` without a key, even where one is required, for a caller known otherwise.

        Raises:
            UnknownNameError: no chain names one of the lists, unless `any_list`.
            InvalidError: with every error in the vCon, and where; or no list may have this name.
            TooLargeError: the vCon exceeds MAX_VCON_BYTES.
            BusyError: other content under its uuid is being processed.
            ReusedKeyError: the key was used for another request.
            UnavailableError: a list is full, or Redis cannot be reached.
        """
        names = list(dict.fromkeys(lists))
        readers = self._readers(names, any_list=any_list)
        entry = await self.entry(vcon, readers.values())
        request = NO_KEY
        if idempotency_key is not None:
            request = registration(idempotency_key, entry.vcon_uuid, names)
        ingested = await self._intake.ingest(entry, names, request=request)
        for name in names:
            VCONS_RECEIVED.count(name if name in readers else UNKNOWN, ingested.outcome)
        return ingested

    def _readers(self, lists: Sequence[str], *, any_list: bool) -> dict[str, Chain]:
        config = self._configuration.config
        readers = {name: chain for name in lists if (chain := config.chain_taking(name))}
        for name in lists:
            if name not in readers:
                check_unread(config, name, any_list=any_list)
        return readers

    async def entry(self, vcon: object, chains: Iterable[Chain]) -> Entry:
        """The validated vCon in canonical form; see `entry_of`."""
        return await make_entry(
            self._offload, vcon, self._max_vcon_bytes, chains, self._configuration.config.law
        )

    async def put(self, entry: Entry, key: str | None = None) -> None:
        """Store a vCon in no list, for the request with this idempotency key.

        Raises:
            BusyError: other content under its uuid is being processed.
            ReusedKeyError: the key was used with other content.
            UnavailableError: Redis cannot be reached.
        """
        await self._intake.ingest(entry, (), key=key, in_custody=False)
