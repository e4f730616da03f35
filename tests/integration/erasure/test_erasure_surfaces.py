"""Erasures as operators ask for them: by operations, on the command line and by actions."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from actions.erase_party import EraseParty
from actions.erase_vcon import EraseVcon
from actions.get_erasure import GetErasure
from core.db.database import database
from core.errors import ConflictError, InvalidError, UnknownNameError
from core.operator_interfaces import Call
from core.settings import OperatorProcessSettings, load_settings
from pipeline.law.writing.statements import ERASURE_STATEMENT, verified
from pipeline.redis_client import keys
from tests.integration.erasure.erasure_scene import Scene
from tests.integration.support.operator_scene import AUTHOR
from tests.integration.support.pipeline_fixtures import new_uuid
from tests.law_keys import ec_key, public_pem

NUMBER = "+12015550123"
SPELLING = "(201) 555-0123"


def stored(erasing: Scene) -> str:
    """A vCon of the person in Redis, in the index and in a storage."""
    vcon_uuid = erasing.people.in_redis("in", tel=SPELLING)
    erasing.people.in_index(vcon_uuid, 0, "shelf", tel=NUMBER)
    erasing.kept(vcon_uuid)
    return vcon_uuid


async def perform(erasing: Scene, operation: str, why: str = "asked", **arguments: Any) -> Any:
    """The answer of an operation."""
    async with erasing.people.operator.api() as api:
        return await api.perform(operation, arguments, Call(AUTHOR, why))


async def ended(erasing: Scene, erasure_id: str) -> Any:
    """The erasure after a pass, as a service carries it out."""
    database.initialize(load_settings(OperatorProcessSettings))  # closed with the operations
    async with erasing.process() as erasures:
        return await erasures.erasures.advance(erasure_id)


async def test_the_vcons_of_a_person_are_erased(erasing: Scene) -> None:
    """With what links made of them; the value is in no row, only its hash in the audit."""
    vcon_uuid, made = stored(erasing), new_uuid()
    erasing.people.ran(vcon_uuid, made)
    result = await perform(erasing, "erase_party", tel=NUMBER)
    assert (result.found, result.more, result.erasure.state) == (2, False, "requested")
    erasure = await ended(erasing, result.erasure.id)
    assert set(erasure.vcons) == {vcon_uuid, made}
    seen = await perform(erasing, "timeline", vcon_uuid=vcon_uuid)
    assert (seen.state, seen.command) == ("erased", f"erasure show {erasure.id}")
    assert erasure.id in seen.summary
    assert seen.runs  # of which none says that it is stored somewhere
    assert seen.stored == []
    assert erasure.subject == "party"
    assert keys.vcon(vcon_uuid) not in erasing.people.traces(vcon_uuid)
    for table in ("audit_events", "law_erasures", "law_erasure_targets", "law_bases"):
        assert "5550123" not in str(erasing.people.rows(f"SELECT to_jsonb(t)::text FROM {table} t"))
    [event] = erasing.people.rows("SELECT to_jsonb(each) FROM audit_events AS each")
    assert (event["action"], event["detail"]["by"], event["detail"]["found"]) == (
        "erase_party",
        "tel",
        2,
    )
    assert event["target"]


async def test_a_dry_run_requests_nothing(erasing: Scene) -> None:
    """It needs no reason, and says where the vCons are."""
    vcon_uuid = stored(erasing)
    for name, wanted in {
        "erase_party": {"tel": SPELLING},
        "erase_vcon": {"vcon_uuid": vcon_uuid},
    }.items():
        result = await perform(erasing, name, "", dry_run=True, **wanted)
        assert (result.dry_run, result.found, result.erasure) == (True, 1, None)
        places = {each.place: each.outcome for each in result.vcons[0].places}
        assert places == {"redis": "would be deleted", "shelf": "would be deleted"}
    assert erasing.people.rows("SELECT 1 FROM law_erasures") == []
    assert erasing.people.rows("SELECT 1 FROM audit_events") == []


async def test_a_dry_run_names_every_destination_of_the_erasure(erasing: Scene) -> None:
    """Also those of deliveries and of runs: the same ones, in the words of what would be done."""
    vcon_uuid = stored(erasing)
    erasing.delivered(vcon_uuid, link="crm", egress="out", storage="archive")
    erasing.delivered(vcon_uuid, link="keeper", storage="partner")
    erasing.delivered(vcon_uuid, link="removed")
    erasing.people.ran(new_uuid())
    dry = await perform(erasing, "erase_vcon", "", vcon_uuid=vcon_uuid, dry_run=True)
    places = {each.place: each.outcome for each in dry.vcons[0].places}
    assert places == {
        "redis": "would be deleted",
        "shelf": "would be deleted",
        "archive": "cannot delete",
        "partner": "would be told",
        "link crm": "would be told",
        "link keeper": "cannot delete",
        "link removed": "failed",
        "egress out": "cannot delete",
    }
    assert dry.notes == []
    erasing.execute("DELETE FROM chain_runs")
    empty = await perform(erasing, "erase_vcon", "", vcon_uuid=vcon_uuid, dry_run=True)
    assert ["history of runs, which is empty" in each for each in empty.notes] == [True]
    request = await perform(erasing, "erase_vcon", vcon_uuid=vcon_uuid)
    erasure = await ended(erasing, request.erasure.id)
    assert {each.name for each in erasure.targets} == {each.split()[-1] for each in places}


async def test_a_uuid_of_which_nothing_is_known_is_told(erasing: Scene) -> None:
    """By a dry run, by the request and on the command line; it is refused from then on."""
    unknown, copied = new_uuid(), new_uuid()
    erasing.kept(copied)
    told = f"nothing is known of vCon {unknown} "
    dry = await perform(erasing, "erase_vcon", "", vcon_uuid=unknown, dry_run=True)
    shown = await erasing.people.operator.cli(f"erasure vcon {unknown} --dry-run")
    assert told in shown.out
    result = await perform(erasing, "erase_vcon", vcon_uuid=unknown)
    for notes in (dry.notes, result.notes):
        [note] = notes
        assert note.startswith(told)
        assert "vault" in note  # it has no way to be read
    erasure = await ended(erasing, result.erasure.id)
    assert erasure.progress.unknown == [unknown]
    shown = await erasing.people.operator.cli(f"erasure show {erasure.id}")
    assert f"nothing was known of: {unknown}" in shown.out
    again = await perform(erasing, "erase_vcon", "", vcon_uuid=unknown, dry_run=True)
    assert again.notes[0] == f"vCon {unknown} is erased already, by erasure {erasure.id}"
    found = await perform(erasing, "erase_vcon", "", vcon_uuid=copied, dry_run=True)
    assert not any("nothing is known" in each for each in found.notes)


INVALID: list[tuple[str, dict[str, Any], str]] = [
    ("erase_party", {}, "why"),
    ("erase_party", {"tel": "1", "mail": "a@b.example"}, "why"),
    ("erase_party", {"name": "Ann", "suppress": True}, "why"),
    ("erase_party", {"name": "\x00"}, "why"),
    ("erase_party", {"tel": NUMBER}, " "),
    ("erase_vcon", {"vcon_uuid": "x"}, "why"),
    ("erase_vcon", {"vcon_uuid": new_uuid()}, ""),
    ("erase_vcon", {"vcon_uuid": new_uuid(), "hold": "x" * 201}, "why"),
    ("erase_vcon", {"vcon_uuid": new_uuid(), "hold": " "}, "why"),
    ("erasures", {"cursor": f"2026-13-45T00:00:00~{new_uuid()}"}, ""),
    ("erasures", {"cursor": "2026-11-30T00:00:00~x"}, ""),
    ("erase_vcon", {"vcon_uuid": new_uuid()}, f"asked by {SPELLING}"),
    ("erase_vcon", {"vcon_uuid": new_uuid(), "hold": "claim of ann@people.example"}, "why"),
    ("erase_party", {"tel": "4711"}, "extension 4711"),
    ("erase_party", {"name": "Ann Smith", "hold": "Smith v. Jones"}, "why"),
    ("erase_party", {"name": "Ann Smith"}, "asked by ann"),
    ("erase", {"name": "Ann Smith"}, "asked by ann"),
    ("record_basis", {"tel": NUMBER, "granted": False, "ref": SPELLING}, "why"),
    ("record_basis", {"mail": "ann@people.example", "granted": False, "ref": "of ann"}, "why"),
    ("record_basis", {"mail": "ann@people.example", "granted": False}, "of ann"),
    ("release", {"list_name": "in"}, "ann@people.example agrees"),
    ("pause", {"chain": "main"}, f"until {SPELLING} answers"),
]


async def test_what_is_not_valid_requests_nothing(erasing: Scene) -> None:
    """Nothing is audited either."""
    async with erasing.people.operator.api() as api:
        for name, wanted, reason in INVALID:
            with pytest.raises(InvalidError):
                await api.perform(name, wanted, Call(AUTHOR, reason))
        client: Any = SimpleNamespace(service=None, pipeline=SimpleNamespace(operator=api))
        with pytest.raises(InvalidError, match="reason: has what looks like a telephone number"):
            await EraseParty(tel=NUMBER, reason=SPELLING).run(client, None)
    typed = f"erasure party --tel '{NUMBER}' --yes --reason 'of {SPELLING}'"
    refused = await erasing.people.operator.cli(typed)
    assert (refused.code, SPELLING in refused.err) == (4, False)
    assert "reason: has what looks like a telephone number" in refused.err
    assert erasing.people.rows("SELECT 1 FROM law_erasures") == []
    assert erasing.people.rows("SELECT 1 FROM audit_events") == []


async def test_a_held_erasure_is_refused_until_it_is_released(erasing: Scene) -> None:
    """Meanwhile the vCon is where it was, and so is the party of what was recorded."""
    vcon_uuid = stored(erasing)
    await perform(erasing, "record_basis", tel=NUMBER, granted=True, purpose="transcription")
    held = (await perform(erasing, "erase_party", tel=NUMBER, hold="case 17")).erasure
    assert (held.state, held.hold) == ("held", "case 17")
    with pytest.raises(ConflictError, match="case 17"):
        await perform(erasing, "erase_vcon", vcon_uuid=vcon_uuid)
    assert (await ended(erasing, held.id)).state == "held"
    assert keys.vcon(vcon_uuid) in erasing.people.traces(vcon_uuid)
    assert erasing.people.rows("SELECT party FROM law_bases") != [None]
    await perform(erasing, "erasure_release", id=held.id)
    assert (await ended(erasing, held.id)).ended_at is not None
    with pytest.raises(ConflictError, match="not held"):
        await perform(erasing, "erasure_release", id=held.id)


async def test_an_erasure_that_has_begun_is_not_held_by_another_request(erasing: Scene) -> None:
    """It is refused: the operator would rely on a hold that there is not."""
    vcon_uuid = stored(erasing)
    begun = (await perform(erasing, "erase_vcon", vcon_uuid=vcon_uuid)).erasure
    for name, wanted in {
        "erase_vcon": {"vcon_uuid": vcon_uuid},
        "erase_party": {"tel": NUMBER},
    }.items():
        with pytest.raises(ConflictError, match=f"{begun.id} .*held no more"):
            await perform(erasing, name, hold="case 17", **wanted)
    empty = await perform(erasing, "erase_party", "", name="Nobody", dry_run=True)
    assert "no vCon was found" in str(empty.notes)


async def test_what_comes_while_a_persons_erasure_is_held_is_erased_with_it(
    erasing: Scene,
) -> None:
    """From the index and, where no run has ended yet, from Redis; the grants are forgotten then."""
    first = stored(erasing)
    await perform(erasing, "record_basis", tel=NUMBER, granted=True, purpose="transcription")
    held = (await perform(erasing, "erase_party", tel=NUMBER, hold="case 17")).erasure
    kept = erasing.people.rows("SELECT CAST(progress AS text) FROM law_erasures")
    assert "5550123" not in str(kept)
    indexed, queued = stored(erasing), erasing.people.in_redis("in", tel="tel:+1 201-555-0123")
    other = erasing.people.in_redis("in", tel="+12015550124")
    await perform(erasing, "erasure_release", id=held.id)
    erasure = await ended(erasing, held.id)
    assert set(erasure.vcons) == {first, indexed, queued}
    redis = erasing.people.operator.redis
    assert [redis.exists(keys.vcon(each)) for each in (first, indexed, queued, other)] == [
        0,
        0,
        0,
        1,
    ]
    assert erasing.people.rows("SELECT party FROM law_bases") == [None]
    assert erasing.people.rows("SELECT progress ->> 'sought' FROM law_erasures") == [None]


async def test_suppressing_denies_every_purpose_and_forgets_grants(erasing: Scene) -> None:
    """By number or address: the denial is in force for later vCons of the person."""
    stored(erasing)
    await perform(erasing, "record_basis", tel=SPELLING, granted=True, purpose="transcription")
    await perform(erasing, "erase_party", tel=NUMBER, suppress=True)
    found = (await perform(erasing, "recorded_bases", tel=NUMBER)).bases
    assert [(each.granted, each.purpose) for each in found] == [(False, None)]
    assert erasing.people.rows("SELECT party IS NULL FROM law_bases WHERE granted") == [True]


async def test_what_a_destination_has_answered_is_noted(erasing: Scene) -> None:
    """For one that can only be told, which has not answered: then it ends."""
    vcon_uuid = stored(erasing)
    erasing.delivered(vcon_uuid, link="crm")
    request = await perform(erasing, "erase_vcon", vcon_uuid=vcon_uuid)
    waiting = await ended(erasing, request.erasure.id)
    assert waiting.state == "manual"
    place = {"id": waiting.id, "kind": "link", "name": "crm"}
    with pytest.raises(UnknownNameError):
        await perform(erasing, "erasure_answer", **place | {"name": "other"})
    actions = "SELECT action FROM audit_events ORDER BY id"
    assert erasing.people.rows(actions) == ["erase_vcon"]
    await perform(erasing, "erasure_answer", "their letter", **place)
    done = await ended(erasing, waiting.id)
    assert {each.name: each.state for each in done.targets}["crm"] == "acknowledged"
    assert done.statement


async def test_status_counts_what_waits_for_a_decision(erasing: Scene) -> None:
    """Withheld vCons, and erasures: open, past the law's time, and held."""
    erasing.people.operator.redis.rpush(keys.withheld("in"), new_uuid())
    late, held = new_uuid(), new_uuid()
    for each, more in ((late, {}), (new_uuid(), {}), (held, {"hold": "case 17"})):
        await perform(erasing, "erase_vcon", vcon_uuid=each, **more)
    month = "requested_at = now() - interval '31 days'"
    late_ones = f"UPDATE law_erasures SET {month} WHERE vcons[1] = ANY (CAST(:vcons AS uuid[]))"
    erasing.execute(late_ones, vcons=[late, held])
    told = (await erasing.people.operator.cli("status --json")).json
    counts = {"open": 2, "held": 1, "overdue": 1}
    assert told["law"] == {"withheld": 1, "erasures": counts}
    assert "erasures_overdue" in [each["code"] for each in told["causes"]]
    shown = (await erasing.people.operator.cli("status")).out
    assert "vCons withheld" in shown
    assert "erasure list --open" in shown


