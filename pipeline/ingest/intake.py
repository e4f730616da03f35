"""The only code that puts vCons into ingress lists and runs into run lists.

What "accepted" means
    A caller gets 200 or 201 after one script (`vcons/ingest.lua`) has stored the document, its
    index entries, its owner and one element in every list named, all or nothing. If Redis keeps
    its data, the vCon is then in at least one durable place and some chain will run it. A request
    without an answer may or may not have been accepted: the caller sends it again.

Idempotency
    `pc:about:{uuid}` holds the digest of the stored document and the lists that got the uuid. The
    same content again is a `duplicate`: it is added only to lists that it was not in. So a request
    can be sent any number of times, by the caller or by `RedisConnection` after a lost reply. A
    request with an idempotency key also registers it for a day; see
    `pipeline.ingest.idempotency`. A vCon that comes again with its key is a duplicate that queues
    nothing, also if it has expired or was replaced in between.

Replaced vCons
    Other content under a known uuid replaces the document and its index entries (`replaced`), and
    the uuid is queued in each list again. It is refused while a run has the vCon in flight or waits
    for its next attempt, since links of one run must not see two documents. Runs that failed with
    the old document are deleted, because a replay of one would skip links on the new document.

Owners
    A vCon that came by the partner API belongs to that key's lineage, and only that lineage or the
    internal API can replace it. Postgres has the owners for good, Redis those it has lately seen;
    the script decides, and refuses if neither knows (`unsure`).

Staging
    A script that writes a large document would hold up every other client of Redis. The script is
    first called without the document. If the answer is `stage`, the document is needed: it is
    written in pieces under a name of its own (`pipeline.redis_client.staging`), and the script is
    called again with that name, checks everything again and renames it. A duplicate writes nothing.

Limits
    A list with `max_depth` elements is full. `enqueue` checks all its vCons in chunks before it
    queues the first chunk; the room may shrink in between, so the list can exceed its limit by the
    vCons of one call.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

import orjson

from core.concurrency.helper_process import Offload, call_inline
from core.db.vcon_owners import Claim
from core.errors import (
    BusyError,
    ConflictError,
    FullError,
    GoneError,
    InvalidError,
    PatchcordError,
    UnavailableError,
)
from core.observability.tracing import caller_context, installed
from pipeline.config.parser import Chain
from pipeline.custody.carrying_out import CarryingOut, Row
from pipeline.custody.keeper import Keeper, NoKeeper
from pipeline.custody.rows import NEW_RUN, place_of, row_in_redis
from pipeline.ingest import kept_originals
from pipeline.ingest.entry import TERM_LIMITS, Entry, TermLimits, indexed
from pipeline.ingest.entry_writer import EntryWriter, row_of
from pipeline.ingest.idempotency import (
    NO_KEY,
    Registration,
    RunRequest,
    other_content,
    other_request,
    run_of,
)
from pipeline.ingest.vcon_hooks import VconHooks
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.slices import chunks
from pipeline.vcon.envelope import named_in, unknown_to, unwelcome
from schemas.ingested import Ingested

CHUNK = 100
"""vCons that one script call queues."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The lineage that brings a vCon in; empty for the internal API.

    `claim` is Postgres' answer about its claim to the uuid.
    """

    lineage: str = ""
    claim: Claim = "new"


INTERNAL = Owner()


def foreign(vcon_uuid: str) -> ConflictError:
    """The error for a uuid of another owner."""
    return ConflictError(f"vCon {vcon_uuid} was not brought in with this key; use another uuid")


class Intake:
    """Writes vCons and requested runs; see the head of this file."""

    def __init__(
        self,
        connection: RedisConnection,
        *,
        sorted_set: str,
        max_depth: int,
        max_runs: int = 1000,
        terms: TermLimits = TERM_LIMITS,
        offload: Offload = call_inline,
        keeper: Keeper | None = None,
        hooks: VconHooks | None = None,
    ) -> None:
        """A list with `max_depth` vCons is full. `sorted_set` holds all uuids by `created_at`.

        At most `max_runs` requested runs of one vCon wait at once. `offload` runs the division of
        large documents into pieces. `keeper` takes vCons into custody before Redis gets them.
        `hooks` are told of vCons that are new or replaced.
        """
        self._hooks = hooks
        self._keeper = keeper or NoKeeper()
        self._writer = EntryWriter(connection, self._keeper, offload)
        self._carrying_out = CarryingOut(connection, self._keeper)
        self._connection = connection
        self._sorted_set = sorted_set
        self._max_depth = max_depth
        self._max_runs = max_runs
        self._terms = terms
        spans = installed()
        self._trace_context: Callable[[], str] = spans.context if spans else caller_context.get

    async def ingest(
        self,
        entry: Entry,
        lists: Sequence[str],
        owner: Owner = INTERNAL,
        key: str | None = None,
        request: Registration = NO_KEY,
        *,
        in_custody: bool = True,
    ) -> Ingested:
        """Store, index and enqueue, all or nothing.

        `key` is the idempotency key of a `RunChain`, `request` that of a vCon over HTTP: a request
        that was carried out already is a duplicate, even if its vCon is gone or was replaced.
        Warnings about search terms that are not indexed are added to those of the entry. Without
        `in_custody` the caller queues a run of the vCon, which takes it into custody.

        Raises:
            BusyError: other content under this uuid is being processed.
            ConflictError: the uuid has another owner.
            GoneError: a vCon of this uuid was erased.
            ReusedKeyError: the key was used with other content or, over HTTP, other lists.
            FullError: a list is full.
            UnavailableError: Redis cannot be reached; or Postgres cannot, and Redis does not know
                the owner.
        """
        self._refuse_index(lists)
        index_keys, warnings = indexed(entry.index_keys, self._terms)
        entry.warnings.extend(warnings)
        choice = await self._choice(entry)
        words = (
            entry.created_at,
            _digests(entry, choice.lines),
            *(self._sorted_set, self._max_depth, self._trace_context()),
            *(owner.lineage, owner.claim),
            "" if key is None else keys.idempotent_digest(key),
            *(request.name, request.lists, entry.received),
        )
        about = choice.original, lists, index_keys, owner.lineage, request
        row = row_of(entry, *about) if in_custody else None
        state, *told = await self._writer.write(entry, row, words, len(lists), *lists, *index_keys)
        self._check(state, told, entry)
        if state != "duplicate":
            self._tell_hooks(entry, lists)
        return Ingested(
            uuid=entry.vcon_uuid,
            outcome=state,
            warnings=entry.warnings,
            document=entry.received_at(told[0]) if told else entry.document,
        )

    def _check(self, state: str, told: Sequence[str], entry: Entry) -> None:
        """Raise what the script refuses with."""
        if state in _REFUSALS:
            raise _REFUSALS[state](entry.vcon_uuid)
        if state == "full":
            raise self._full(told[0])

    async def _choice(self, entry: Entry) -> kept_originals.Choice:
        if not entry.original:
            return kept_originals.NO_ORIGINAL
        return await kept_originals.offer(self._connection, entry)

    def _tell_hooks(self, entry: Entry, lists: Sequence[str]) -> None:
        if self._hooks and self._hooks.configuration.plugins.hooks.on_vcon_created:
            self._hooks.created(entry.vcon_uuid, entry.document, lists)

    async def enqueue(
        self, vcon_uuids: Sequence[str], name: str, chain: Chain | None = None
    ) -> list[str]:
        """Put vCons in Redis into a list; return the uuids that are not in Redis.

        `chain` is the one that reads the list.

        Raises:
            InvalidError: a vCon is signed, encrypted or names a critical extension, and the chain
                does not accept that.
            FullError: the list has no room for all of them.
            GoneError: one was erased. In each case none is queued.
        """
        self._refuse_index([name])
        parts = list(chunks(vcon_uuids, CHUNK))
        others = [len(vcon_uuids) - len(part) for part in parts]
        at_once = len(parts) == 1 and not self._keeper.is_kept
        replies = [
            await self._checked(part, name, chain, self._max_depth - more, put=at_once)
            for part, more in zip(parts, others, strict=True)
        ]
        if len(parts) > 1 or self._keeper.is_kept:  # each part was only checked
            room = self._max_depth + len(vcon_uuids)  # the list may have filled up since
            replies = [await self._put(part, name, room) for part in parts]
        return [each for reply in replies for each in reply]

    async def _put(self, vcon_uuids: Sequence[str], name: str, room: int) -> list[str]:
        """Take vCons into custody, and queue them."""

        async def accept() -> list[Row]:
            kept = await asyncio.gather(
                *(self._kept(each, [name], state=NEW_RUN) for each in vcon_uuids)
            )
            return list(zip(vcon_uuids, kept, strict=True))

        async def queue(refs: Sequence[str]) -> list[str]:
            named = [f"{each} {ref}".rstrip() for each, ref in zip(vcon_uuids, refs, strict=True)]
            return await self._enqueue(named, name, "", room, put=True)

        return list(await self._carrying_out(accept, queue, lambda missing: not missing))

    async def _kept(self, vcon_uuid: str, places: Sequence[str], **about: Any) -> str:
        """The ref of a new row for a vCon in Redis; "" without custody, or if it is not there."""
        if not self._keeper.is_kept:
            return ""
        how = self._connection, self._sorted_set
        row = await row_in_redis(*how, vcon_uuid, places, **about)
        return await self._keeper.accept(row) if row is not None else ""

    async def _checked(
        self, vcon_uuids: Sequence[str], name: str, chain: Chain | None, room: int, *, put: bool
    ) -> list[str]:
        look = "" if chain is None else f"c{'' if chain.allow_envelopes or chain.opens else 'e'}"
        reply = await self._enqueue(vcon_uuids, name, look, room, put=put)
        if chain is not None and reply[:1] == ["envelope"]:
            raise InvalidError(f"{reply[1]}: {unwelcome(chain)}")
        if chain is not None and reply[:1] == ["critical"]:
            for vcon_uuid, critical in batched(reply[1:], 2):
                if refusal := unknown_to(chain, named_in(critical)):
                    raise InvalidError(f"{vcon_uuid}: {refusal}")
            reply = await self._enqueue(vcon_uuids, name, "", room, put=put)
        return reply

    async def _enqueue(
        self, vcon_uuids: Sequence[str], name: str, look: str, room: int, *, put: bool
    ) -> list[str]:
        words = (name, room, look, self._trace_context(), int(put), *vcon_uuids)
        reply = await self._connection.script("enqueue", *words)
        if reply == ["full"]:
            raise self._full(name)
        if reply[:1] == ["gone"]:
            raise GoneError(reply[1])
        return list(reply)

    async def enqueue_run(
        self,
        vcon_uuid: str,
        run_id: str,
        chain: str,
        checkpoint: bytes,
        key: str | None = None,
        digests: Sequence[str] = (),
    ) -> str | None:
        """Register a requested run; its id, or None if the vCon is not in Redis.

        The id is that of an earlier request with the same `key`, if there was one. `digests` are
        those of the document in this request; empty without one.

        Raises:
            ReusedKeyError: the key was used for another request.
            FullError: too many runs of this vCon wait already.
            GoneError: the vCon was erased.
        """
        own = f"{run_id}\n{chain}\n{vcon_uuid}"
        idempotency = ("", "")
        remembered: dict[str, str] = {}
        if key is not None:
            idempotency = (keys.idempotency(key), keys.idempotent_digest(key))
            remembered = {idempotency[0]: own, idempotency[1]: next(iter(digests), "")}
        place = place_of(keys.run_list(chain), run_id)
        about = {"run_id": run_id, "state": orjson.loads(checkpoint), "idempotency": remembered}
        words = (chain, checkpoint, self._trace_context(), *idempotency, self._max_runs)

        async def accept() -> list[Row]:
            return [(vcon_uuid, await self._kept(vcon_uuid, [place], **about))]

        async def queue(refs: Sequence[str]) -> Any:
            return await self._connection.script("enqueue_run", vcon_uuid, run_id, *words, *refs)

        reply = await self._carrying_out(accept, queue, lambda reply: reply[:1] == [own])
        if reply == ["gone"]:
            raise GoneError(vcon_uuid)
        if reply == ["full"]:
            msg = f"{self._max_runs} runs of this vCon wait already; try again later"
            raise FullError(msg)
        return run_of(RunRequest(chain, vcon_uuid, digests), *reply) if reply else None

    def _refuse_index(self, lists: Sequence[str]) -> None:
        """Refuse the index as a list: where it does not exist yet, the script would make it one."""
        if self._sorted_set in lists:
            raise InvalidError(f"ingress_lists: {self._sorted_set} is the index of all vCons")

    def _full(self, name: str) -> FullError:
        return FullError(f"list {name} is full ({self._max_depth} vCons); try again later")


def _busy(vcon_uuid: str) -> BusyError:
    msg = f"vCon {vcon_uuid} is being processed with other content; try again later"
    return BusyError(msg)


def _unsure(vcon_uuid: str) -> UnavailableError:
    msg = f"the owner of vCon {vcon_uuid} cannot be determined at present; try again later"
    return UnavailableError(msg)


def _digests(entry: Entry, original: Sequence[str]) -> str:
    """The lines that `ingest.lua` expects of an entry; the last are about its original."""
    size = str(len(entry.document)) if entry.taken else ""
    lines = [entry.digest, entry.earlier_digest, size, *original]
    return "\n".join(lines).rstrip("\n")


_REFUSALS: dict[str, Callable[[str], PatchcordError]] = {
    "busy": _busy,
    "foreign": foreign,
    "gone": GoneError,
    "unsure": _unsure,
    "used": lambda _: other_content(),
    "reused": lambda _: other_request(),
}
"""Errors by the reply of `ingest.lua`."""
