"""StoreVcon: a storage gets a vCon outside a run only as it would in one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.errors import ConflictError, GoneError
from pipeline.ledger.outside_runs import SavesOutsideRuns
from tests.integration.law.ledger_scene import Ledger
from tests.integration.law.release_scene import LawScene, basis, law_scene
from tests.integration.support.pipeline_fixtures import new_uuid, postgres_calls

DELIVERIES = (
    "SELECT kind, name, purpose, basis, outcome, error FROM law_deliveries "
    "WHERE vcon_uuid = '{0}' ORDER BY id"
)


class Saves:
    """Saves outside runs, and what the storages got."""

    def __init__(self, law: LawScene, ledger: Ledger) -> None:
        self.law, self.ledger = law, ledger
        self.got: list[tuple[str, list[Any]]] = []
        self.error: str | None = None

    async def save(self, storage: str, vcon_uuid: str) -> str | None:
        """Write a vCon to a storage; `got` has what the ledger had then."""
        ops = self.law.ops
        told = self.law.recorded, self.ledger.deliveries, postgres_calls()
        saves = SavesOutsideRuns(ops.configuration, ops.redis, *told)

        async def call() -> str | None:
            self.got.append((storage, self.ledger.execute(DELIVERIES.format(vcon_uuid))))
            return self.error

        basis = await saves.basis(storage, vcon_uuid)
        return await saves.save(storage, vcon_uuid, basis, call)

    async def vcon(self, *attachments: dict[str, Any]) -> str:
        """One that waits in its list."""
        return await self.law.ops.ingest("in", attachments=list(attachments))


@pytest.fixture
async def saves(redis_url: str, ledger: Ledger) -> AsyncIterator[Saves]:
    """Storages of which `crm` requires a purpose."""
    async with law_scene(redis_url) as law:
        law.configure("crm", custody=True)
        yield Saves(law, ledger)


async def test_a_denied_storage_does_not_get_it(saves: Saves) -> None:
    """Nor is a delivery recorded; what was recorded beside the vCon counts."""
    one = await saves.vcon()
    with pytest.raises(ConflictError, match="storage crm: LawfulBasisMissingError: purpose crm"):
        await saves.save("crm", one)
    assert saves.got == []
    assert saves.ledger.execute(DELIVERIES.format(one)) == []
    saves.law.recorded.add("crm", granted=True)
    assert await saves.save("crm", one) is None
    saves.law.recorded.add("crm", granted=False)
    with pytest.raises(ConflictError, match="PermissionDeniedError"):
        await saves.save("crm", one)
    assert len(saves.got) == 1


async def test_a_delivery_is_committed_before_the_call(saves: Saves) -> None:
    """With its basis, and afterwards its outcome and its event; of an error the type alone."""
    one = await saves.vcon(basis("crm"))
    assert await saves.save("crm", one) is None
    known = ("storage", "crm", "crm", "attachments[0].body.purpose_grants[0]")
    [(_, [before])] = saves.got
    assert before == (*known, None, None)
    saves.error = "OSError: no disk for +12015550123"
    assert await saves.save("shelf", one) == saves.error
    found = saves.ledger.execute(DELIVERIES.format(one))
    assert found == [
        (*known, "ok", None),
        ("storage", "shelf", None, None, "failed", "OSError"),
    ]
    assert [event for event, _ in saves.ledger.events()] == ["vcon_sent"] * 2
    assert saves.ledger.verified().findings == []


async def test_an_erased_vcon_is_given_to_no_storage(saves: Saves) -> None:
    """The tombstone in Postgres is enough."""
    one = await saves.vcon()
    saves.ledger.execute(
        f"INSERT INTO law_tombstones (vcon_uuid, number, erasure) "
        f"VALUES ('{one}', 1, '{new_uuid()}')"
    )
    with pytest.raises(GoneError):
        await saves.save("shelf", one)
    assert saves.got == []


async def test_without_the_law_nothing_is_asked_or_recorded(saves: Saves) -> None:
    """As before."""
    saves.law.configure()
    one = await saves.vcon()
    assert await saves.save("crm", one) is None
    assert saves.got == [("crm", [])]
