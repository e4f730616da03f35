"""What the HTTP API of vcon-server asks of the pipeline, besides what actions ask for.

Pages have numbers, results are bare uuids, and a list that no chain reads may be used: `any_list`.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from schemas.deletion import Deletion
from schemas.ingress_key import Author

MOST_UUIDS: Final = 100_000
"""uuids in one answer at most."""
MOST_VCONS: Final = 1000
"""vCons in one answer at most."""
MOST_VCON_BYTES: Final = 64 * 1024 * 1024
"""Bytes of the vCons in one answer at most."""
MOST_CONFIGURATION_BYTES: Final = 1024 * 1024
"""Bytes of a configuration that replaces the present one, at most."""


class ConfigurationAdmin(Protocol):
    """The running configuration, and its file."""

    async def masked(self) -> dict[str, Any]:
        """The running configuration as its file says it, with a mask in place of each secret."""
        ...

    async def replace(self, content: bytes, author: Author) -> None:
        """Replace the file by this JSON object, in which masks stand for their values.

        This process uses it when this returns.

        Raises:
            InvalidError: with all problems of the configuration; nothing is changed.
            BusyError: another request is replacing it.
            UnavailableError: the file cannot be written; it is unchanged.
        """
        ...


class VconServerOperations(Protocol):
    """Listings, lists and dead letters as vcon-server's clients know them.

    The methods raise errors of `core.errors`, such as `UnknownNameError`. With `any_list` a list
    need not be one of the configuration.
    """

    async def page(
        self, page: int, size: int, since: float | None, until: float | None
    ) -> list[str]:
        """Page number `page` of all uuids by `created_at`, newest first; whole seconds count."""
        ...

    async def search(self, terms: Sequence[str]) -> list[str]:
        """The uuids of the vCons that have all terms (`tel:...`), at most `MOST_UUIDS`."""
        ...

    async def text(self, vcon_uuid: str) -> bytes:
        """A vCon as JSON, from Redis or a storage."""
        ...

    async def texts(self, vcon_uuids: Sequence[str]) -> list[bytes | None]:
        """Many vCons as JSON, in the order of the uuids; None for each that is not found.

        Raises:
            InvalidError: there are more than `MOST_VCONS`.
            TooLargeError: they have more than `MOST_VCON_BYTES`.
        """
        ...

    async def delete(self, vcon_uuid: str) -> Deletion:
        """Delete a vCon from Redis and from every storage; one that is nowhere is no error."""
        ...

    async def reindex(self) -> int:
        """Index every vCon in Redis again; returns their number."""
        ...

    async def depth(self, name: str, *, any_list: bool = False) -> int:
        """The length of an ingress list, egress list or dead-letter list; 0 if it is missing."""
        ...

    async def pop(self, egress_list: str, limit: int, *, any_list: bool = False) -> list[str]:
        """Take the oldest uuids out of an egress list, fewer than `limit` if it has fewer."""
        ...

    async def lease(
        self, egress_list: str, limit: int, lease_seconds: int, *, any_list: bool = False
    ) -> list[str]:
        """As `pop`, but they return to the list unless acknowledged in time."""
        ...

    async def acknowledge(
        self, egress_list: str, vcon_uuids: Sequence[str], *, any_list: bool = False
    ) -> int:
        """End the leases of these uuids; returns how many were leased."""
        ...

    async def dead_letter_uuids(
        self, list_name: str | None, storage: str | None, *, any_list: bool = False
    ) -> list[str]:
        """The uuids of a dead-letter list, oldest first, at most `MOST_UUIDS`."""
        ...

    async def replay(
        self, list_name: str | None, storage: str | None, count: int, *, any_list: bool = False
    ) -> int:
        """Queue the oldest dead letters again; returns their number."""
        ...
