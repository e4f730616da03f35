"""Partners' keys, usage and audit for administrators: `core.interfaces.PartnerAdmin`."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from core.concurrency.thread_pool import BoundedCalls
from core.db.usage_and_audit import MOST_USAGE, PartnerRecords
from core.errors import UnknownNameError
from core.observability.logs import keep_secret
from pipeline.ingest.key_cache import KeyCache, hashed
from pipeline.live_config import Configuration
from schemas.ingress_key import AuditEvent, Author, IngressKey, MadeKey, NewKey, Usage

PREFIX = "vk_"
SECRET_BYTES = 32
"""Random bytes of a secret: 43 characters of base64url."""


class PartnerAdmin:
    """Creates, lists, rotates and revokes keys; a change takes effect in this process at once."""

    def __init__(
        self,
        configuration: Configuration,
        records: PartnerRecords,
        cache: KeyCache,
        calls: BoundedCalls,
    ) -> None:
        """`calls` carries the calls of `records`."""
        self._configuration = configuration
        self._records = records
        self._cache = cache
        self._calls = calls

    async def create_key(self, new: NewKey, author: Author) -> MadeKey:
        """A key that opens one ingress list, with its secret.

        Raises:
            UnknownNameError: for a list that no chain names.
        """
        config = self._configuration.config
        if config.chain_taking(new.ingress_list) is None:
            raise UnknownNameError("ingress list", new.ingress_list, config.intake_lists)
        secret = _new_secret()
        create = self._records.keys.create
        return MadeKey(secret=secret, key=await self._calls(create, new, hashed(secret), author))

    async def keys(self, ingress_list: str | None) -> Sequence[IngressKey]:
        """Every key, or every key of one list, the newest first."""
        return await self._calls(self._records.keys.all, ingress_list)

    async def rotate_key(self, key_id: UUID, grace_hours: float, author: Author) -> MadeKey:
        """A new key in the place of another, which works for `grace_hours` more at most.

        Raises:
            UnknownNameError: there is no such key.
            ConflictError: the key was revoked, or has expired.
        """
        secret = _new_secret()
        rotate = self._records.keys.rotate
        key = await self._calls(rotate, key_id, hashed(secret), grace_hours, author)
        self._cache.forget()
        return MadeKey(secret=secret, key=key)

    async def revoke_key(self, key_id: UUID, author: Author) -> IngressKey:
        """The key, which no longer works.

        Raises:
            UnknownNameError: there is no such key.
        """
        key = await self._calls(self._records.keys.revoke, key_id, author)
        self._cache.forget()
        return key

    async def usage(
        self,
        key_id: UUID | None,
        ingress_list: str | None,
        since: date | None,
        most: int = MOST_USAGE,
    ) -> Sequence[Usage]:
        """Usage by key and day, the latest day first; at most `most` rows."""
        return await self._calls.long(self._records.ledger.usage, key_id, ingress_list, since, most)

    async def audit_events(
        self,
        since: datetime | None,
        before: int | None,
        limit: int,
        target: str | None = None,
    ) -> Sequence[AuditEvent]:
        """Audit events, the newest first; `before` is the id of the last one already seen.

        `target`: only the events with this target, such as `vcon:...`.
        """
        return await self._calls.long(self._records.ledger.events, since, before, limit, target)

    async def audit(
        self, action: str, author: Author, target: str, detail: Mapping[str, Any]
    ) -> None:
        """Record an action before it is done; the action is not done if this fails."""
        write = self._records.ledger.audit
        await self._calls(write, action, author, target, detail)


def _new_secret() -> str:
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    keep_secret(secret)
    return secret
