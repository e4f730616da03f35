"""The vCon documents in Redis. A write inside a run is fenced: it needs the run's claim."""

import asyncio
import time
from typing import Any

import orjson

from core.errors import ConflictError
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

    async def get(self, vcon_uuid: str) -> dict[str, Any] | None:
        """The document, or None when there is none.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        text = _recalled(vcon_uuid)
        if text is None:
            try:
                text = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid))
            except WrongTypeError:
                if not await self._connection.script("adopt", vcon_uuid):
                    raise
                text = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid))
        return _parsed(vcon_uuid, text)

    async def text(self, vcon_uuid: str) -> tuple[bytes | None, bool]:
        """The JSON of the document, or None; and whether this service took it in.

        Only then its form is surely the canonical one.

        Raises:
            UnavailableError: Redis cannot be reached.
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
        return text.encode(errors=ENCODING_ERRORS), digest is not None

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
        return _parsed(vcon_uuid, text)

    async def put(self, document: dict[str, Any], expiry: int = 0) -> None:
        """Write a document under its uuid; with `expiry` > 0 it expires after so many seconds.

        Inside a run the write may be kept until the next checkpoint (`DocumentCache`).

        Raises:
            ConflictError: this worker no longer holds the run, or the plugin's call was given up;
                nothing is written.
            UnavailableError: Redis cannot be reached.
        """
        run, text = _writing(), orjson.dumps(document)
        if run is not None and _can_wait(run, document["uuid"], expiry):
            run.memory.write(document["uuid"], text)
            return
        number = time.monotonic_ns()  # before a large document is staged, which takes time
        given = await staged(self._connection, text)
        name, *words = _write(run, document["uuid"], given, expiry, number)
        if not await self._connection.script(name, *words) and run is not None:
            raise _not_held(run)

    def put_from_thread(self, document: dict[str, Any], expiry: int = 0) -> None:
        """`put`, from a thread."""
        run, text = _writing(), orjson.dumps(document)
        if run is not None and _can_wait(run, document["uuid"], expiry):
            run.memory.write(document["uuid"], text)
            return
        number = time.monotonic_ns()
        given = staged_from_thread(self._connection, text)
        name, *words = _write(run, document["uuid"], given, expiry, number)
        if not self._connection.script_from_thread(name, *words) and run is not None:
            raise _not_held(run)

    async def restore(self, document: dict[str, Any], expiry: int) -> None:
        """Write a document from a storage, unless Redis has one by now; atomic.

        With `expiry` > 0 it expires after so many seconds.
        """
        text = orjson.dumps(document)
        if is_large(text) and not await self._connection.script("restore", document["uuid"], "", 0):
            return
        given = await staged(self._connection, text)
        await self._connection.script("restore", document["uuid"], given, expiry)


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
