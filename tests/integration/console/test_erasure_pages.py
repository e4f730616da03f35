"""Pages of erasures: the forms, the list, one erasure, and its statement."""

from __future__ import annotations

import re

from sqlalchemy import text

from core.db.database import Database
from tests.integration.console.console_scene import READER, Operator, text_of
from tests.integration.console.test_people_pages import posted
from tests.integration.http_api.http_scene import Served
from tests.integration.support.pipeline_fixtures import new_uuid

HOSTILE = "<img src=x>&'"
ADD = """
INSERT INTO law_erasures (id, subject, vcons, state, hold, actor, statement, ended_at)
VALUES (CAST(:id AS uuid), 'party', ARRAY[CAST(:vcon AS uuid)], :state, :hold, :actor, :statement,
    CASE WHEN CAST(:statement AS text) IS NULL THEN NULL ELSE now() END)
"""
TARGET = """
INSERT INTO law_erasure_targets (erasure, vcon_uuid, kind, name, state, error)
VALUES (CAST(:id AS uuid), CAST(:vcon AS uuid), 'storage', :name, :state, 'OSError')
"""


def added(migrated: Database, state: str, target: str = "told", **words: str | None) -> str:
    """An erasure in this state with one destination; its id."""
    about = {"id": new_uuid(), "vcon": new_uuid(), "state": state, "hold": None, "actor": "cli:ann"}
    about |= {"statement": None, **words}
    with migrated.transaction() as session:
        session.execute(text(ADD), about)
        session.execute(text(TARGET), about | {"name": f"crm{HOSTILE}", "state": target})
    return str(about["id"])


async def test_a_vcon_is_erased_from_its_page(served: Served, operator: Operator) -> None:
    """First a look, which requests nothing; then the request, which the list shows."""
    uuid = await posted(served)
    form = await operator.text(f"/console/change/erase_vcon?vcon_uuid={uuid}")
    assert "Erase a vCon under the law" in form
    looked = await operator.change("erase_vcon", vcon_uuid=uuid, dry_run="true", reason="")
    assert "1 vCons would be" in text_of(looked.text)
    assert "None was requested" in await operator.text("/console/erasures")
    asked = await operator.change("erase_vcon", vcon_uuid=uuid, hold="case 17")
    [found] = set(re.findall(r"/console/erasures/([0-9a-f-]{36})", asked.text))
    assert "case 17" in await operator.text("/console/erasures")
    page = await operator.text(f"/console/erasures/{found}")
    assert "Held" in page
    assert "End the hold" in page
    released = await operator.change("erasure_release", id=found)
    assert released.status_code == 200


async def test_an_erasure_shows_its_destinations_and_its_statement(
    migrated: Database, operator: Operator
) -> None:
    """Names without their mark-up; answers are offered also once it has ended."""
    for state in ("waiting", "manual", "complete_with_exceptions"):
        has_ended = state.startswith("complete")
        erasure = added(migrated, state, statement="a.b.c" if has_ended else None)
        answer = await operator.get(f"/console/erasures/{erasure}")
        assert answer.status_code == 200
        assert HOSTILE not in answer.text
        shown = text_of(answer.text)
        assert "told" in shown
        assert "Answer" in shown
        file = await operator.get(f"/console/erasures/{erasure}/statement")
        assert file.status_code == (200 if has_ended else 404)
    assert file.text == "a.b.c\n"
    assert f'filename="erasure-{erasure}.jws"' in file.headers["content-disposition"]
    place = {"id": added(migrated, "manual"), "kind": "storage", "name": f"crm{HOSTILE}"}
    noted = await operator.change("erasure_answer", **place, answer="acknowledged")
    assert noted.status_code == 200, noted.text
    assert "acknowledged" in await operator.text(f"/console/erasures/{place['id']}")


async def test_the_overview_leads_to_what_waits(migrated: Database, operator: Operator) -> None:
    """With the numbers: of erasures that are open, and of those past their time."""
    assert "0 open" in text_of(await operator.text("/console/live"))
    erasure = added(migrated, "waiting")
    with migrated.transaction() as session:
        session.execute(text("UPDATE law_erasures SET requested_at = now() - interval '31 days'"))
    page = (await operator.get("/console/live")).text
    assert "1 open, 0 held 1 over 30 days" in " ".join(text_of(page).split())
    [address] = re.findall(r'href="([^"]+)" id="to-erasures"', page)
    assert erasure in await operator.text(address)


async def test_who_reads_only_sees_erasures_and_requests_none(
    served: Served, migrated: Database
) -> None:
    """There is no form, and the change is refused."""
    erasure = added(migrated, "held", hold="case 17")
    async with Operator.of(served) as reader:
        await reader.sign_in(READER)
        assert "case 17" in await reader.text("/console/erasures")
        assert "End the hold" not in await reader.text(f"/console/erasures/{erasure}")
        assert (await reader.change("erasure_release", id=erasure)).status_code == 403
