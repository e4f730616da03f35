"""What goes into the lists: documents with their uuid, uuids alone, and requested runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from core.db.vcon_owners import Claim
from core.errors import ConflictError, FullError, InvalidError, UnavailableError, UnknownNameError
from core.helper_process import Offload, call_inline
from core.interfaces import IngestApi
from core.observability.metrics import VCONS_RECEIVED
from core.observability.tracing import context as trace_context
from pipeline.config.parser import Chain
from pipeline.ingest.entry import Entry, entry_apart
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.document_pieces import is_large
from pipeline.redis_client.slices import chunks
from pipeline.redis_client.staging import staged
from pipeline.vcon.envelope import named_in, unknown_to, unwelcome
from schemas.ingested import Ingested, Outcome

# How many search terms of one vCon are indexed.
#
# Each term is a set in Redis, and all of a vCon's are written, removed and forgotten by scripts
# that keep Redis from everything else meanwhile.


@dataclass(frozen=True, slots=True)
class TermLimits:
    """The settings INDEX_TERMS and INDEX_TERM_LENGTH (characters of a value)."""

    count: int = 200
    length: int = 200


TERM_LIMITS = TermLimits()


def indexed(terms: Sequence[str], limits: TermLimits) -> tuple[list[str], list[str]]:
    """The terms that are indexed, the first ones, and warnings about those that are not."""
    fitting = [each for each in terms if len(each.partition(":")[2]) <= limits.length]
    warnings = []
    if too_long := len(terms) - len(fitting):
        warnings.append(
            f"parties: {too_long} search terms are longer than {limits.length} characters"
            " and not indexed"
        )
    if len(fitting) > limits.count:
        warnings.append(
            f"parties: {len(fitting)} search terms, of which the first {limits.count} are indexed"
        )
    return fitting[: limits.count], warnings


# Requests with an idempotency key: the same request again gets the run that was requested first.
#
# Redis remembers two things for a day: the run with its chain and its vCon, and beside them the
# digest of the document that the vCon had then, which earlier versions did not leave.


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a caller asks for; `digests` are those of the document given, if any."""

    chain: str
    vcon_uuid: str
    digests: Sequence[str] = ()


def run_of(request: RunRequest, registered: str, digest: str | None) -> str:
    """The run that stands behind a key, if this request is the one it was used for.

    `registered` is the run's id, its chain and its vCon, a line each; `digest` that of its
    document: empty when it is not known, None when an earlier version registered the run.

    Raises:
        ConflictError: the request differs in its chain, its vCon or the vCon's content.
    """
    run_id, *known = registered.split("\n")
    if known != [request.chain, request.vcon_uuid]:
        raise ConflictError("this idempotency_key was used for another chain or another vCon")
    if request.digests and digest not in (None, *request.digests):
        raise used_otherwise()
    return run_id


def used_otherwise() -> ConflictError:
    """What a caller is told whose document is not the one that the key was used with."""
    msg = "this idempotency_key was used with other content of this vCon; use another key"
    return ConflictError(msg)


CHUNK = 100
"""vCons that one script call queues; of more, all are looked at before the first is queued."""


@dataclass(frozen=True, slots=True)
class Owner:
    """On whose behalf a vCon goes in: the lineage of a partner's key; empty for our own side.

    `claim`: what Postgres says of its claim to the uuid.
    """

    lineage: str = ""
    claim: Claim = "new"


ANYBODY = Owner()


def foreign(vcon_uuid: str) -> ConflictError:
    """What a partner is told of a uuid that is not its own."""
    return ConflictError(f"vCon {vcon_uuid} was not brought in with this key; use another uuid")


