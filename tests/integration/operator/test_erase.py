"""`erase`: a person's vCons are nowhere any more, or the answer says where and why."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from core.errors import InvalidError, UnavailableError
from core.operator_interfaces import Call
from pipeline.operator.people import erase as module
from pipeline.operator.people import selection
from pipeline.redis_client import keys
from schemas.operator.people import ErasedVcon, EraseResult
from tests.integration.operator.people_scene import NUMBER, People, people
from tests.integration.stored.stored_scene import index_of
from tests.integration.support.operator_scene import AUTHOR
from tests.integration.support.pipeline_fixtures import new_uuid

__all__ = ["people"]

SPELLING = "(201) 555-0123"
ERROR = f"KeyError: no customer with {NUMBER}"


async def erased(people: People, reason: str = "a request", **wanted: Any) -> EraseResult:
    """The answer of the operation."""
    async with people.operator.api() as api:
        result = await api.perform("erase", wanted, Call(AUTHOR, reason))
    assert isinstance(result, EraseResult)
    return result


def places(vcon: ErasedVcon) -> dict[str, str]:
    """The outcome at each place."""
    return {each.place: each.outcome for each in vcon.places}


def everywhere(people: People) -> str:
    """A vCon that is queued, a dead letter, stored, indexed and in the history."""
    vcon_uuid = people.in_redis("in", "DLQ:in", tel="201-555-0123", name="Ann")
    people.operator.redis.hset("pc:dead:DLQ:in", vcon_uuid, json.dumps({"error": ERROR}))
    people.in_index(vcon_uuid, 0, "shelf", tel=NUMBER)
    people.stored(vcon_uuid)
    step = {"name": "crm", "kind": "link", "outcome": "failed", "seconds": 1, "error": ERROR}
    run_id = people.ran(vcon_uuid, status="failed", error=ERROR, steps=[step])
    people.operator.redis.set(keys.run(run_id), json.dumps({"error": ERROR}))
    return vcon_uuid


async def test_nothing_of_a_person_is_left(people: People) -> None:
    """Queue, dead letters, documents, index, files and texts of errors; others keep theirs."""
    one, stored = everywhere(people), people.in_index(None, 1, "shelf", tel=NUMBER)
    file, other = people.stored(stored), people.in_redis("in", tel="+12015550124")
    result = await erased(people, tel=SPELLING)
    assert (result.found, result.erased, result.left, result.more) == (2, 2, 0, False)
    assert {each.uuid: places(each) for each in result.vcons} == {
        one: {"redis": "deleted", "shelf": "deleted"},
        stored: {"redis": "absent", "shelf": "deleted"},
    }
    assert people.traces(one) == people.traces(stored) == []
    assert not file.exists()
    assert people.operator.redis.lrange("in", 0, -1) == [other]
    assert NUMBER not in str(people.rows("SELECT to_jsonb(run)::text FROM chain_runs AS run"))
    assert people.rows("SELECT error FROM chain_runs") == ["KeyError: erased"]
    assert people.rows("SELECT terms FROM vcon_index") == [[], []]
    assert not people.operator.redis.keys("pc:run:*")


async def test_a_key_of_another_type_does_not_keep_the_others(people: People) -> None:
    """The vCon of which the key is not a document is reported; the others are erased."""
    foreign, other = new_uuid(), everywhere(people)
    people.operator.redis.set(f"vcon:{foreign}", "text")
    result = await erased(people, uuids=[foreign, other])
    assert (result.erased, result.left) == (1, 1)
    [left, _] = result.vcons
    assert places(left) == {"redis": "failed"}
    assert f"vcon:{foreign} is no JSON document" in left.places[0].error
    assert people.traces(other) == []


async def test_the_audit_names_the_vcons_and_not_the_value(people: People) -> None:
    """Before and after; a search for the same value has the same hash."""
    vcon_uuid = everywhere(people)
    for _ in range(2):
        await erased(people, "GDPR 17", tel=SPELLING)
    events = people.rows("SELECT to_jsonb(each) FROM audit_events AS each ORDER BY id")
    assert [each["action"] for each in events] == ["erase", "erased"] * 2
    assert len({each["target"] for each in events}) == 1
    assert all(each["detail"]["reason"] == "GDPR 17" for each in events)
    assert events[1]["detail"]["vcons"] == [vcon_uuid]
    assert "555" not in str([(each["target"], each["detail"]["by"]) for each in events])


async def test_a_dry_run_changes_nothing_and_needs_no_reason(people: People) -> None:
    """It says where the vCons are."""
    vcon_uuid = everywhere(people)
    before = {*people.operator.redis.scan_iter()}
    result = await erased(people, "", tel=SPELLING, dry_run=True)
    assert (result.dry_run, result.found, result.erased, result.left) == (True, 1, 0, 0)
    assert places(result.vcons[0]) == {"redis": "would be deleted", "shelf": "would be deleted"}
    assert {*people.operator.redis.scan_iter()} == before
    assert (people.operator.config.parent / vcon_uuid).exists()
    assert people.rows("SELECT 1 FROM audit_events") == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
async def test_without_a_reason_nothing_is_erased(people: People, reason: str) -> None:
    """The audit keeps it."""
    vcon_uuid = everywhere(people)
    with pytest.raises(InvalidError, match="reason"):
        await erased(people, reason, uuids=[vcon_uuid])
    assert people.traces(vcon_uuid)


@pytest.mark.parametrize(
    ("storage", "outcome"),
    [("forgetful", "cannot delete"), ("broken", "failed"), ("gone", "failed")],
)
async def test_a_storage_that_still_has_it_is_named_and_found_again(
    people: People, storage: str, outcome: str
) -> None:
    """It cannot delete, fails, or is not configured any more."""
    vcon_uuid = people.in_redis(tel=NUMBER)
    people.in_index(vcon_uuid, 0, "shelf", storage, tel=NUMBER)
    for redis in ("deleted", "absent"):
        result = await erased(people, tel=NUMBER)
        assert (result.erased, result.left) == (0, 1)
        assert places(result.vcons[0])["redis"] == redis
        assert places(result.vcons[0])[storage] == outcome
    assert people.rows("SELECT storages FROM vcon_index") == [[storage]]
    assert people.rows("SELECT terms FROM vcon_index") != [[]]


async def test_a_vcon_that_no_index_knows_is_deleted_from_all_storages(people: People) -> None:
    """As it was stored before there was an index; it is remembered where a storage fails."""
    vcon_uuid = people.in_redis(tel=SPELLING)
    file = people.stored(vcon_uuid)
    result = await erased(people, tel=NUMBER)
    told = places(result.vcons[0])
    assert told == {
        "redis": "deleted",
        "shelf": "deleted",
        "forgetful": "cannot delete",
        "broken": "failed",
    }
    assert not file.exists()
    again = await erased(people, tel=NUMBER)
    assert [each.uuid for each in again.vcons] == [vcon_uuid]


async def test_an_erasure_that_was_interrupted_is_repeated(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Redis has forgotten the vCon, and before its row has."""
    vcon_uuid, settle = everywhere(people), module.Erase._settle

    async def killed(*_: Any) -> None:
        raise UnavailableError("killed")

    monkeypatch.setattr(module.Erase, "_settle", killed)
    with pytest.raises(UnavailableError):
        await erased(people, uuids=[vcon_uuid])
    assert people.rows("SELECT cardinality(terms) > 0 FROM vcon_index") in ([True], [False])
    monkeypatch.setattr(module.Erase, "_settle", settle)
    assert people.rows("SELECT error FROM chain_runs") == ["KeyError: erased"]
    [again] = (await erased(people, uuids=[vcon_uuid])).vcons
    told = places(again)  # all storages, since its row may have no terms and storages any more
    assert (told["redis"], told["shelf"]) == ("absent", "absent")
    assert people.traces(vcon_uuid) == []


