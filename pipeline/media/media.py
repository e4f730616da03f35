"""Large bodies of vCons beside the documents in Redis (MEDIA_STORE).

Order. A body is written first, then the document that names it: a document in Redis never names a
body that is not there. Before the body, the vCon is registered in `pc:media`, a sorted set of vCons
by the second in which their media are looked at again (`sweep.py`). So a body that no document
names, since its writer died in between, is found and removed, in every kind of store.

Without MEDIA_STORE nothing is taken out, except bodies in the form of a placeholder (`bodies.py`).
What was taken out is put back also after the setting has changed: a placeholder names its store.
"""

import contextlib
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from core.concurrency.thread_pool import in_own_thread
from pipeline.media.bodies import (
    MARK,
    MARK_BYTES,
    Body,
    Document,
    Known,
    Placeholder,
    TakenOut,
    body_of,
    is_due,
    placeholders,
    put_back,
    take_out,
    whole_text,
)
from pipeline.media.redis_store import RedisStore
from pipeline.media.rules import NOTHING, Rule, is_own, put_in_force
from pipeline.media.stores import MediaAwayError, MediaGoneError, MediaStore
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.errors import WrongTypeError

log = logging.getLogger(__name__)

AS_IN_REDIS = b" "
"""How a kept text begins that has placeholders; no other JSON of the service begins so."""
LOOK_SECONDS = 900
"""Seconds until the media of a vCon are looked at again."""


@dataclass(slots=True)
class RunBodies:
    """The bodies of a run's vCon, so that each link need not read and write them again."""

    vcon: str = ""
    bodies: Known = field(default_factory=dict)
    is_whole: bool = False

    def of(self, vcon_uuid: str) -> Known:
        """Those of this vCon; names are valid for one vCon only."""
        return self.bodies if vcon_uuid == self.vcon else {}

    def is_whole_of(self, vcon_uuid: str) -> bool:
        """Whether Redis is known to have this vCon with its bodies."""
        return self.is_whole and vcon_uuid == self.vcon

    def keep(self, vcon_uuid: str, bodies: Known, *, whole: bool) -> None:
        """Keep these, and no others."""
        self.vcon, self.bodies, self.is_whole = vcon_uuid, bodies, whole


