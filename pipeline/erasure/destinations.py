"""One attempt at one destination: delete, read again, or tell.

| destination | what is done |
|---|---|
| storage that can delete | deleted, then read again: `verified` if it has nothing, `deleted` if it cannot be read |
| link that declares `pure` | `deleted`: a call of it has no effect but on its vCon |
| step with `erase` | told with a signed message, after it was deleted there if it can delete |
| other storage, link, tracer | `cannot`: the service knows no way to erase there |
| egress list that no reader has read | `verified`, when the vCon was taken out of it (`work.py`) |
| other egress list, reader | `cannot`: the readers of the list, or the caller, have what they read |
| step that is not configured any more | `unreachable` |

A storage or receiver that fails is tried again, with growing pauses. An error is kept as its type,
since its text may repeat what the vCon said.
"""  # noqa: E501 -- a table

import re
from collections.abc import Iterator
from datetime import datetime

from core.errors import ConflictError, PatchcordError, PluginFailedError, UnavailableError
from pipeline.admin.operations import CANNOT_DELETE, PipelineOperations
from pipeline.config.model import PluginSpec
from pipeline.erasure.states import READ_AGAIN, after_failure, now_in
from pipeline.erasure.telling import tell
from pipeline.live_config import Configuration
from pipeline.storages.lookup import VconLookup
from schemas.law.erasures import ErasureTarget
from schemas.operator.people import Place

STILL_THERE = "StillThere"
"""The error of a storage that has the vCon after it has said that it deleted it."""
NOT_LOADED, LOADED_WITHIN = "NotLoaded", 3
"""The error of a link that this process has not loaded, such as a command; another one may have.
After so many attempts it counts as one that keeps something."""
NO_WAY = "there is no way to erase there"
UNLESS_PURE = f"{NO_WAY}, unless the link declares `pure`"
HAS_READ = "its readers have what they read"
_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")


class Destinations:
    """Attempts destinations of erasures."""

    def __init__(
        self, configuration: Configuration, operations: PipelineOperations, lookup: VconLookup
    ) -> None:
        self._configuration = configuration
        self._operations = operations
        self._lookup = lookup

    async def attempt(self, erasure: str, target: ErasureTarget, now: datetime) -> ErasureTarget:
        """The destination after an attempt.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        if target.kind == "storage":
            return await self._storage(erasure, target, now)
        if target.kind in ("link", "tracer"):
            specs = list(self._steps(target.kind, target.name))
            if not specs:
                return now_in(target, "unreachable")
            if target.kind == "link" and target.attempts < LOADED_WITHIN:
                pure = [self._is_pure(each) for each in specs]
                if None in pure:
                    return after_failure(target, NOT_LOADED, now)
                if all(pure):
                    return now_in(target, "deleted")
            spec = next((each for each in specs if each.erase), specs[0])
            return await self._told(erasure, target, spec, now)
        return now_in(target, "cannot")

    def foreseen(self, kind: str, name: str) -> Place:
        """What an erasure would do at a link, tracer, egress list or reader."""
        specs = list(self._steps(kind, name))
        place = f"{kind} {name}"
        if any(each.erase for each in specs):
            return Place(place=place, outcome="would be told")
        if kind not in ("link", "tracer"):
            return Place(place=place, outcome="cannot delete", error=HAS_READ)
        if not specs:
            return Place(place=place, outcome="failed", error="it is not configured any more")
        pure = [kind == "link" and self._is_pure(each) for each in specs]
        if all(pure):
            return Place(place=place, outcome="would be deleted")
        error = UNLESS_PURE if None in pure else NO_WAY
        return Place(place=place, outcome="cannot delete", error=error)

    def is_told(self, storage: str) -> bool:
        """Whether the receiver behind a storage is told."""
        spec = self._configuration.config.storages.get(storage)
        return spec is not None and spec.erase is not None

    async def _storage(self, erasure: str, target: ErasureTarget, now: datetime) -> ErasureTarget:
        spec = self._configuration.config.storages.get(target.name)
        if spec is None:
            return now_in(target, "unreachable")
        if target.state == "pending":
            target = await self._deleted(target, now)
        if target.state == "deleted" and target.due_at is not None:
            target = await self._read_again(target, now)
        is_open = target.state in ("pending", "deleted") and target.due_at is not None
        if spec.erase is None or is_open:
            return target
        return await self._told(erasure, target, spec, now)

    async def _deleted(self, target: ErasureTarget, now: datetime) -> ErasureTarget:
        name = target.name
        try:
            deletion = await self._operations.remove(target.vcon_uuid, [name])
        except ConflictError as error:
            return after_failure(target, type(error).__name__, now)
        if (problem := deletion.failed.get(name)) == CANNOT_DELETE:
            return now_in(target, "cannot")
        if problem is not None:
            return after_failure(target, _type_of(problem), now)
        detail = target.detail | ({"found": True} if deletion.removed.get(name) else {})
        return now_in(target, "deleted", due_at=now).model_copy(update={"detail": detail})

    async def _read_again(self, target: ErasureTarget, now: datetime) -> ErasureTarget:
        try:
            is_there = await self._lookup.is_in(target.name, target.vcon_uuid)
        except UnavailableError:
            raise
        except PatchcordError as error:
            failed = after_failure(target, _cause_of(error), now)
            is_over = failed.attempts >= READ_AGAIN
            return failed.model_copy(update={"due_at": None}) if is_over else failed
        if is_there:
            again = target.model_copy(update={"state": "pending"})
            return after_failure(again, STILL_THERE, now)
        update = {"due_at": None, "error": None}
        if is_there is None:
            return target.model_copy(update=update)
        return target.model_copy(update=update | {"state": "verified"})

    async def _told(
        self, erasure: str, target: ErasureTarget, spec: PluginSpec, now: datetime
    ) -> ErasureTarget:
        if spec.erase is None:
            return now_in(target, "cannot")
        try:
            is_erased = await tell(spec.erase, erasure, target, now)
        except PluginFailedError as error:
            return after_failure(target, str(error), now)
        return now_in(target, "acknowledged" if is_erased else "told")

    def _is_pure(self, spec: PluginSpec) -> bool | None:
        """Whether the link declares that it changes its vCon only; None: it is not loaded here."""
        loaded = self._configuration.plugins.links.get(spec)
        return None if loaded is None else loaded.pure

    def _steps(self, kind: str, name: str) -> Iterator[PluginSpec]:
        for chain in self._configuration.config.chains.values():
            if kind == "link":
                yield from (step.plugin for step in chain.links if step.name == name)
            elif kind == "tracer":
                yield from (spec for spec in chain.tracers if spec.name == name)


def _cause_of(error: BaseException) -> str:
    cause = error.__cause__
    return type(cause or error).__name__


def _type_of(problem: str) -> str:
    """The type that an error's text begins with."""
    first = problem.partition(":")[0]
    return first if _TYPE.fullmatch(first) else PluginFailedError.__name__
