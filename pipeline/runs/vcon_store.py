"""The vCon documents in Redis. A write inside a run is fenced: it needs the run's claim."""

import asyncio
import contextlib
import time
from typing import Any

import orjson

from core.errors import ConflictError
from pipeline.media import media
from pipeline.media.bodies import MARK, MARK_BYTES, Known, TakenOut
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.document_pieces import is_large
from pipeline.redis_client.driver.batches import ENCODING_ERRORS
from pipeline.redis_client.errors import WrongTypeError
from pipeline.redis_client.staging import staged, staged_from_thread
from pipeline.runs.run_state import RunState, current_run, is_abandoned


class VconStore:
    """Read and write `vcon:{uuid}`, from the event loop or from a thread."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._media = media.installed(connection)

    async def get(self, vcon_uuid: str) -> dict[str, Any] | None:
        """The document, or None when there is none.

        Raises:
            UnavailableError: Redis cannot be reached, or the store of its media.
            MediaGoneError: a body of it is gone from there.
        """
        text = _recalled(vcon_uuid)
        if text is None:
            try:
                text = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid))
            except WrongTypeError:
                if not await self._connection.script("adopt", vcon_uuid):
                    raise
                text = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid))
        document = _parsed(vcon_uuid, text)
        if document is not None and _has_media(text):
            known = _known(vcon_uuid)
            _keep(vcon_uuid, await self._media.put_back(vcon_uuid, document, known))
        return document

    def written(self, vcon_uuid: str) -> dict[str, Any] | None:
        """What a plugin of this run has written, if it is known here: in the canonical form.

        None also for a vCon with media beside it, which `get` puts back.
        """
        run = None if is_abandoned() else current_run.get()
        text = None if run is None else run.memory.written(vcon_uuid)
        return None if text is None or _has_media(text) else orjson.loads(text)

    async def text(self, vcon_uuid: str) -> tuple[bytes | None, bool]:
        """The JSON of the document, or None; and whether this service took it in.

        Only then its form is surely the canonical one.

        Raises:
            UnavailableError: Redis cannot be reached, or the store of its media.
            MediaGoneError: a body of it is gone from there.
            WrongTypeError: another program keeps something else under its key.
        """
        try:
            text, digest = await asyncio.gather(
                self._connection.command("JSON.GET", keys.vcon(vcon_uuid)),
                self._digest(vcon_uuid),
            )
        except WrongTypeError:
            if not await self._connection.script("adopt", vcon_uuid):
                raise
            text, digest = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid)), None
        if text is None or not text.startswith("{"):
            return None, False
        whole = await self._media.whole(vcon_uuid, text.encode(errors=ENCODING_ERRORS))
        return whole, digest is not None

    async def _digest(self, vcon_uuid: str) -> str | None:
        try:
            digest: str | None = await self._connection.command(
                "HGET", keys.about(vcon_uuid), "digest"
            )
        except WrongTypeError:
            return None
        return digest

    def get_from_thread(self, vcon_uuid: str) -> dict[str, Any] | None:
        """`get`, from a thread."""
        text = _recalled(vcon_uuid)
        if text is None:
            try:
                text = self._connection.command_from_thread("JSON.GET", keys.vcon(vcon_uuid))
            except WrongTypeError:
                if not self._connection.script_from_thread("adopt", vcon_uuid):
                    raise
                text = self._connection.command_from_thread("JSON.GET", keys.vcon(vcon_uuid))
        document = _parsed(vcon_uuid, text)
        if document is not None and _has_media(text):
            known = _known(vcon_uuid)
            _keep(vcon_uuid, self._media.put_back_from_thread(vcon_uuid, document, known))
        return document

    async def put(self, document: dict[str, Any], expiry: int = 0) -> None:
        """Write a document under its uuid; with `expiry` > 0 it expires after so many seconds.

        Inside a run the write may be kept until the next checkpoint (`DocumentCache`).

        Raises:
            ConflictError: this worker no longer holds the run, or the plugin's call was given up;
                nothing is written.
            UnavailableError: Redis cannot be reached.
        """
        run, vcon_uuid = _writing(), document["uuid"]
        whole = not self._media.is_on or (run is not None and not run.memory.in_use)
        text = orjson.dumps(document) if whole else b""
        if not whole or _has_media(text):
            taken = await self._media.taken_out(document, _known(vcon_uuid), whole=whole)
            text = _kept(taken, whole=whole)
        elif self._media.is_on:
            _keep(vcon_uuid, {}, whole=True)
        if run is not None and _can_wait(run, vcon_uuid, expiry):
            run.memory.write(vcon_uuid, text)
            return
        number = time.monotonic_ns()  # before a large document is staged, which takes time
        given = await staged(self._connection, text)
        name, *words = _write(run, vcon_uuid, given, expiry, number)
        if not await self._connection.script(name, *words) and run is not None:
            raise _not_held(run)

    def put_from_thread(self, document: dict[str, Any], expiry: int = 0) -> None:
        """`put`, from a thread."""
        run, vcon_uuid = _writing(), document["uuid"]
        whole = not self._media.is_on or (run is not None and not run.memory.in_use)
        text = orjson.dumps(document) if whole else b""
        if not whole or _has_media(text):
            taken = self._media.taken_out_from_thread(document, _known(vcon_uuid), whole=whole)
            text = _kept(taken, whole=whole)
        elif self._media.is_on:
            _keep(vcon_uuid, {}, whole=True)
        if run is not None and _can_wait(run, vcon_uuid, expiry):
            run.memory.write(vcon_uuid, text)
            return
        number = time.monotonic_ns()
        given = staged_from_thread(self._connection, text)
        name, *words = _write(run, vcon_uuid, given, expiry, number)
        if not self._connection.script_from_thread(name, *words) and run is not None:
            raise _not_held(run)

    async def make_whole(self, vcon_uuid: str) -> None:
        """Write the document with all its bodies, for a plugin that reads Redis without `lib`.

        To be called inside a run, while `DocumentCache` is not in use.

        Raises:
            ConflictError, UnavailableError, MediaGoneError: as `put` and `get`.
        """
        run = current_run.get()
        if run is not None and run.media.is_whole_of(vcon_uuid):
            return
        with contextlib.suppress(WrongTypeError):  # another program's: it has no media
            text = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid))
            if text is not None and _has_media(text) and (document := await self.get(vcon_uuid)):
                await self.put(document)
            _keep(vcon_uuid, {}, whole=True)

    async def restore(self, document: dict[str, Any], expiry: int) -> None:
        """Write a document from a storage, unless Redis has one by now; atomic.

        With `expiry` > 0 it expires after so many seconds.
        """
        text = await self._media.stripped(document["uuid"], orjson.dumps(document))
        if is_large(text) and not await self._connection.script("restore", document["uuid"], "", 0):
            return
        given = await staged(self._connection, text)
        await self._connection.script("restore", document["uuid"], given, expiry)


def _kept(taken: TakenOut, *, whole: bool) -> bytes:
    """The JSON of what is written; the run in progress keeps its bodies."""
    _keep(taken.document["uuid"], taken.bodies, whole=whole)
    return orjson.dumps(taken.document)


def _has_media(text: bytes | str) -> bool:
    return (MARK in text) if isinstance(text, str) else (MARK_BYTES in text)


def _known(vcon_uuid: str) -> Known:
    """The bodies of a vCon that the run in progress has read or written."""
    run = None if is_abandoned() else current_run.get()
    return {} if run is None else run.media.of(vcon_uuid)


def _keep(vcon_uuid: str, bodies: Known, *, whole: bool = False) -> None:
    """Keep what the run has read or written; `whole`: Redis has the document with its bodies."""
    run = None if is_abandoned() else current_run.get()
    if run is not None and vcon_uuid == run.progress.vcon:
        run.media.keep(vcon_uuid, run.media.of(vcon_uuid) if whole else bodies, whole=whole)


def _writing() -> RunState | None:
    """The run that a document is written for, if any; refuses abandoned calls."""
    if is_abandoned():
        raise ConflictError("this call took too long and was given up")
    return current_run.get()


def _recalled(vcon_uuid: str) -> bytes | str | None:
    run = None if is_abandoned() else current_run.get()
    return None if run is None else run.memory.recall(vcon_uuid)


def _parsed(vcon_uuid: str, text: bytes | str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    document = orjson.loads(text)
    if not isinstance(document, dict):
        return None
    if (run := current_run.get()) and not is_abandoned():
        run.memory.read(vcon_uuid, text)
    return document


def _can_wait(run: RunState, vcon_uuid: str, expiry: int) -> bool:
    """Whether a write may wait for the next checkpoint: the run's own vCon, without expiry."""
    return run.memory.in_use and vcon_uuid == run.progress.vcon and expiry <= 0


def _write(
    run: RunState | None, vcon_uuid: str, given: bytes | str, expiry: int, number: int
) -> tuple[Any, ...]:
    """The script for a write, and its arguments."""
    if run is None:
        return ("place", vcon_uuid, given, expiry)
    return (
        "journal",
        run.worker,
        run.claim.vcon_uuid,
        run.claim.token,
        run.journal(),
        vcon_uuid,
        given,
        expiry,
        number,
    )


def _not_held(run: RunState) -> ConflictError:
    return ConflictError(f"run {run.claim.run_id} was taken over by another worker")