class Media:
    """Takes large bodies out of documents, and puts them back."""

    def __init__(
        self,
        connection: RedisConnection,
        rule: Rule | None = None,
        more: Mapping[str, MediaStore] | None = None,
    ) -> None:
        """`rule`: what is taken out, None with MEDIA_STORE unset; `more`: stores besides Redis."""
        self._connection = connection
        self.is_on = rule is not None
        self.rule = rule or NOTHING
        self.stores: dict[str, MediaStore] = {"redis": RedisStore(connection), **(more or {})}

    def serves(self, connection: RedisConnection) -> bool:
        """Whether it is for this connection."""
        return connection is self._connection

    async def taken_out(
        self, document: Document, known: Known | None = None, *, whole: bool = False
    ) -> TakenOut:
        """The document without its large bodies, which are written.

        `whole` leaves them in, except those in the form of a placeholder.

        Raises:
            UnavailableError: Redis or the store does not answer.
        """
        least = math.inf if whole else self.rule.least
        if not is_due(document, least):
            return TakenOut(document)
        taken = await in_own_thread(self._taken_out, document, known, least)
        if taken.texts:
            await self.write(document["uuid"], taken.texts)
        return taken

    def taken_out_from_thread(
        self, document: Document, known: Known | None = None, *, whole: bool = False
    ) -> TakenOut:
        """`taken_out`, from a thread."""
        taken = self._taken_out(document, known, math.inf if whole else self.rule.least)
        if taken.texts:
            vcon_uuid, store = taken.document["uuid"], self.stores[self.rule.store]
            self._connection.command_from_thread(*_registered(vcon_uuid))
            for name, text in taken.texts.items():
                store.put_from_thread(vcon_uuid, name, text)
        return taken

    def _taken_out(self, document: Document, known: Known | None, least: float) -> TakenOut:
        if not (is_due(document, least) and is_own(document.get("uuid"))):
            return TakenOut(document)
        return take_out(document, self.rule.store, least, known)

    async def write(self, vcon_uuid: str, texts: Mapping[str, bytes]) -> int:
        """Write bodies of a vCon; they are durable when this returns.

        Returns the second for which the vCon is registered.

        Raises:
            UnavailableError: Redis or the store does not answer.
        """
        registered = _registered(vcon_uuid)
        if texts:
            await self._connection.command(*registered)
        for name, text in texts.items():
            await self.stores[self.rule.store].put(vcon_uuid, name, text)
        return registered[2]

    async def confirm(self, vcon_uuid: str, texts: Mapping[str, bytes], second: int) -> None:
        """Write bodies again that a deletion has removed before the document was written.

        `second`: what `write` has returned; a deletion puts it back, or removes it.

        Raises:
            UnavailableError: Redis or the store does not answer.
        """
        if not texts:
            return
        found = await self._connection.command("ZSCORE", keys.MEDIA, vcon_uuid)
        if found is None or float(found) < second:
            named = {each.name for each in await self.named(vcon_uuid)}
            lost = {name: text for name, text in texts.items() if name in named}
            await self.write(vcon_uuid, lost)

    async def put_back(self, vcon_uuid: str, document: Document, known: Known) -> Known:
        """Put its bodies into a document that was read from Redis; returns them.

        Raises:
            MediaGoneError: the store does not have a body.
            UnavailableError: the store does not answer, or this process does not know it.
        """
        bodies: dict[str, Body] = {}
        for each in _wanted(vcon_uuid, document):
            if (body := bodies.get(each.text, known.get(each.text))) is None:
                store = self._store(vcon_uuid, each)
                body = _body(vcon_uuid, each, await store.get(vcon_uuid, each.name))
            bodies[each.text] = body
        put_back(document, bodies)
        return bodies

    def put_back_from_thread(self, vcon_uuid: str, document: Document, known: Known) -> Known:
        """`put_back`, from a thread."""
        bodies: dict[str, Body] = {}
        for each in _wanted(vcon_uuid, document):
            if (body := bodies.get(each.text, known.get(each.text))) is None:
                store = self._store(vcon_uuid, each)
                body = _body(vcon_uuid, each, store.get_from_thread(vcon_uuid, each.name))
            bodies[each.text] = body
        put_back(document, bodies)
        return bodies

    async def whole(self, vcon_uuid: str, text: bytes) -> bytes:
        """The JSON of a vCon with its bodies, from that in Redis.

        Raises:
            MediaGoneError: the store does not have a body.
            UnavailableError: the store does not answer, or this process does not know it.
        """
        if MARK_BYTES not in text or not isinstance(document := orjson.loads(text), dict):
            return text
        bodies: dict[str, Body] = {}
        for each in _wanted(vcon_uuid, document):
            if each.text in bodies:
                continue
            found = await self._store(vcon_uuid, each).get(vcon_uuid, each.name)
            if found is None:
                raise _gone(vcon_uuid, each)
            bodies[each.text] = found.encode() if isinstance(found, str) else found
        return whole_text(document, bodies) if bodies else text

    async def for_keeping(self, vcon_uuid: str, text: bytes) -> bytes:
        """`whole`, for custody and backups, which keep a vCon even if its media are gone.

        Then the text is that in Redis behind a space, by which `stripped` knows it.

        Raises:
            UnavailableError: the store does not answer, or this process does not know it.
        """
        try:
            return await self.whole(vcon_uuid, text)
        except (MediaGoneError, orjson.JSONDecodeError) as error:
            log.warning("vCon kept without media", extra={"error": str(error), "vcon": vcon_uuid})
            return AS_IN_REDIS + text

    async def stripped(self, vcon_uuid: str, text: bytes) -> bytes:
        """The JSON of a vCon as it is written to Redis, its large bodies written already.

        Raises:
            UnavailableError: Redis or the store does not answer.
        """
        if text.startswith(AS_IN_REDIS) or (len(text) < self.rule.least and MARK_BYTES not in text):
            return text
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:  # such as half a surrogate pair of another program
            return text
        taken = self._taken_out(found, None, self.rule.least) if isinstance(found, dict) else None
        if taken is None or not taken.texts:
            return text
        await self.write(vcon_uuid, taken.texts)
        return orjson.dumps(taken.document)

    async def named(self, vcon_uuid: str) -> list[Placeholder]:
        """The placeholders of the document in Redis; none if that cannot be told."""
        text = None
        with contextlib.suppress(WrongTypeError, CommandRefused):  # another program's
            text = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid))
        if text is None or MARK not in text:
            return []
        document = orjson.loads(text)
        return _wanted(vcon_uuid, document) if isinstance(document, dict) else []

    def _store(self, vcon_uuid: str, wanted: Placeholder) -> MediaStore:
        if wanted.store not in self.stores:
            msg = (
                f"vCon {vcon_uuid}: the body of {wanted.where} is in media store {wanted.store}, "
                f"which this process does not know: set MEDIA_{_SETTINGS[wanted.store]} in every "
                "replica"
            )
            raise MediaAwayError(msg)
        return self.stores[wanted.store]


_SETTINGS = {"file": "FOLDER", "s3": "S3_BUCKET"}


def _registered(vcon_uuid: str) -> tuple[str, str, int, str]:
    return ("ZADD", keys.MEDIA, int(time.time()) + LOOK_SECONDS, vcon_uuid)


def _wanted(vcon_uuid: str, document: Document) -> list[Placeholder]:
    return placeholders(document) if is_own(vcon_uuid) else []


def _body(vcon_uuid: str, wanted: Placeholder, text: bytes | str | None) -> Body:
    if text is None:
        raise _gone(vcon_uuid, wanted)
    return body_of(text)


def _gone(vcon_uuid: str, wanted: Placeholder) -> MediaGoneError:
    msg = (
        f"vCon {vcon_uuid}: the body of {wanted.where} is not in media store {wanted.store}, or is "
        f"damaged there ({wanted.name})"
    )
    return MediaGoneError(msg)


_installed: list[Media] = []


def install(media: Media) -> None:
    """Use this in the process, as `pipeline.redis_client.client.install` does."""
    _installed[:] = [media]
    put_in_force(media.rule)


def installed(connection: RedisConnection) -> Media:
    """The process's media; without them those of this connection, with MEDIA_STORE unset."""
    return _installed[0] if _installed and _installed[0].serves(connection) else Media(connection)