class Intake:
    """The only way into the ingress lists and the run lists."""

    def __init__(
        self,
        connection: RedisConnection,
        *,
        sorted_set: str,
        max_depth: int,
        max_runs: int = 1000,
        terms: TermLimits = TERM_LIMITS,
        offload: Offload = call_inline,
    ) -> None:
        """A list with `max_depth` vCons is full. `sorted_set` holds all uuids by `created_at`.

        At most `max_runs` requested runs of one vCon wait at once. `offload`: where large documents
        are divided.
        """
        self._connection = connection
        self._sorted_set = sorted_set
        self._max_depth = max_depth
        self._max_runs = max_runs
        self._terms = terms
        self._offload = offload

    async def ingest(
        self,
        entry: Entry,
        lists: Sequence[str],
        owner: Owner = ANYBODY,
        key: str | None = None,
    ) -> Outcome:
        """Store, index and enqueue, all or nothing.

        The same content again is a `duplicate`: nothing changes but for lists not served before.
        `key` is the idempotency key of the request that brings it in. That search terms are not
        indexed is added to the entry's warnings.

        Raises:
            ConflictError: other content under this uuid is being processed, the uuid is not this
                owner's, or the key was used with other content.
            FullError: a list is full.
            UnavailableError: Redis is away; or Postgres is, and Redis does not know whose it is.
        """
        index_keys, warnings = indexed(entry.index_keys, self._terms)
        entry.warnings.extend(warnings)
        words = (
            *(entry.created_at, "\n".join(entry.digests)),
            *(self._sorted_set, self._max_depth, trace_context(), owner.lineage),
            *(owner.claim, "" if key is None else keys.idempotent_digest(key)),
            *(len(lists), *lists, *index_keys),
        )
        state, *names = await self._stored(entry, words)
        if state == "busy":
            msg = f"vCon {entry.vcon_uuid} is being processed with other content; try again later"
            raise ConflictError(msg)
        if state == "foreign":
            raise foreign(entry.vcon_uuid)
        if state == "unsure":
            msg = f"whose vCon {entry.vcon_uuid} is cannot be told just now; try again later"
            raise UnavailableError(msg)
        if state == "used":
            raise used_otherwise()
        if state == "full":
            raise self._full(names[0])
        outcome: Outcome = state
        return outcome

    async def _stored(self, entry: Entry, words: Sequence[object]) -> Any:
        """What the script answers; a large document is written only if it is needed."""
        given = b"" if is_large(entry.document) else entry.document
        reply = await self._connection.script("ingest", entry.vcon_uuid, given, *words)
        if reply == ["stage"]:
            document = await staged(self._connection, entry.document, self._offload)
            reply = await self._connection.script("ingest", entry.vcon_uuid, document, *words)
        return reply

    async def enqueue(
        self, vcon_uuids: Sequence[str], name: str, chain: Chain | None = None
    ) -> list[str]:
        """Put vCons that are in Redis into a list; the uuids of those that are not.

        `chain` is the one that reads the list.

        Raises:
            InvalidError: one is signed or encrypted, or names a critical extension, and the chain
                takes none such.
            FullError: the list has no room for all of them. In both cases none is put there.
        """
        parts = list(chunks(vcon_uuids, CHUNK))
        others = [len(vcon_uuids) - len(part) for part in parts]
        replies = [
            await self._looked_at(part, name, chain, self._max_depth - more, put=not more)
            for part, more in zip(parts, others, strict=True)
        ]
        if len(parts) > 1:  # all of them may go in: what has filled the list since is no matter
            room = self._max_depth + len(vcon_uuids)
            replies = [await self._enqueue(part, name, "", room, put=True) for part in parts]
        return [each for reply in replies for each in reply]

    async def _looked_at(
        self, vcon_uuids: Sequence[str], name: str, chain: Chain | None, room: int, *, put: bool
    ) -> list[str]:
        look = "" if chain is None else f"c{'' if chain.allow_envelopes else 'e'}"
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
        words = (name, room, look, trace_context(), int(put), *vcon_uuids)
        reply = await self._connection.script("enqueue", *words)
        if reply == ["full"]:
            raise self._full(name)
        return list(reply)

    async def enqueue_run(
        self,
        vcon_uuid: str,
        run_id: str,
        chain: str,
        journal: bytes,
        key: str | None = None,
        digests: Sequence[str] = (),
    ) -> str | None:
        """Register a requested run; its id, or None when there is no such vCon.

        It is that of an earlier request if that had the same `key`. `digests` are those of the
        document that came with this request; empty without one.

        Raises:
            ConflictError: the key was used for another request.
            FullError: too many runs of this vCon wait already.
        """
        reply = await self._connection.script(
            *("enqueue_run", vcon_uuid, run_id, chain, journal, trace_context()),
            *(("", "") if key is None else (keys.idempotency(key), keys.idempotent_digest(key))),
            self._max_runs,
        )
        if reply == ["full"]:
            msg = f"{self._max_runs} runs of this vCon wait already; try again later"
            raise FullError(msg)
        return run_of(RunRequest(chain, vcon_uuid, digests), *reply) if reply else None

    def _full(self, name: str) -> FullError:
        return FullError(f"list {name} is full ({self._max_depth} vCons); try again later")


# What is taken in through our own door: one vCon, checked, normalised, stored and enqueued.


class InternalApi:
    """`IngestVcon`: takes vCons in from the callers of the service."""

    def __init__(
        self,
        configuration: Configuration,
        max_vcon_bytes: int,
        intake: Intake,
        partners: IngestApi,
        *,
        key_required: bool = False,
        offload: Offload = call_inline,
    ) -> None:
        """`partners` takes what comes with a key, and everything if one is required.

        `offload` reads vCons that are given as bytes or text.
        """
        self._partners = partners
        self._key_required = key_required
        self._offload = offload
        self._configuration = configuration
        self._max_vcon_bytes = max_vcon_bytes
        self._intake = intake

    async def take(
        self, vcon: object, lists: Sequence[str], api_key: str | None = None
    ) -> Ingested:
        """The vCon's canonical uuid and the outcome; it is stored and in every list named.

        Raises the errors of `accept`, or those of `PartnerApi.take`.
        """
        if api_key is not None or self._key_required:
            return await self._partners.take(vcon, lists, api_key)
        return await self.accept(vcon, lists)

    async def accept(self, vcon: object, lists: Sequence[str]) -> Ingested:
        """`take` for a caller of whom no key is required.

        Raises:
            UnknownNameError: no enabled chain reads one of the lists.
            InvalidError: with every error in the vCon, and where.
            TooLargeError: the vCon exceeds MAX_VCON_BYTES.
            ConflictError: a run processes other content under its uuid.
            UnavailableError: a list is full, or Redis cannot be reached.
        """
        entry = await self.entry(vcon, [self._reader(name) for name in lists])
        names = _once(lists)
        outcome = await self._intake.ingest(entry, names)
        for name in names:
            VCONS_RECEIVED.count(name, outcome)
        return Ingested(uuid=entry.vcon_uuid, outcome=outcome, warnings=entry.warnings)

    async def entry(self, vcon: object, chains: Iterable[Chain]) -> Entry:
        """The vCon as it goes into these chains; see `entry_of`."""
        return await entry_apart(self._offload, vcon, self._max_vcon_bytes, chains)

    async def put(self, entry: Entry, key: str | None = None) -> None:
        """Store a vCon that goes into no list, for the request with this idempotency key.

        Raises:
            ConflictError: other content under its uuid is being processed, or the key was used with
                other content.
            UnavailableError: when Redis is away.
        """
        await self._intake.ingest(entry, (), key=key)

    def _reader(self, name: str) -> Chain:
        config = self._configuration.config
        chain = config.chain_reading(name)
        if chain is None:
            raise UnknownNameError("ingress list", name, config.ingress_lists)
        return chain


def _once(lists: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(lists))