async def test_the_command_line(erasing: Scene) -> None:
    """Request, list, show; the statement that is shown is verified."""
    vcon_uuid, operator = stored(erasing), erasing.people.operator
    requested = await operator.cli(f"erasure vcon {vcon_uuid} --yes --reason 'asked' --json")
    assert requested.code == 0, requested.err
    erasure_id = requested.json["erasure"]["id"]
    assert erasure_id in (await operator.cli("erasure list --open")).out
    await ended(erasing, erasure_id)
    assert erasure_id not in (await operator.cli("erasure list --open")).out
    shown = await operator.cli(f"erasure show {erasure_id}")
    assert "verified" in shown.out
    assert "statement" in shown.out
    as_json = await operator.cli(f"erasure show {erasure_id} --json")
    text = as_json.json["statement"]
    assert verified(text, ERASURE_STATEMENT, [public_pem(ec_key())], datetime.now(UTC))
    dry = await operator.cli(f"erasure party --tel '{SPELLING}' --dry-run --yes")
    assert "0 vCons would be erased" in dry.out
    missing = await operator.cli(f"erasure show {new_uuid()}")
    assert missing.code != 0


async def test_the_actions(erasing: Scene) -> None:
    """They perform the same operations."""
    vcon_uuid = stored(erasing)
    async with erasing.people.operator.api() as api:
        client: Any = SimpleNamespace(service=None, pipeline=SimpleNamespace(operator=api))
        looked = await EraseParty(tel=NUMBER, dry_run=True).run(client, None)
        assert (looked.status_code, looked.fields["found"]) == (200, 1)
        asked = await EraseVcon(vcon_uuid=vcon_uuid, reason="asked").run(client, None)
        erasure_id = asked.fields["erasure"]["id"]
        with pytest.raises(InvalidError, match="reason"):
            await EraseParty(tel=NUMBER).run(client, None)
        found = await GetErasure(erasure=erasure_id).run(client, None)
    assert (found.fields["state"], found.fields["vcons"]) == ("requested", [vcon_uuid])