async def test_a_vcon_that_a_run_holds_is_left_and_its_run_cancelled(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer says so; its checkpoint stays until the run has ended, and the vCon is erased."""
    monkeypatch.setattr(module, "BUSY_PAUSE", 0)
    monkeypatch.setattr(module, "BUSY_ROUNDS", 1)
    vcon_uuid, redis, run_id = people.in_redis(tel=NUMBER), people.operator.redis, new_uuid()
    people.in_index(vcon_uuid, 0, "shelf", tel=NUMBER)
    redis.hset(keys.LOCKS, vcon_uuid, "one")
    redis.hset(keys.inflight("one"), vcon_uuid, f"1\n{run_id}\nin\n{vcon_uuid}")
    run = {"run_id": run_id, "chain": "main", "vcon_in": vcon_uuid, "vcon_out": vcon_uuid}
    redis.set(keys.run(run_id), json.dumps(run | {"status": "running", "finished_at": None}))
    people.ran(vcon_uuid, run_id=run_id, status="failed", error=ERROR)  # then it was replayed
    result = await erased(people, tel=NUMBER)
    assert (result.left, places(result.vcons[0])) == (1, {"redis": "being processed"})
    assert redis.exists(keys.cancel(run_id), keys.vcon(vcon_uuid), keys.run(run_id)) == 3
    redis.delete(keys.LOCKS, keys.inflight("one"))
    assert (await erased(people, tel=NUMBER)).left == 0
    assert redis.exists(keys.run(run_id)) == 0
    assert people.rows("SELECT error FROM chain_runs") == ["KeyError: erased"]


async def test_what_links_made_of_a_vcon_is_erased_with_it(people: People) -> None:
    """Also of what was made of that; the answer says of which."""
    first, second, third = (people.in_redis() for _ in range(3))
    people.ran(first, second)
    people.ran(second, third)
    for each in (first, second, third):
        people.in_index(each, 0, "shelf")
    result = await erased(people, uuids=[first])
    assert {each.uuid: each.made_from for each in result.vcons} == {
        first: None,
        second: first,
        third: second,
    }
    assert result.erased == 3
    assert [people.traces(each) for each in (first, second, third)] == [[], [], []]


async def test_all_that_links_made_is_erased(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it is more than one page."""
    monkeypatch.setattr(selection, "PAGE", 2)
    first, *made = (people.in_redis() for _ in range(6))
    for each in (first, *made):
        people.ran(first, each)
        people.in_index(each, 0, "shelf")
    result = await erased(people, uuids=[first])
    assert (result.erased, result.more) == (6, False)
    assert [people.traces(each) for each in made] == [[]] * 5


async def test_notes_that_wait_for_postgres_do_not_bring_a_vcon_back(people: People) -> None:
    """They are written before the row is forgotten."""
    vcon_uuid, redis = people.in_redis(tel=NUMBER), people.operator.redis
    members = json.dumps({"$.parties[0:200].tel": [NUMBER]})
    redis.rpush(keys.INDEX, f'{{"chain":"main","storages":["shelf"]}}\n1\n{vcon_uuid}\n{members}')
    run = {"run_id": new_uuid(), "chain": "main", "vcon_in": vcon_uuid, "vcon_out": vcon_uuid}
    run |= {"status": "failed", "error": ERROR, "attempts": 1, "steps": [], "config_hash": ""}
    redis.rpush(keys.HISTORY, orjson.dumps(run))
    result = await erased(people, tel=NUMBER)
    assert places(result.vcons[0]) == {"redis": "deleted", "shelf": "absent"}
    assert people.rows("SELECT terms FROM vcon_index") == [[]]
    assert people.rows("SELECT error FROM chain_runs") == ["KeyError: erased"]
    assert redis.exists(keys.INDEX, keys.HISTORY) == 0


async def test_more_than_the_limit_is_erased_by_repeating(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches, with progress."""
    monkeypatch.setattr(module, "BATCH", 2)
    for _ in range(5):
        people.in_index(None, 0, "shelf", tel=NUMBER)
    lines: list[str] = []
    async with people.operator.api() as api:
        call = Call(AUTHOR, "why", lines.append)
        first = await api.perform("erase", {"tel": NUMBER, "limit": 3}, call)
    assert isinstance(first, EraseResult)
    assert (first.erased, first.more) == (3, True)
    assert lines == ["2 of 3 vCons", "3 of 3 vCons"]
    second = await erased(people, tel=NUMBER, limit=3)
    assert (second.erased, second.more) == (2, False)


async def test_postgres_being_away_erases_nothing(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, nothing would tell which storages have the vCon."""
    vcon_uuid = people.in_redis(tel=NUMBER)
    monkeypatch.setenv("POSTGRES_PORT", "1")
    with pytest.raises(UnavailableError):
        await erased(people, tel=NUMBER)
    assert people.traces(vcon_uuid)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"uuids": []},
        {"uuids": ["no uuid"]},
        {"uuids": [new_uuid() for _ in range(1001)]},
        {"uuids": ["00000000-0000-0000-0000-000000000001"], "tel": "1"},
        {"name": "\x00"},
        {"tel": "1", "limit": 5001},
        {"tel": "1", "cursor": "x"},
    ],
    ids=range(8),
)
async def test_what_names_no_vcons_is_refused(people: People, wanted: dict[str, Any]) -> None:
    """Nothing is audited either."""
    with pytest.raises(InvalidError):
        await erased(people, **wanted)
    assert people.rows("SELECT 1 FROM audit_events") == []


