"""`ExternalIngress`, and `IngestVcon` with a key: vCons from partners.

The key is verified before anything else is looked at. It opens one ingress list, and a partner can
only replace vCons that its own lineage of keys brought in.
"""

import contextlib
import hmac
import logging
import math
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from core.concurrency.helper_process import Offload, call_inline
from core.concurrency.thread_pool import BoundedCalls
from core.db.usage_and_audit import PartnerRecords
from core.db.vcon_owners import Claim
from core.errors import (
    ConflictError,
    ForbiddenError,
    FullError,
    InvalidError,
    PatchcordError,
    RateLimitedError,
    TooLargeError,
    UnavailableError,
    UnusableKeyError,
)
from core.observability.metrics import UNKNOWN, VCONS_RECEIVED
from pipeline.config.lists import check_unread
from pipeline.ingest.claims import Claims
from pipeline.ingest.entry import Entry, make_entry
from pipeline.ingest.idempotency import NO_KEY, Registration, registration
from pipeline.ingest.intake import Intake, Owner, foreign
from pipeline.ingest.key_cache import KeyCache, KeyRefusedError, Refusals
from pipeline.ingest.outboxes import UsageMeter
from pipeline.live_config import Configuration
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import WrongTypeError
from schemas.ingested import Ingested
from schemas.ingress_key import IngressKey, KnownKey

WINDOW_MS = 60_000
REASONS: dict[type[PatchcordError], str] = {
    InvalidError: "invalid",
    ForbiddenError: "forbidden",
    ConflictError: "conflict",
    TooLargeError: "too_large",
    RateLimitedError: "rate_limited",
    FullError: "full",
    UnavailableError: "unavailable",
    WrongTypeError: "unavailable",
}

log = logging.getLogger(__name__)


def _reason(error: PatchcordError) -> str:
    """The reason in the usage: that of the error's class, else of the nearest class above it."""
    return next((REASONS[kind] for kind in type(error).__mro__ if kind in REASONS), "other")


def _registration(idempotency_key: str | None, entry: Entry, key: IngressKey) -> Registration:
    if idempotency_key is None:
        return NO_KEY
    return registration(idempotency_key, entry.vcon_uuid, [key.ingress_list], str(key.lineage))


