"""All that partners need: their door, their keys, and what is written down of them."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import NamedTuple, Self

from core.db.usage_and_audit import PartnerRecords
from core.errors import UnavailableError
from core.helper_process import Offload, call_inline
from core.settings import Settings
from core.thread_pool import BoundedCalls, in_own_thread
from pipeline.ingest.admin import PartnerAdmin
from pipeline.ingest.intake import Intake
from pipeline.ingest.key_cache import STALE, FailedKeys, KeyCache, hashed
from pipeline.ingest.outboxes import OwnerOutbox
from pipeline.ingest.partner import PartnerApi
from pipeline.live_config import Configuration
from pipeline.redis_client.client import RedisConnection
from schemas.ingress_key import ConfiguredKey, KnownKey

RETRY_SECONDS = 1.0
PATIENCE = 2.0
"""Seconds that a request with a key waits at most for the keys of a new configuration."""

BRIEF_SECONDS = 2.0
"""Seconds that Postgres has to answer while a partner waits."""

log = logging.getLogger(__name__)


def brief_calls() -> BoundedCalls:
    """What a partner's request asks Postgres: none waits behind one that hangs."""
    return BoundedCalls("partners", threads=4, waiting=64, seconds=BRIEF_SECONDS, late=1)


class KeyLimits(NamedTuple):
    """Bounds on keys: seconds a revoked one works, requests and wrong keys a minute; 0 for any."""

    revoked_seconds: float = STALE
    requests_per_minute: int = 0
    failures_per_minute: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those of a service."""
        return cls(
            settings.revoked_key_seconds,
            settings.ingress_key_requests_per_minute,
            settings.failed_keys_per_minute,
        )


class Partners:
    """`keys` verifies keys, `api` takes vCons in, `admin` is for administrators.

    `owners` are on their way to Postgres.
    """

    def __init__(
        self,
        configuration: Configuration,
        redis: RedisConnection,
        records: PartnerRecords,
        calls: BoundedCalls,
        limits: KeyLimits = KeyLimits(),  # noqa: B008 -- it is immutable
    ) -> None:
        """Connects to nothing. `calls` carries the administrators' calls to Postgres."""
        self._limits = limits
        self._configuration = configuration
        self._redis = redis
        self.records = records
        failures = FailedKeys(limits.failures_per_minute, time.monotonic)
        self.keys = KeyCache(self._find, time.monotonic, limits.revoked_seconds, failures)
        self.admin = PartnerAdmin(configuration, records, self.keys, calls)
        self.owners = OwnerOutbox(redis, records.owners.confirm)
        self._briefly = brief_calls()
        self._outdated = asyncio.Event()
        self._outdated.set()
        self._current = asyncio.Event()

    def build_api(
        self, max_vcon_bytes: int, intake: Intake, offload: Offload = call_inline
    ) -> PartnerApi:
        """The partner API, which is `api` from then on."""
        self.api = PartnerApi(
            self._configuration,
            max_vcon_bytes,
            intake,
            self.keys,
            self.records,
            self._redis,
            self._briefly,
            self._limits.requests_per_minute,
            offload,
        )
        return self.api

    def close(self) -> None:
        """Let go of the threads."""
        self._briefly.close()

    def configuration_changed(self) -> None:
        """Take the keys of the configuration over again, soon."""
        self._current.clear()
        self._outdated.set()

    async def keep_up(self) -> None:
        """Bring the keys of every new configuration into Postgres, however long it is away."""
        while True:
            await self._outdated.wait()
            await self.take_over()

    async def take_over(self) -> None:
        """Bring the keys of the configuration into Postgres, however long it is away."""
        self._outdated.clear()
        while not await self._synced():  # noqa: ASYNC110 -- Postgres has no event for it
            await asyncio.sleep(RETRY_SECONDS)

    async def prune(self, days: Mapping[str, int]) -> None:
        """Forget rows that are older than so many days, by table; 0 keeps everything.

        Raises:
            UnavailableError: when Postgres cannot be reached.
        """
        configured = [digest for digests in self._configured().values() for digest in digests]
        await in_own_thread(self.records.ledger.prune, days, configured)

    def _configured(self) -> dict[str, list[str]]:
        """The hashes of the configuration's keys, by list."""
        auth = self._configuration.config.ingress_auth
        return {name: [hashed(key) for key in keys] for name, keys in auth.items()}

    def _details(self) -> dict[str, ConfiguredKey]:
        """Label and limits of the configuration's keys, by their hashes."""
        told = self._configuration.config.ingress_keys
        return {hashed(key): each for key, each in told.items()}

    async def _find(self, digest: str) -> KnownKey | None:
        """Look a key up once those of the configuration are there: none is called wrong before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._current.wait()
        if not self._current.is_set():
            raise UnavailableError("the keys of the configuration are not taken over yet")
        return await self._briefly(self.records.keys.find, digest)

    async def _synced(self) -> bool:
        try:
            await in_own_thread(self.records.keys.sync, self._configured(), self._details())
        except UnavailableError as error:
            log.debug("ingress keys wait for Postgres", extra={"error": str(error)})
            return False
        self.keys.forget()
        if not self._outdated.is_set():
            self._current.set()
        return True
