"""The vCon documents in Redis. A write inside a run is fenced: it needs the run's claim."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import orjson

from core.concurrency import sliced_json
from core.concurrency.thread_pool import one_at_a_time
from core.errors import ConflictError, GoneError
from pipeline.media import media
from pipeline.media.bodies import MARK, MARK_BYTES, Known, TakenOut
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.document_pieces import is_large
from pipeline.redis_client.driver.batches import ENCODING_ERRORS
from pipeline.redis_client.errors import WrongTypeError
from pipeline.redis_client.staging import staged, staged_from_thread
from pipeline.runs.document_writes import LARGE, Versions, written, written_from_thread
from pipeline.runs.run_state import RunState, current_run, is_abandoned

type Document = dict[str, Any]
type Form = Callable[[Document], Document]
type Words = tuple[Any, ...]


def _as_it_is(document: Document) -> Document:
    return document


class VconStore:
    """Read and write `vcon:{uuid}`, from the event loop or from a thread."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._media = media.installed(connection)

    async def get(self, vcon_uuid: str, form: Form = _as_it_is) -> Document | None:
        """The document, or None when there is none; `form` is applied to it.

        A large one is parsed and formed in a thread.

        Raises:
            UnavailableError: Redis cannot be reached, or the store of its media.
            MediaGoneError: a body of it is gone from there.
        """
        text, writes = _recalled(vcon_uuid), None
        if text is None:
            writes = _writes()
            text = await self._read(vcon_uuid)
        if text is None:
            return None
        has_media = _has_media(text)
        words = vcon_uuid, text, writes, _as_it_is if has_media else form
        large = len(text) > LARGE
        document = await one_at_a_time(_parsed, *words) if large else _parsed(*words)
        if document is not None and has_media:
            known = _known(vcon_uuid)
            _keep(vcon_uuid, await self._media.put_back(vcon_uuid, document, known))
            return await one_at_a_time(form, document)
        return document

    async def check_erased(self, vcon_uuid: str) -> None:
        """Refuse a vCon that was erased.

        Raises:
            GoneError: it was.
        """
        if await self._is_erased(vcon_uuid):
            raise GoneError(vcon_uuid)

    async def _is_erased(self, vcon_uuid: str) -> bool:
        return bool(await self._connection.command("EXISTS", keys.tombstone(vcon_uuid)))

    async def _read(self, vcon_uuid: str) -> str | None:
        if _is_own(vcon_uuid):  # the run of an erased vCon is cancelled
            return await self._document(vcon_uuid)
        text, is_erased = await asyncio.gather(
            self._document(vcon_uuid), self._is_erased(vcon_uuid)
        )
        return None if is_erased else text

    async def _document(self, vcon_uuid: str) -> str | None:
        try:
            text: str | None = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid))
        except WrongTypeError:
            if not await self._connection.script("adopt", vcon_uuid):
                raise
            text = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid))
        return text

    def written(self, vcon_uuid: str) -> Document | None:
        """What a plugin of this run has written, in the canonical form.

        None if that is not known here, or is for `get`: a large one, or one without its media.
        """
        run = None if is_abandoned() else current_run.get()
        text = None if run is None else run.memory.written(vcon_uuid)
        if text is None or len(text) > LARGE or _has_media(text):
            return None
        document: Document = orjson.loads(text)
        return document

    async def text(self, vcon_uuid: str) -> tuple[bytes | None, bool]:
        """The JSON of the document, or None; and whether this service took it in.

        Only then its form is surely the canonical one.

        Raises:
            UnavailableError: Redis cannot be reached, or the store of its media.
            MediaGoneError: a body of it is gone from there.
            WrongTypeError: another program keeps something else under its key.
        """
        text, digest, is_erased = await asyncio.gather(
            self._document(vcon_uuid), self._digest(vcon_uuid), self._is_erased(vcon_uuid)
        )
        if text is None or is_erased or not text.startswith("{"):
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
        text, writes = _recalled(vcon_uuid), None
        if text is None:
            writes = _writes()
            text = self.text_from_thread(vcon_uuid)
        if text is None:
            return None
        document = _parsed(vcon_uuid, text, writes)
        if document is not None and _has_media(text):
            known = _known(vcon_uuid)
            _keep(vcon_uuid, self._media.put_back_from_thread(vcon_uuid, document, known))
        return document

    def text_from_thread(self, vcon_uuid: str) -> str | None:
        """The JSON in Redis, with its placeholders, or None; blocks until the reply.

        Raises:
            UnavailableError: Redis cannot be reached.
            WrongTypeError: another program keeps something else under its key.
        """
        command = self._connection.command_from_thread
        if not _is_own(vcon_uuid) and command("EXISTS", keys.tombstone(vcon_uuid)):
            return None
        try:
            text: str | None = command("JSON.GET", keys.vcon(vcon_uuid))
        except WrongTypeError:
            if not self._connection.script_from_thread("adopt", vcon_uuid):
                raise
            text = command("JSON.GET", keys.vcon(vcon_uuid))
        return text

    async def put(self, document: Document, expiry: int = 0, form: Form = _as_it_is) -> None:
        """Write a document under its uuid; with `expiry` > 0 it expires after so many seconds.

        `form` is applied to it before. Inside a run the write may be kept until the next
        checkpoint (`DocumentCache`), and only what has changed since the run read the document is
        sent if that is little (`document_paths.py`).

        Raises:
            ConflictError: this worker no longer holds the run, or the plugin's call was given up;
                nothing is written.
            GoneError: a vCon of this uuid was erased. Inside a run it is not raised: the run is
                cancelled.
            UnavailableError: Redis cannot be reached.
        """
        run = _writing()
        large = run is not None and run.memory.is_large(LARGE)
        document = await one_at_a_time(form, document) if large else form(document)
        vcon_uuid, whole = document["uuid"], self._is_whole(run)
        if large and whole:
            text = await one_at_a_time(sliced_json.dumps, document)
        else:
            text = orjson.dumps(document) if whole else b""
        if not whole or _has_media(text):
            taken = await self._media.taken_out(document, _known(vcon_uuid), whole=whole)
            text = _kept(taken, whole=whole)
        elif self._media.is_on:
            _keep(vcon_uuid, {}, whole=True)
        _writing()  # again: the call may have been given up meanwhile
        if run is None:
            given = await staged(self._connection, text)
            if not await self._connection.script("place", vcon_uuid, given, expiry):
                raise GoneError(vcon_uuid)
        elif _can_wait(run, vcon_uuid, expiry):
            run.memory.write(vcon_uuid, text)
        else:
            call, begun = _write(run, vcon_uuid, text, expiry)
            if not await written(self._connection, *call):
                raise _not_held(run)
            _note_written(run, vcon_uuid, text, begun)

    def put_from_thread(self, document: Document, expiry: int = 0) -> None:
        """`put`, from a thread."""
        run, vcon_uuid = _writing(), document["uuid"]
        whole = self._is_whole(run)
        large = run is not None and run.memory.is_large(LARGE)
        text = (sliced_json.dumps if large else orjson.dumps)(document) if whole else b""
        if not whole or _has_media(text):
            taken = self._media.taken_out_from_thread(document, _known(vcon_uuid), whole=whole)
            text = _kept(taken, whole=whole)
        elif self._media.is_on:
            _keep(vcon_uuid, {}, whole=True)
        _writing()  # again: the call may have been given up meanwhile
        if run is None:
            given = staged_from_thread(self._connection, text)
            if not self._connection.script_from_thread("place", vcon_uuid, given, expiry):
                raise GoneError(vcon_uuid)
        elif _can_wait(run, vcon_uuid, expiry):
            run.memory.write(vcon_uuid, text)
        else:
            call, begun = _write(run, vcon_uuid, text, expiry)
            if not written_from_thread(self._connection, *call):
                raise _not_held(run)
            _note_written(run, vcon_uuid, text, begun)

    def _is_whole(self, run: RunState | None) -> bool:
        """Whether Redis gets a document with all its bodies."""
        return not self._media.is_on or (run is not None and not run.memory.in_use)

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
                try:
                    await self.put(document)
                except Exception:  # `put` has noted the document as whole already
                    _keep(vcon_uuid, _known(vcon_uuid))
                    raise
            _keep(vcon_uuid, {}, whole=True)
        if run is not None:
            run.memory.forget()  # no base of a patch: that plugin may change the document

    async def restore(self, document: dict[str, Any], expiry: int) -> None:
        """Write a document from a storage, unless Redis has one by now; atomic.

        With `expiry` > 0 it expires after so many seconds.

        Raises:
            GoneError: it was erased.
        """
        text = await self._media.stripped(document["uuid"], orjson.dumps(document))
        if is_large(text) and not await self._connection.script("restore", document["uuid"], "", 0):
            return
        given = await staged(self._connection, text)
        if await self._connection.script("restore", document["uuid"], given, expiry) < 0:
            raise GoneError(document["uuid"])


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
        size = sum(map(len, bodies.values()))
        run.memory.length = max(run.memory.length, size)  # the document itself is small


