"""Finding a vCon: in Redis, then in the storages in the order of the configuration."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from core.concurrency.thread_pool import in_own_thread, one_at_a_time
from core.errors import InvalidError, PluginFailedError, UnknownNameError
from pipeline.config.parser import Chain, StorageSpec
from pipeline.law.reading.packing import parsed
from pipeline.live_config import Configuration
from pipeline.plugins.errors import describe
from pipeline.plugins.loader import LoadedStorage, load_storage
from pipeline.runs.calls import PluginCalls
from pipeline.runs.vcon_store import VconStore
from pipeline.vcon.envelope import MOST_BYTES, check_accepted
from pipeline.vcon.normalization import normalised, takes_long
from schemas.uuids import canonical_uuid, required_uuid

LINKS_ADD = 16
"""A compressed vCon in a storage may be this many times larger than one that is accepted."""

log = logging.getLogger(__name__)


class VconLookup:
    """Reads vCons from Redis and the storages."""

    def __init__(
        self,
        configuration: Configuration,
        store: VconStore,
        calls: PluginCalls,
        cache_expiry: int,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """`cache_expiry`: seconds that a vCon from a storage stays in Redis.

        `most_bytes`: the limit of accepted vCons; gzip from a storage may hold `LINKS_ADD` times
        it.
        """
        self._most_bytes = LINKS_ADD * most_bytes
        self._configuration = configuration
        self._store = store
        self._calls = calls
        self._cache_expiry = cache_expiry
        self._loaded: dict[str, tuple[StorageSpec, LoadedStorage]] = {}
        self._loading = asyncio.Lock()

    async def find(self, vcon_uuid: str) -> dict[str, Any]:
        """The vCon from Redis or the first storage that has it.

        Raises:
            InvalidError: the text is no UUID.
            UnknownNameError: neither Redis nor a storage has it.
            GoneError: it was erased.
        """
        vcon_uuid = checked_uuid(vcon_uuid)
        document = await self._store.get(vcon_uuid)
        return document if document is not None else await self.find_stored(vcon_uuid)

    async def check_erased(self, *vcon_uuids: str) -> None:
        """Refuse vCons that were erased.

        Raises:
            GoneError: one was.
        """
        for vcon_uuid in vcon_uuids:
            await self._store.check_erased(vcon_uuid)

    async def find_stored(self, vcon_uuid: str) -> dict[str, Any]:
        """The vCon from the first storage that has it; one that fails is passed over.

        Raises:
            UnknownNameError: no storage has it.
            GoneError: it was erased, whether or not a storage still has it.
        """
        await self._store.check_erased(vcon_uuid)
        for name in self._configuration.config.storages:
            if document := await self._quietly_read(name, vcon_uuid):
                return document
        raise UnknownNameError("vCon", vcon_uuid)

    async def bring_back(self, vcon_uuid: str, chains: Iterable[Chain] = ()) -> str:
        """Write the vCon to Redis unless it is there, for these chains; returns its uuid.

        Raises:
            UnknownNameError: neither Redis nor a storage has it.
            GoneError: it was erased.
            InvalidError: the text is no UUID, or the vCon is signed or encrypted and one of the
                chains does not accept that.
        """
        vcon_uuid = checked_uuid(vcon_uuid)
        document = await self._store.get(vcon_uuid)
        if document is None:
            document = await formed(await self.find(vcon_uuid), normalised)
            await self._store.restore(document, self._cache_expiry)
        check_accepted(document, chains)
        return vcon_uuid

    async def find_in(self, name: str, vcon_uuid: str) -> dict[str, Any]:
        """The vCon from exactly this storage.

        Raises:
            UnknownNameError: the storage is not configured, or does not have the vCon.
            InvalidError: the text is no UUID, or the storage has no `get`.
            PluginFailedError: the storage failed.
            GoneError: it was erased.
        """
        vcon_uuid = checked_uuid(vcon_uuid)
        storage = await self.storage(name)
        await self._store.check_erased(vcon_uuid)
        if storage.get is None:
            msg = f"storage {name} cannot be read from: its module has no get()"
            raise InvalidError(msg)
        document = await self._read(storage, vcon_uuid)
        if document is None:
            msg = f"vCon in storage {name}"
            raise UnknownNameError(msg, vcon_uuid)
        return document

    async def is_in(self, name: str, vcon_uuid: str) -> bool | None:
        """Whether a storage has anything under this uuid; None if it cannot be read.

        Raises:
            UnknownNameError: the storage is not configured.
            PluginFailedError: the storage failed, or cannot be loaded.
        """
        storage = await self.storage(name)
        if storage.get is None:
            return None
        return await self._found(storage, vcon_uuid) is not None

    async def storage(self, name: str) -> LoadedStorage:
        """A configured storage, loaded.

        Raises:
            UnknownNameError: it is not configured.
            PluginFailedError: its module cannot be loaded.
        """
        if name not in self._configuration.config.storages:
            raise UnknownNameError("storage", name, list(self._configuration.config.storages))
        spec = self._configuration.config.storages[name]
        if not self._has(spec):
            async with self._loading:  # many requests may come at once after the start
                if not self._has(spec):
                    self._loaded[name] = spec, await in_own_thread(load_storage, spec)
        return self._loaded[name][1]

    def _has(self, spec: StorageSpec) -> bool:
        return spec.name in self._loaded and self._loaded[spec.name][0] is spec

    @property
    def loaded(self) -> tuple[LoadedStorage, ...]:
        """The storages that have been loaded, and may hold connections."""
        return tuple(storage for _, storage in self._loaded.values())

    async def _quietly_read(self, name: str, vcon_uuid: str) -> dict[str, Any] | None:
        try:
            storage = await self.storage(name)
            return None if storage.get is None else await self._read(storage, vcon_uuid)
        except (PluginFailedError, UnknownNameError) as error:  # unknown: removed meanwhile
            fields = {"storage": name, "vcon": vcon_uuid, "error": str(error)}
            log.warning("storage read failed", extra=fields)
            return None

    async def _found(self, storage: LoadedStorage, vcon_uuid: str) -> Any:
        """What `get` of a storage that has one returns."""
        assert storage.get is not None
        try:
            return await self._calls.call(
                storage.get,
                vcon_uuid,
                storage.fresh_options(),
                is_async=storage.is_async,
                timeout=storage.seconds,
                plugin={"storage": storage.name},
            )
        except Exception as error:
            msg = f"storage {storage.name} failed: {describe(error)}"
            raise PluginFailedError(msg) from error

    async def _read(self, storage: LoadedStorage, vcon_uuid: str) -> dict[str, Any] | None:
        found = await self._found(storage, vcon_uuid)
        try:
            document = parsed(found, self._most_bytes) if isinstance(found, str | bytes) else found
        except Exception as error:
            msg = f"storage {storage.name} failed: {describe(error)}"
            raise PluginFailedError(msg) from error
        if not isinstance(document, dict):
            return None
        # refuse another vCon than the requested one
        return document if canonical_uuid(document.get("uuid")) == vcon_uuid else None


async def formed(
    document: dict[str, Any], form: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """The vCon in another form, made in a thread if that takes long."""
    return await one_at_a_time(form, document) if takes_long(document) else form(document)


def checked_uuid(vcon_uuid: str) -> str:
    """A caller's uuid in canonical form.

    Raises:
        InvalidError: it is no UUID; storages could take it for a path or a pattern.
    """
    try:
        return required_uuid(vcon_uuid)
    except ValueError as error:
        raise InvalidError(str(error)) from None