async def test_what_was_not_searched_is_exit_1(people: People) -> None:
    """Rows of another secret may be of the same person."""
    index_of(people.operator.database, index_secret="the-service-has-this-one").writing_keys()
    vcon_uuid = people.in_redis(tel=NUMBER)
    people.in_index(vcon_uuid, 0, "shelf", tel=NUMBER)
    line = f"erase --tel {NUMBER} --yes --reason 'a request' --json"
    ran = await people.operator.cli(line)
    assert (ran.code, ran.json["erased"], len(ran.json["notes"])) == (1, 1, 1)


async def test_the_example_of_a_cause_is_forgotten_also_where_a_copy_is_left(
    people: People,
) -> None:
    """Its error may repeat what the vCon said."""
    vcon_uuid = people.in_redis(tel=NUMBER)
    people.in_index(vcon_uuid, 0, "forgetful", tel=NUMBER)
    step = {"name": "crm", "kind": "link", "outcome": "failed", "seconds": 1, "error": ERROR}
    people.ran(vcon_uuid, status="failed", error=ERROR, steps=[step])
    assert NUMBER in str(people.rows("SELECT to_jsonb(each)::text FROM failure_causes AS each"))
    assert (await erased(people, tel=NUMBER)).left == 1
    assert NUMBER not in str(people.rows("SELECT to_jsonb(each)::text FROM failure_causes AS each"))


