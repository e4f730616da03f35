"""The parts of a service process that serve partners, and the keys of the configuration.

The keys of `config.yml` become rows in Postgres, where all keys are looked up. `keep_up` writes
them after each change of the configuration, for as long as Postgres is unavailable. Until they are
written, a look-up waits for up to `SYNC_PATIENCE` seconds and then fails with `UnavailableError`:
otherwise a valid new key would be refused as wrong.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import NamedTuple, Self

from core.concurrency.helper_process import Offload, call_inline
from core.concurrency.thread_pool import BoundedCalls, in_own_thread
from core.db.usage_and_audit import PartnerRecords
from core.errors import UnavailableError
from core.settings import Settings
from pipeline.ingest.admin import PartnerAdmin
from pipeline.ingest.intake import Intake
from pipeline.ingest.key_cache import STALE, FailedKeys, KeyCache, hashed
from pipeline.ingest.outboxes import OwnerOutbox
from pipeline.ingest.partner import PartnerApi
from pipeline.live_config import Configuration
from pipeline.redis_client.client import RedisConnection
from schemas.ingress_key import ConfiguredKey, KnownKey

RETRY_SECONDS = 1.0
SYNC_PATIENCE = 2.0
CALL_SECONDS = 2.0
"""Time limit of Postgres' answer to a partner's request."""

log = logging.getLogger(__name__)


def partner_calls() -> BoundedCalls:
    """Threads for the Postgres calls of partners' requests; a call that hangs delays no other."""
    return BoundedCalls("partners", threads=4, waiting=64, seconds=CALL_SECONDS, late=1)


class KeyLimits(NamedTuple):
    """Seconds for which a revoked key works, and requests and wrong keys a minute; 0: no limit.

    `sync_seconds`: how long a look-up waits until the keys of a new configuration are in Postgres.
    """

    revoked_seconds: float = STALE
    requests_per_minute: int = 0
    failures_per_minute: int = 0
    sync_seconds: float = SYNC_PATIENCE

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The limits of the settings."""
        return cls(
            settings.revoked_key_seconds,
            settings.ingress_key_requests_per_minute,
            settings.failed_keys_per_minute,
        )


class Partners:
    """`keys` verifies keys, `api` accepts vCons, `admin` changes keys.

    `owners` writes owners of vCons to Postgres.
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
        self.limits = limits
        self._configuration = configuration
        self._redis = redis
        self.records = records
        failures = FailedKeys(limits.failures_per_minute, time.monotonic)
        self.keys = KeyCache(self._find, time.monotonic, limits.revoked_seconds, failures)
        self.admin = PartnerAdmin(configuration, records, self.keys, calls)
        self.owners = OwnerOutbox(redis, records.owners.confirm)
        self.calls = partner_calls()
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
            self.calls,
            self.limits.requests_per_minute,
            offload,
        )
        return self.api

    def close(self) -> None:
        """End the threads."""
        self.calls.close()

    def configuration_changed(self) -> None:
        """Write the keys of the configuration to Postgres again, soon."""
        self._current.clear()
        self._outdated.set()

    async def keep_up(self) -> None:
        """Write the keys of every new configuration to Postgres, until cancelled."""
        while True:
            await self._outdated.wait()
            await self.take_over()

    async def take_over(self) -> None:
        """Write the keys of the configuration to Postgres; repeated until it succeeds."""
        self._outdated.clear()
        while not await self._synced():  # noqa: ASYNC110 -- Postgres has no event for it
            await asyncio.sleep(RETRY_SECONDS)

    async def prune(self, days: Mapping[str, int]) -> None:
        """Delete rows older than so many days, by table; 0 keeps everything.

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
        """Label, limits and signing secret of the configuration's keys, by their hashes."""
        keys = self._configuration.config.ingress_keys
        return {hashed(key): each for key, each in keys.items()}

    async def _find(self, digest: str) -> KnownKey | None:
        """Look a key up once the keys of the configuration are in Postgres."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.sync_seconds):
                await self._current.wait()
        if not self._current.is_set():
            raise UnavailableError(
                "the configured ingress keys are not in Postgres yet; try again later"
            )
        return await self.calls(self.records.keys.find, digest)

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
