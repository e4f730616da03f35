"""The vCons of a trial: given ones, or those of the last recorded runs. Reads, writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.concurrency.thread_pool import in_own_thread
from core.errors import InvalidError, TooLargeError, UnknownNameError
from pipeline.admin.run_archive import RunArchive
from pipeline.config.parser import PipelineConfig
from pipeline.ingest.entry import entry_of
from pipeline.media import media
from pipeline.operator.trial.memory import as_document
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.errors import WrongTypeError
from pipeline.storages.lookup import VconLookup
from pipeline.vcon.normalization import normalised
from schemas.operator.configuration import NotTried
from schemas.run import Run
from schemas.run_page import RunQuery

PAGES = 5
"""Pages of the history that are read for enough runs."""
_USABLE = ("done", "halted", "partial", "failed")


@dataclass(frozen=True, slots=True)
class Subject:
    """One vCon to try, for a chain; `run` if it is of a recorded run."""

    vcon: str
    chain: str
    run: Run | None = None
    document: bytes | None = field(default=None, repr=False)
    """None: it is read when its turn comes."""


@dataclass(slots=True)
class Found:
    """The vCons to try, and those that cannot be."""

    subjects: list[Subject] = field(default_factory=list)
    not_tried: list[NotTried] = field(default_factory=list)


def unusable(subject: Subject, why: str) -> NotTried:
    """A vCon that is not tried."""
    run_id = subject.run.run_id if subject.run else None
    return NotTried(vcon=subject.vcon, run=run_id, why=why[:500])


class Subjects:
    """Finds vCons for a trial."""

    def __init__(self, redis: RedisConnection, archive: RunArchive, lookup: VconLookup) -> None:
        self._redis = redis
        self._archive = archive
        self._lookup = lookup

    async def given(
        self,
        vcons: Sequence[Mapping[str, Any]],
        chain: str | None,
        config: PipelineConfig,
        most_bytes: int,
    ) -> Found:
        """The given vCons, checked as when they come in.

        Raises:
            InvalidError: no chain is named, and the configuration has not exactly one enabled.
        """
        if chain is None:
            enabled = [each.name for each in config.enabled_chains]
            if len(enabled) != 1:
                msg = f"chain: name the chain for the given vCons: {', '.join(enabled) or 'none'}"
                raise InvalidError(msg, [msg])
            chain = enabled[0]
        found = Found()
        for vcon in vcons:
            try:
                entry = await in_own_thread(entry_of, vcon, most_bytes, [config.chains[chain]])
            except (InvalidError, TooLargeError) as error:
                found.not_tried.append(NotTried(vcon=_uuid_in(vcon), why=_told(error)))
            else:
                subject = Subject(entry.vcon_uuid, chain, document=entry.document)
                found.subjects.append(subject)
        return found

    async def recorded(self, last: int, chain: str | None, config: PipelineConfig) -> Found:
        """The newest finished runs, one for each vCon and chain, of chains that still exist.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        found, seen, cursor = Found(), set[tuple[str, str]](), None
        for _ in range(PAGES):
            query = RunQuery(chain=chain, limit=min(2 * last, 500), cursor=cursor)
            page = await self._archive.list_runs(query)
            for run in page.runs:
                if run.status in _USABLE and (run.vcon_out, run.chain) not in seen:
                    seen.add((run.vcon_out, run.chain))
                    _sort(run, config, found)
                if len(found.subjects) + len(found.not_tried) >= last:
                    return found
            if (cursor := page.cursor) is None:
                break
        return found

    async def document(self, subject: Subject) -> bytes:
        """The vCon of a recorded run, from Redis or the first storage that has it.

        Raises:
            UnknownNameError: neither has it any more.
            UnavailableError: Redis cannot be reached.
        """
        text = await self._text(subject.vcon)
        if text is None:
            stored = await self._lookup.find_stored(subject.vcon)
            return await in_own_thread(_canonical, stored)
        try:
            return await in_own_thread(lambda: _canonical(as_document(text)))
        except ValueError:
            raise UnknownNameError("vCon", subject.vcon) from None

    async def _text(self, vcon_uuid: str) -> bytes | None:
        """The vCon in Redis; a plain string of another program is read, and stays one."""
        key = keys.vcon(vcon_uuid)
        try:
            text = await self._redis.command("JSON.GET", key)
        except WrongTypeError:
            try:
                text = await self._redis.command("GET", key)
            except (WrongTypeError, CommandRefused):
                return None
        if text is None:
            return None
        encoded = str(text).encode(errors="surrogateescape")
        return await media.installed(self._redis).whole(vcon_uuid, encoded)


def _sort(run: Run, config: PipelineConfig, found: Found) -> None:
    subject = Subject(run.vcon_out, run.chain, run)
    if run.chain not in config.chains:
        why = f"the configuration has no chain {run.chain}"
        found.not_tried.append(unusable(subject, why))
    elif run.vcon_in != run.vcon_out:
        why = "its run continued with another vCon than it began with"
        found.not_tried.append(unusable(subject, why))
    else:
        found.subjects.append(subject)


def _canonical(document: dict[str, Any]) -> bytes:
    return orjson.dumps(normalised(document))


def _uuid_in(vcon: Mapping[str, Any]) -> str:
    uuid = vcon.get("uuid")
    return uuid[:36] if isinstance(uuid, str) else ""


def _told(error: InvalidError | TooLargeError) -> str:
    problems = error.problems if isinstance(error, InvalidError) else []
    return ("; ".join(problems) or str(error))[:500]
