"""What administrative and reading actions may see of the pipeline."""

from collections.abc import Sequence
from typing import Protocol

from schemas.dead_letter import DeadLetterPage
from schemas.deletion import Deletion
from schemas.run_page import RunPage, RunQuery
from schemas.vcon_page import VconPage


class Operations(Protocol):
    """Dead letters, egress, the catalogue and the history of runs.

    Every method raises the errors of `core.errors`, `UnknownNameError` for a name that does not
    exist among them.
    """

    async def runs(self, query: RunQuery) -> RunPage:
        """Remembered runs, newest first."""
        ...

    async def dead_letters(
        self, list_name: str | None, storage: str | None, limit: int, cursor: str | None
    ) -> DeadLetterPage:
        """Entries of one dead-letter list with their reasons, and a count of each cause."""
        ...

    async def replay(
        self,
        list_name: str | None,
        storage: str | None,
        *,
        vcon_uuids: Sequence[str] | None,
        cause: str | None,
        limit: int,
        from_start: bool,
    ) -> int:
        """Queue dead letters again; how many. They go on at the step that failed."""
        ...

    async def enqueue(self, vcon_uuids: Sequence[str], ingress_list: str) -> list[str]:
        """Queue vCons that are here or in a storage; the uuids that nobody has."""
        ...

    async def read_egress(self, egress_list: str, limit: int, lease_seconds: int) -> list[str]:
        """Uuids from an egress list; they come back unless acknowledged in time."""
        ...

    async def acknowledge(self, egress_list: str, vcon_uuids: Sequence[str]) -> int:
        """The reader has these; how many were lent out until now."""
        ...

    async def vcons(
        self, since: float | None, until: float | None, limit: int, cursor: str | None
    ) -> VconPage:
        """Uuids by `created_at` (epoch seconds), newest first."""
        ...

    async def search(self, terms: Sequence[str], limit: int, cursor: str | None) -> VconPage:
        """Uuids of the vCons for which every term (`tel:...`) holds."""
        ...

    async def delete(self, vcon_uuid: str, storages: Sequence[str]) -> Deletion:
        """Remove a vCon from Redis and from those of the storages named that can delete."""
        ...