def _writing() -> RunState | None:
    """The run that a document is written for, if any; refuses abandoned calls."""
    if is_abandoned():
        raise ConflictError("this call took too long and was given up")
    return current_run.get()


def _is_own(vcon_uuid: str) -> bool:
    """Whether the run in progress holds the vCon."""
    run = None if is_abandoned() else current_run.get()
    return run is not None and vcon_uuid in (run.claim.vcon_uuid, run.progress.vcon)


def _recalled(vcon_uuid: str) -> bytes | str | None:
    run = None if is_abandoned() else current_run.get()
    return None if run is None else run.memory.recall(vcon_uuid)


def _writes() -> int | None:
    run = None if is_abandoned() else current_run.get()
    return None if run is None else run.memory.writes


def _parsed(
    vcon_uuid: str, text: bytes | str, writes: int | None, form: Form = _as_it_is
) -> Document | None:
    document = orjson.loads(text) if len(text) <= LARGE else sliced_json.loads(text)
    if not isinstance(document, dict):
        return None
    if (run := current_run.get()) and not is_abandoned():
        run.memory.read(vcon_uuid, text, writes)
    return form(document)


def _can_wait(run: RunState, vcon_uuid: str, expiry: int) -> bool:
    """Whether a write may wait for the next checkpoint: the run's own vCon, without expiry."""
    return run.memory.in_use and vcon_uuid == run.progress.vcon and expiry <= 0


def _write(
    run: RunState, vcon_uuid: str, text: bytes, expiry: int
) -> tuple[tuple[str, Words, Versions, Words], int]:
    """The call of `journal` for a write, and the number of the write."""
    number = time.monotonic_ns()  # before a large document is staged, which takes time
    before = run.worker, run.claim.vcon_uuid, run.claim.token, run.journal(), vcon_uuid
    versions = text, run.memory.base(vcon_uuid)
    return ("journal", before, versions, (expiry, number)), run.memory.begin_write()


def _note_written(run: RunState, vcon_uuid: str, text: bytes, begun: int) -> None:
    """A call that was given up changes nothing here: later plugins have written since."""
    if not is_abandoned():
        run.memory.superseded(vcon_uuid)
        run.memory.end_write(vcon_uuid, text, begun)


def _not_held(run: RunState) -> ConflictError:
    return ConflictError(f"run {run.claim.run_id} was taken over by another worker")
