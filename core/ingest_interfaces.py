"""The interfaces for taking vCons in; `core.interfaces` has the others."""

from collections.abc import Sequence
from typing import Protocol

from schemas.ingested import Ingested


class IngestApi(Protocol):
    """The internal or the partner API: both take one vCon in."""

    async def take(
        self,
        vcon: object,
        lists: Sequence[str],
        api_key: str | None,
        *,
        idempotency_key: str | None = None,
        any_list: bool = False,
    ) -> Ingested:
        """Validate, normalise, store, index and enqueue one vCon.

        The vCon is an object, its JSON text as bytes, or gzip of that in base64. The same
        `idempotency_key` with the same vCon and lists is a duplicate for a day, even if the vCon
        has expired or was replaced; with another request it is a `ReusedKeyError`. A key that is
        the vCon's own uuid has no effect. `any_list` also takes lists that no chain reads.
        """
        ...


class InternalIngestApi(IngestApi, Protocol):
    """The internal API."""

    async def accept(
        self,
        vcon: object,
        lists: Sequence[str],
        *,
        idempotency_key: str | None = None,
        any_list: bool = False,
    ) -> Ingested:
        """`take` without a key, even where one is required, for a caller known otherwise."""
        ...


class AdmittedPartner(Protocol):
    """A partner whose key opens a list, for one request."""

    def check_signature(self, signature: str | None, body: bytes) -> None:
        """Check the header `X-Hub-Signature-256` of the body as received, if the key requires it.

        Without this `take` refuses a vCon of such a key.

        Raises:
            ForbiddenError: it is missing or wrong.
        """
        ...

    async def take(
        self, vcon: object, *, idempotency_key: str | None = None, any_list: bool = False
    ) -> Ingested:
        """Take one vCon into the list; as `IngestApi.take`."""
        ...


class PartnerIngestApi(IngestApi, Protocol):
    """The partner API: a key is checked before anything else."""

    async def admit(self, ingress_list: str, api_key: str | None) -> AdmittedPartner:
        """Check the key of a request over HTTP, before its body is read.

        Raises:
            ForbiddenError: it does not open the list; with the text that vcon-server has for it.
            RateLimitedError: too many requests with this key, or with wrong keys.
            UnavailableError: Postgres is unavailable, and the key was not verified just before.
        """
        ...
