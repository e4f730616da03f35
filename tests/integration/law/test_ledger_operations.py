"""The ledger as operators ask for it: where a vCon went, its checkpoints, and its check."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from actions.get_custody import GetCustody
from core.concurrency.thread_pool import BoundedCalls
from core.db.database import Database
from core.db.law.reading import LedgerReading
from core.errors import UnknownNameError
from pipeline.config.law import Law, LawKey
from pipeline.config.model import PipelineConfig
from pipeline.ledger.keeping import LedgerKeeper
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from schemas.operator.law.ledger import CustodyResult, LedgerStatus
from tests.integration.law.ledger_scene import Ledger
from tests.integration.support.operator_scene import operator
from tests.integration.support.pipeline_fixtures import new_uuid
from tests.law_keys import certificate_pem, ec_key, ed25519_key, private_pem

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene

__all__ = ["operator"]

SIGNED = LawKey("in_2026", private_pem(ec_key()), certificate_pem(ec_key()))
PLAIN = LawKey("plain", private_pem(ed25519_key()))


@pytest.fixture
def migrated(database: Database) -> Database:
    """The database of the ledger, which commands use, too."""
    return database


@pytest.fixture
def calls() -> Iterator[BoundedCalls]:
    """Threads for calls to Postgres."""
    with contextlib.closing(BoundedCalls("test", threads=1, waiting=9, seconds=20.0)) as calls:
        yield calls


def keeper_of(ledger: Ledger, calls: BoundedCalls, *keys: LawKey, every: int = 2) -> LedgerKeeper:
    """What a service process with these keys of the law does."""
    law = Law(keys={key.name: key for key in keys}, checkpoint_every=every)
    configuration = Configuration(PipelineConfig(chains={}, law=law), Plugins())
    return LedgerKeeper(LedgerReading(ledger.database), configuration, calls)


def points(ledger: Ledger) -> list[tuple[int, str | None]]:
    """Number and key of each checkpoint."""
    return ledger.execute("SELECT seq, key FROM law_checkpoints ORDER BY seq")


async def test_where_a_vcon_went(ledger: Ledger, operator: OperatorScene) -> None:
    """All of it, page by page; the command shows the same."""
    ledger.a_run("other")
    vcon = ledger.a_run("s3", "crm")
    found = await operator.perform("custody", vcon_uuid=vcon, limit=1)
    assert isinstance(found, CustodyResult)
    assert [(each.origin, each.form) for each in found.versions] == [("received", "unsigned")]
    assert [(each.name, each.outcome) for each in found.deliveries] == [("s3", "ok")]
    rest = await operator.perform(
        "custody",
        vcon_uuid=vcon.upper(),
        after_delivery=found.next_delivery,
        after_event=found.next_event,
    )
    assert isinstance(rest, CustodyResult)
    assert [each.name for each in rest.deliveries] == ["crm"]
    assert (rest.next_delivery, rest.next_event) == (None, None)
    assert [each.event for each in rest.events] == ["vcon_sent", "vcon_sent"]
    shown = await operator.cli(f"ledger show {vcon}")
    assert shown.code == 0
    assert "vcon_received" in shown.out
    assert "crm" in shown.out
    assert "other" not in shown.out


async def test_a_vcon_that_the_ledger_does_not_know(operator: OperatorScene) -> None:
    """It is named."""
    with pytest.raises(UnknownNameError):
        await operator.perform("custody", vcon_uuid=new_uuid())


async def test_the_action_gives_the_same(ledger: Ledger, operator: OperatorScene) -> None:
    """It is offered with LAW_ACTIONS=true only."""
    assert GetCustody.about_law
    vcon = ledger.a_run("s3")
    found = await operator.perform("custody", vcon_uuid=vcon)

    async with operator.api() as api:
        client: Any = SimpleNamespace(pipeline=SimpleNamespace(operator=api), service=None)
        answer = await GetCustody(vcon_uuid=vcon).run(client, None)
    assert answer.fields == found.model_dump(mode="json")


async def test_verify_is_a_command(ledger: Ledger, operator: OperatorScene) -> None:
    """Exit code 1 and the first row, if the ledger was changed; or if it ends too early."""
    ledger.a_run("s3")
    fine = await operator.cli("ledger verify")
    assert (fine.code, fine.out.strip()) == (
        0,
        "the ledger is intact: 2 events, 1 versions, 1 deliveries (0 under way), 0 checkpoints"
        " (0 signed)",
    )
    kept = f"9:{'a' * 64}"
    cut = await operator.cli(f"ledger verify --checkpoint {kept}")
    assert cut.code == 1
    assert "the checkpoint at event 9 has no event: the tail after event 2 was cut" in cut.out
    ledger.as_superuser("UPDATE law_deliveries SET name = 'elsewhere'")
    changed = await operator.cli("ledger verify --json")
    assert (changed.code, changed.json["findings"]) == (
        1,
        ["delivery 1 was changed: event 2 is about it"],
    )


async def test_checkpoints_come_every_so_many_events(ledger: Ledger, calls: BoundedCalls) -> None:
    """Or after a day; two replicas at once write one."""
    keeper = keeper_of(ledger, calls, every=4)
    await keeper.round()
    ledger.a_run("s3", "crm")
    await keeper.round()
    assert points(ledger) == []
    ledger.a_run("s3")
    await keeper.round()
    await keeper.round()
    assert points(ledger) == [(5, None)]
    ledger.a_run("s3")
    await keeper.round()
    assert points(ledger) == [(5, None)]
    ledger.as_superuser("UPDATE law_checkpoints SET at = now() - interval '2 days'")
    await keeper.round()
    assert points(ledger) == [(5, None), (7, None)]


@pytest.mark.parametrize("key", [SIGNED, PLAIN], ids=["certificate", "key alone"])
async def test_checkpoints_are_signed(ledger: Ledger, calls: BoundedCalls, key: LawKey) -> None:
    """By the first key of the law; a checkpoint that was made otherwise is named."""
    keeper = keeper_of(ledger, calls, key)
    ledger.a_run("s3")
    await keeper.round()
    assert points(ledger) == [(2, key.name)]
    report = await keeper.verify()
    assert (report.findings, report.signed) == ([], 1)
    other = LawKey("other", private_pem(ec_key("other")))
    [finding] = (await keeper_of(ledger, calls, other).verify()).findings
    assert finding.startswith("the checkpoint at event 2 has a statement that cannot be verified")
    ledger.a_run("s3")
    ledger.as_superuser(
        "UPDATE law_checkpoints SET (seq, hash) = (SELECT seq, hash FROM law_events WHERE seq = 4)"
    )
    [finding] = (await keeper.verify()).findings
    assert finding == "the checkpoint at event 4 has a statement about something else"


async def test_status_shows_what_is_to_be_kept(
    ledger: Ledger, calls: BoundedCalls, operator: OperatorScene
) -> None:
    """The head, what is under way, and checkpoints with their statements."""
    ledger.a_run("s3")
    ledger.begin(new_uuid(), new_uuid(), "crm", text="{}")
    await keeper_of(ledger, calls, SIGNED).round()
    found = await operator.perform("ledger")
    assert isinstance(found, LedgerStatus)
    assert (found.events, found.under_way) == (3, 1)
    [point] = found.checkpoints
    assert (point.seq, point.hash, point.key) == (3, found.head, "in_2026")
    assert point.statement is not None
    shown = await operator.cli("ledger status")
    assert found.head in shown.out
