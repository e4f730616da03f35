"""What administrative actions may see of partners: their keys, their usage and the audit."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from schemas.ingress_key import AuditEvent, Author, IngressKey, MadeKey, NewKey, Usage


class PartnerDesk(Protocol):
    """Keys of partners and what was done with them.

    Every method raises `UnavailableError` when Postgres cannot be reached.
    """

    async def create_key(self, new: NewKey, author: Author) -> MadeKey:
        """A key that opens one ingress list, with its secret."""
        ...

    async def keys(self, ingress_list: str | None) -> Sequence[IngressKey]:
        """Every key, or every key of one list, the newest first."""
        ...

    async def rotate_key(self, key_id: UUID, grace_hours: float, author: Author) -> MadeKey:
        """A new key in the place of another, which works for `grace_hours` more at most."""
        ...

    async def revoke_key(self, key_id: UUID, author: Author) -> IngressKey:
        """The key, which no longer works."""
        ...

    async def usage(
        self, key_id: UUID | None, ingress_list: str | None, since: date | None
    ) -> Sequence[Usage]:
        """Usage by key and day, the latest day first; at most 1,000 rows."""
        ...

    async def audit_events(
        self, since: datetime | None, before: int | None, limit: int
    ) -> Sequence[AuditEvent]:
        """Audit events, the newest first; `before` is the id of the last one already seen."""
        ...

    async def audit(
        self, action: str, author: Author, target: str, detail: Mapping[str, Any]
    ) -> None:
        """Write down what is about to be done; nothing that needs it is done without."""
        ...
