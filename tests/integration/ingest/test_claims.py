"""Claims of vCons, many with one call of Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from uuid import UUID, uuid4

import pytest

from core.concurrency.thread_pool import BoundedCalls
from core.db.database import Database
from core.db.vcon_owners import Claim, VconOwners
from pipeline.ingest.claims import AT_ONCE, Claims


class CountedOwners(VconOwners):
    """The owners, with the uuids of each call; `gate` holds calls up."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.calls: list[set[UUID]] = []
        self.gate, self.began = threading.Event(), threading.Event()
        self.gate.set()

    def claim(self, wanted: Mapping[UUID, UUID]) -> dict[UUID, Claim]:
        """Count and claim."""
        self.calls.append(set(wanted))
        self.began.set()
        self.gate.wait()
        return super().claim(wanted)


@pytest.fixture
def owners(migrated: Database) -> CountedOwners:
    """The owners in a real database."""
    return CountedOwners(migrated)


@pytest.fixture
def claims(owners: CountedOwners) -> Iterator[Claims]:
    """Claims over threads of their own."""
    calls = BoundedCalls("claims", threads=2, waiting=8, seconds=20.0)
    with contextlib.closing(calls):
        yield Claims(owners, calls)
        owners.gate.set()


async def test_claims_at_once_share_one_call(claims: Claims, owners: CountedOwners) -> None:
    """Each caller gets the answer for its own vCon."""
    mine, other = uuid4(), uuid4()
    uuids = [uuid4() for _ in range(16)]
    owners.confirm({str(uuids[3]): other, str(uuids[5]): mine})
    answers = await asyncio.gather(*(claims.claim(each, mine) for each in uuids))
    assert {n: each for n, each in enumerate(answers) if each != "new"} == {3: "foreign", 5: "mine"}
    assert owners.calls == [set(uuids)]


async def test_a_call_has_a_limited_number(claims: Claims, owners: CountedOwners) -> None:
    """The others are claimed by the next call."""
    await asyncio.gather(*(claims.claim(uuid4(), uuid4()) for _ in range(AT_ONCE + 1)))
    assert [len(each) for each in owners.calls] == [AT_ONCE, 1]


async def test_two_lineages_that_want_one_vcon(claims: Claims, owners: CountedOwners) -> None:
    """The second claim is made after the first, by another call."""
    vcon = uuid4()
    answers = await asyncio.gather(*(claims.claim(vcon, uuid4()) for _ in range(3)))
    assert answers == ["new", "foreign", "foreign"]
    assert owners.calls == [{vcon}] * 3


async def test_a_cancelled_caller_holds_up_no_other(claims: Claims, owners: CountedOwners) -> None:
    """Its claim is left out, or its answer dropped; later claims are made."""
    owners.gate.clear()
    first = asyncio.create_task(claims.claim(uuid4(), uuid4()))
    await asyncio.to_thread(owners.began.wait)
    gone, kept = uuid4(), uuid4()
    second, third = (asyncio.create_task(claims.claim(each, uuid4())) for each in (gone, kept))
    await asyncio.sleep(0)
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    owners.gate.set()
    assert await third == "new"
    assert owners.calls[1:] == [{kept}]


async def test_a_failure_reaches_every_caller(claims: Claims, owners: CountedOwners) -> None:
    """And the next claim is tried again."""
    owners._database.close()
    answers = await asyncio.gather(
        *(claims.claim(uuid4(), uuid4()) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in answers] == [RuntimeError] * 3
    assert len(owners.calls) == 1
    with pytest.raises(RuntimeError):
        await claims.claim(uuid4(), uuid4())