class PartnerApi:
    """Accepts vCons from partners, each with a key to one list."""

    def __init__(
        self,
        configuration: Configuration,
        max_vcon_bytes: int,
        intake: Intake,
        keys: KeyCache,
        records: PartnerRecords,
        redis: RedisConnection,
        calls: BoundedCalls,
        requests_per_minute: int = 0,
        offload: Offload = call_inline,
    ) -> None:
        """`calls` carries the calls of `records`; `usage` is written to `records` later.

        `requests_per_minute` is the limit of keys that have none of their own; 0 for no limit.
        `offload` runs the validation of vCons that are given as text.
        """
        self._requests_per_minute = requests_per_minute
        self._offload = offload
        self._configuration = configuration
        self._max_vcon_bytes = max_vcon_bytes
        self._intake = intake
        self._keys = keys
        self._owners = records.owners
        self._redis = redis
        self._calls = calls
        self._claims = Claims(records.owners, calls)
        self.usage = UsageMeter(records.ledger)
        self._refusals = Refusals(
            configuration, lambda: calls(records.keys.lists), clock=time.monotonic
        )

    async def take(
        self,
        vcon: object,
        lists: Sequence[str],
        api_key: str | None,
        *,
        idempotency_key: str | None = None,
        any_list: bool = False,
    ) -> Ingested:
        """The vCon's canonical uuid and the outcome.

        Raises:
            ForbiddenError: the key does not open the list; nothing else has been looked at.
            RateLimitedError: with the seconds to wait.
            InvalidError: with every error in the vCon, and where.
            TooLargeError: it exceeds the key's limit or MAX_VCON_BYTES.
            BusyError: the uuid is being processed with other content.
            ConflictError: the uuid has another owner.
            ReusedKeyError: the idempotency key was used for another request.
            UnavailableError: the list is full or, unless `any_list`, no chain names it; or Redis or
                Postgres cannot be reached.
        """
        partner = await self._admitted(lists, api_key)
        return await partner.take(vcon, idempotency_key=idempotency_key, any_list=any_list)

    async def admit(self, ingress_list: str, api_key: str | None) -> "AdmittedPartner":
        """The partner of a request over HTTP, whose body has not been read yet.

        Raises:
            ForbiddenError: the key does not open the list; the text is vcon-server's.
            RateLimitedError: with the seconds to wait.
            UnavailableError: Postgres is unavailable, and the key was not verified just before.
        """
        try:
            return await self._admitted([ingress_list], api_key)
        except KeyRefusedError:
            raise ForbiddenError(await self._refusals.text(ingress_list, api_key)) from None

    async def _admitted(self, lists: Sequence[str], api_key: str | None) -> "AdmittedPartner":
        key = await self._verified(lists, api_key)
        with self.counting(key):
            await self._within_limit(key)
            if not lists:
                raise InvalidError("ingress_lists: with a key, name the list that it opens")
        return AdmittedPartner(self, key)

    @contextmanager
    def counting(self, key: IngressKey) -> Iterator[None]:
        """Count a refusal of this key's request in its usage."""
        try:
            yield
        except PatchcordError as error:
            self.usage.refused(key.id, _reason(error))
            raise

    async def _verified(self, lists: Sequence[str], api_key: str | None) -> KnownKey:
        try:
            return await self._keys.check(api_key, lists)
        except KeyRefusedError as refused:
            if refused.key is not None:
                self.usage.refused(refused.key.id, "forbidden")
            raise

    async def _within_limit(self, key: IngressKey) -> None:
        most = key.requests_per_minute or self._requests_per_minute
        if not most:
            return
        wait = await self._redis.script("rate", str(key.lineage), most, WINDOW_MS)
        if wait:
            seconds = math.ceil(wait / 1000)
            text = f"{most} requests a minute are let in; try again in {seconds} s"
            raise RateLimitedError(text, seconds)

    async def entry(self, vcon: object, key: IngressKey, *, any_list: bool) -> Entry:
        """The vCon, if the key's list accepts it; see `entry_of`."""
        chain = self._configuration.config.chain_taking(key.ingress_list)
        if chain is None and not any_list:
            raise UnavailableError(f"list {key.ingress_list} is read by no chain at present")
        if chain is None:
            check_unread(self._configuration.config, key.ingress_list, any_list=True)
        limits = (self._max_vcon_bytes, key.max_vcon_bytes or self._max_vcon_bytes)
        chains, law = [chain] if chain else [], self._configuration.config.law
        return await make_entry(self._offload, vcon, min(limits), chains, law)

    async def store(self, entry: Entry, key: IngressKey, request: Registration) -> Ingested:
        """Store and enqueue a vCon for the owner of the key."""
        uuid = UUID(entry.vcon_uuid)
        claim = await self._claim(uuid, key.lineage)
        if claim == "foreign":
            raise foreign(entry.vcon_uuid)
        owner = Owner(str(key.lineage), claim)
        try:
            return await self._intake.ingest(entry, [key.ingress_list], owner, request=request)
        except (ConflictError, FullError, UnusableKeyError):  # nothing was written
            if claim == "new":
                with contextlib.suppress(UnavailableError):
                    await self._calls(self._owners.release, uuid, key.lineage)
            raise

    def accepted(self, entry: Entry, key: IngressKey, taken: Ingested) -> None:
        """Count an accepted vCon."""
        self.usage.accepted(key.id, len(entry.document))
        is_known = self._configuration.config.chain_taking(key.ingress_list)
        VCONS_RECEIVED.count(key.ingress_list if is_known else UNKNOWN, taken.outcome)

    async def _claim(self, vcon_uuid: UUID, lineage: UUID) -> Claim:
        try:
            return await self._claims.claim(vcon_uuid, lineage)
        except UnavailableError:  # Redis may know the owner; if not, the script refuses
            return "unknown"


class AdmittedPartner:
    """One request of a partner whose key was verified.

    If the key has a signing secret, `check_signature` must be called before `take`, which refuses
    otherwise. So the same key does not open its list over RPC, where no body is signed.
    """

    def __init__(self, api: PartnerApi, key: KnownKey) -> None:
        self._api = api
        self._key = key
        self._is_trusted = key.signing_secret is None

    def check_signature(self, signature: str | None, body: bytes) -> None:
        """Check the header `X-Hub-Signature-256` of a body, if the key has a signing secret.

        Raises:
            ForbiddenError: it is missing or wrong.
        """
        secret = self._key.signing_secret
        if secret is not None:
            with self._api.counting(self._key):
                verify_signature(secret, signature, body)
            self._is_trusted = True

    async def take(
        self, vcon: object, *, idempotency_key: str | None = None, any_list: bool = False
    ) -> Ingested:
        """Take one vCon into the key's list.

        Raises the errors of `PartnerApi.take`, but those about the key.
        """
        key = self._key
        with self._api.counting(key):
            if not self._is_trusted:
                raise ForbiddenError("This key takes signed requests over HTTP only")
            entry = await self._api.entry(vcon, key, any_list=any_list)
            taken = await self._api.store(entry, key, _registration(idempotency_key, entry, key))
        self._api.accepted(entry, key, taken)
        return taken


_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})", re.ASCII | re.IGNORECASE)


def verify_signature(secret: str, signature: str | None, body: bytes) -> None:
    """Check `sha256=` and the HMAC-SHA-256, in hex, of a body as received; the form is GitHub's.

    Raises:
        ForbiddenError: there is no signature, it is of another form, or it is that of another body
            or secret.
    """
    if signature is None:
        raise ForbiddenError("X-Hub-Signature-256 required")
    given = _SIGNATURE.fullmatch(signature)
    if given is None:
        raise ForbiddenError("X-Hub-Signature-256 must be sha256= and 64 hex digits")
    expected = hmac.digest(secret.encode("utf-8", "surrogatepass"), body, "sha256")
    if not hmac.compare_digest(bytes.fromhex(given[1]), expected):
        raise ForbiddenError("X-Hub-Signature-256 does not match the body")
