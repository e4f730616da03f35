"""Bases recorded beside the vCons: for one vCon, or for a person in all of them.

A person is kept as the keyed hash of a number or address, as the index of vCons has its terms, but
never clear. Nothing is cached: what was recorded counts at the next step that asks.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from core.concurrency.thread_pool import BoundedCalls
from core.db.law.bases import EVERY_PURPOSE, Bases, KeptBasis, NewBasis
from pipeline.law.basis.records import RecordedBasis
from pipeline.stored.index import StoredIndex
from pipeline.stored.term_keys import TermKeys
from pipeline.vcon.party_terms import terms

type Address = Literal["tel", "mailto"]

ADDRESSES: tuple[Address, ...] = ("tel", "mailto")
"""The members of a party by which it is known again."""

MOST_ADDRESSES = 1000
"""Different numbers and addresses of one vCon that are looked up; with more, it is denied."""

type Known = Mapping[str, tuple[str, list[int]]]
"""By each hash that a row may have: the present hash, and the parties that have the address."""


class RecordedBases:
    """Records bases, and reads those that apply to a vCon."""

    def __init__(self, bases: Bases, index: StoredIndex, calls: BoundedCalls) -> None:
        """`index` has the secrets of the hashes; `calls` carries the calls of `bases`."""
        self._bases = bases
        self._index = index
        self._calls = calls

    async def of(self, vcon_uuid: str, parties: Sequence[Any]) -> Sequence[RecordedBasis]:
        """Those in force for a vCon and for its parties.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        return await self._calls(self._of, vcon_uuid, parties)

    def _of(self, vcon_uuid: str, parties: Sequence[Any]) -> list[RecordedBasis]:
        rows, any_for_parties = self._bases.of_vcon(vcon_uuid)
        found = [_record(row, vcon_uuid, None) for row in rows]
        if any_for_parties:
            found += self._of_parties(_addresses(parties))
        return found

    def _of_parties(self, written: Mapping[tuple[Address, str], list[int]]) -> list[RecordedBasis]:
        if len(written) > MOST_ADDRESSES:  # one of them may be that of a person who denied
            return [RecordedBasis(0, "", granted=False, at=datetime.now(UTC))]
        if not (known := self._known(written)):
            return []
        found = []
        for row in self._bases.of_parties(list(known)):
            subject, indexes = known[row.party or ""]
            found += [_record(row, subject, index) for index in indexes]
        return found

    def _known(self, written: Mapping[tuple[Address, str], list[int]]) -> Known:
        addresses: dict[tuple[Address, str], list[int]] = {}
        for (name, value), indexes in written.items():
            for form in terms(name, value, self._index.region):
                addresses.setdefault((name, form), []).extend(indexes)
        if not addresses:
            return {}
        keys = self._index.shared_keys()
        return {
            kept: (keys.shown(name, form), indexes)
            for (name, form), indexes in addresses.items()
            for kept in keys.sought(name, form)
        }

    async def hashed(self, name: Address, value: str) -> tuple[str, Sequence[str]]:
        """The hash of an address as it is kept now, and all that earlier rows may have.

        Raises:
            UnavailableError: Postgres, which may have the secret, cannot be reached.
        """
        form = self._index.normal(name, value)
        keys: TermKeys = await self._calls(self._index.shared_keys)
        return keys.shown(name, form), keys.sought(name, form)

    async def add(self, new: NewBasis) -> KeptBasis:
        """Record a basis; it counts from now on.

        Raises:
            GoneError: the vCon is erased.
            UnavailableError: Postgres cannot be reached; it may have been recorded.
        """
        return await self._calls(self._bases.add, new)

    async def page(
        self, vcon_uuid: str | None, parties: Sequence[str], before: int, limit: int
    ) -> list[KeptBasis]:
        """All that were recorded for a vCon, or for a party by its hashes, newest first.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        return await self._calls(self._bases.page, vcon_uuid, parties, before, limit)


def _addresses(parties: Sequence[Any]) -> dict[tuple[Address, str], list[int]]:
    """The addresses as they are written, with the parties that have them."""
    found: dict[tuple[Address, str], list[int]] = {}
    for index, party in enumerate(parties):
        for name in ADDRESSES:
            value = party.get(name) if isinstance(party, dict) else None
            if isinstance(value, str) and value:
                found.setdefault((name, value), []).append(index)
    return found


def _record(row: KeptBasis, subject: str, party: int | None) -> RecordedBasis:
    return RecordedBasis(
        id=row.id,
        subject=subject,
        granted=row.granted,
        at=row.granted_at,
        purpose=None if row.purpose == EVERY_PURPOSE else row.purpose,
        basis=row.basis,
        expires=row.expires_at,
        party=party,
    )