async def test_the_message_of_a_cause_is_forgotten_until_it_fails_again(people: People) -> None:
    """A name in it has no mark; the count stays, and another vCon's failure writes it again."""
    vcon_uuid, text = people.in_index(None, 0, "shelf", tel=NUMBER), "no customer Ann Smith"
    people.ran(vcon_uuid, status="failed", error=f"KeyError: {text}")
    people.ran(new_uuid(), status="failed", error="OSError: no disk")
    await erased(people, tel=NUMBER)
    causes = "SELECT message FROM failure_causes ORDER BY type"
    assert people.rows(causes) == ["", "no disk"]
    people.ran(new_uuid(), status="failed", error=f"KeyError: {text}")
    assert people.rows(causes) == [text, "no disk"]
    assert people.rows("SELECT count FROM failure_causes ORDER BY type") == [2, 1]


@pytest.mark.parametrize("error", ["Ann Smith has left", "Ann Smith: has left"])
async def test_an_error_without_a_type_is_forgotten_as_a_whole(people: People, error: str) -> None:
    """What stands before the colon is kept only if it can be the name of a class."""
    vcon_uuid = people.in_index(None, 0, "shelf", tel=NUMBER)
    people.ran(vcon_uuid, status="failed", error=error)
    await erased(people, tel=NUMBER)
    assert people.rows("SELECT error FROM chain_runs") == ["error: erased"]


async def test_the_command(people: People) -> None:
    """A table for each vCon, exit code 1 where something is left, and no value in the audit."""
    vcon_uuid = people.in_redis(name="<b>Ann</b>\x1b[31m")
    people.in_index(vcon_uuid, 0, "shelf", "forgetful", name="<b>Ann</b>[31m")
    dry = await people.operator.cli("erase --name '<b>Ann</b>[31m' --dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert "1 vCons would be erased" in dry.out
    assert "forgetful: it cannot delete" in dry.out
    refused = await people.operator.cli("erase --name '<b>Ann</b>[31m'")
    assert refused.code == 2
    assert "--yes" in refused.err
    line = f"erase --uuid {vcon_uuid} --yes --reason 'a request' --json"
    ran = await people.operator.cli(line)
    assert ran.code == 1
    assert (ran.json["erased"], ran.json["left"]) == (0, 1)
    assert "1 of 1 vCons" in ran.err
    listed = await people.operator.cli("audit")
    assert vcon_uuid in listed.out
