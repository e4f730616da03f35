"""The index of vCons in Postgres, for the event loop: finding vCons that Redis has forgotten."""

import threading
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from core.concurrency.thread_pool import BoundedCalls, in_own_thread
from core.db.vcon_index import IndexChange, VconIndexRows
from core.errors import ConfigurationError
from core.setting_groups.operator import OperatorSettings
from pipeline.stored.notes import changes_of
from pipeline.stored.term_keys import TermKeys, fingerprint
from pipeline.vcon.party_terms import Field, is_region, normal
from schemas.stored_vcon import StoredVcon


class StoredIndex:
    """Reads and writes the index. Every method that reads Postgres raises UnavailableError."""

    def __init__(
        self, rows: VconIndexRows, calls: BoundedCalls, settings: OperatorSettings
    ) -> None:
        """`calls` carries the calls of requests.

        Raises:
            ConfigurationError: PHONE_REGION is no country.
        """
        if settings.phone_region != "US" and not is_region(settings.phone_region):
            problem = f"PHONE_REGION: {settings.phone_region} is no country with phone numbers"
            raise ConfigurationError([problem])
        self.rows = rows
        self.region = settings.phone_region
        self._calls = calls
        self._settings = settings
        self._keys: TermKeys | None = None
        self._loading = threading.Lock()

    def changes(self, notes: Sequence[str]) -> list[IndexChange]:
        """What notes say about vCons. Blocks; called in a thread."""
        return changes_of(notes, self.writing_keys(), self.region)

    def shared_keys(self) -> TermKeys:
        """The secrets of hashes that workers compare, too, which have no INDEX_SECRET. Blocks.

        The secret that Postgres keeps comes first, and is made if there is none.
        """
        kept = self.rows.secret(make=True) or ""
        secrets = dict.fromkeys([kept, *self._settings.index_secrets])
        return TermKeys(tuple(each for each in secrets if each), self._settings.index_terms_clear)

    def writing_keys(self) -> TermKeys:
        """The secrets of the hashes, for rows to be written. Blocks; Postgres is asked once.

        Without INDEX_SECRET the one that Postgres keeps is used, and made if there is none.
        """
        with self._loading:
            keys = self._keys
            if keys is None:
                keys = self.searching_keys(make=self._settings.index_secret is None)
                self.rows.register(fingerprint(keys.secrets[0]))
                self._keys = keys
            return keys

    def searching_keys(self, *, make: bool = False) -> TermKeys:
        """All secrets that are known here, the present one first. Blocks.

        The one that Postgres keeps is among them also when INDEX_SECRET is set, since earlier rows
        may have been written with it.
        """
        given, is_set = self._settings.index_secrets, self._settings.index_secret is not None
        kept = [self.rows.secret(make=make) or ""]
        ordered = given + kept if is_set else kept + given
        secrets = tuple(dict.fromkeys(each for each in ordered if each))
        return TermKeys(secrets, self._settings.index_terms_clear)

    async def keys(self) -> TermKeys:
        """`writing_keys` from the event loop."""
        if self._keys is not None:
            return self._keys
        return await self._calls(self.writing_keys)

    async def unknown_secrets(self) -> int:
        """How many secrets rows may have been written with that are not known here."""
        return await self._calls(self._unknown_secrets)

    def _unknown_secrets(self) -> int:
        known = {fingerprint(each) for each in self.searching_keys().secrets}
        return len(self.rows.fingerprints() - known)

    async def _sought(self, field: Field, form: str) -> Sequence[str]:
        if self._keys is not None:
            return self._keys.sought(field, form)
        return (await self._calls(self.searching_keys)).sought(field, form)

    def normal(self, field: Field, value: str) -> str:
        """The form under which a value is compared; "" if nothing is left of it."""
        return normal(field, value, self.region)

    async def find(
        self, field: Field, form: str, limit: int, after: tuple[datetime, UUID] | None
    ) -> list[StoredVcon]:
        """Find vCons of a party with this normalised value, newest first."""
        sought = await self._sought(field, form)
        return await self._calls.long(self.rows.find, sought, limit, after)

    async def sought(self, field: Field, form: str) -> Sequence[str]:
        """What finds vCons of a value later, without the value unless rows have it clear."""
        return (await self._calls(self.searching_keys)).kept_as(field, form)

    async def with_terms(
        self, terms: Collection[str], limit: int, after: tuple[datetime, UUID] | None
    ) -> list[StoredVcon]:
        """A page of the vCons that have one of these terms, newest first."""
        return await self._calls.long(self.rows.find, list(terms), limit, after)

    async def known(self, field: Field, form: str, uuids: Sequence[str]) -> set[str]:
        """Those of these vCons that `find` gives for the value."""
        sought = await self._sought(field, form)
        return await self._calls.long(self.rows.with_terms, uuids, sought)

    async def get(self, uuids: Sequence[str]) -> dict[str, StoredVcon]:
        """What the index says of these vCons."""
        return await self._calls(self.rows.get, uuids)

    async def write(self, changes: Sequence[IndexChange]) -> None:
        """Write changes that no note says."""
        await self._calls(self.rows.write, changes)

    async def erase(self, vcon_uuid: str, at: datetime) -> None:
        """Forget a vCon, with all notes from before this time by Redis' clock."""
        await self._calls.long(self.rows.erase, vcon_uuid, at)

    async def made_from(
        self, uuids: Sequence[str], limit: int, after: int
    ) -> list[tuple[str, str]]:
        """A page of what was made of these, each with one of these.

        That are vCons that links put in their place, and versions for egress lists.
        """
        return await self._calls.long(self.rows.made_from, uuids, limit, after)

    async def scrub_runs(self, uuids: Sequence[str]) -> list[str]:
        """Remove the texts of errors from the history of these vCons; the ids of their runs."""
        return await self._calls.long(self.rows.scrub_runs, uuids)

    async def prune(self, days: int) -> None:
        """Delete rows of vCons that no storage has and of which nothing was heard for so long."""
        await in_own_thread(self.rows.prune, days)
