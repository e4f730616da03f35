"""`find`: however a value is written, in Redis and after Redis has forgotten the vCon."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidError
from core.operator_interfaces import Call
from pipeline.operator.people import spellings
from pipeline.operator.people.find import NOT_ALL_KEYS, OTHER_HASHES, WITHOUT_POSTGRES
from pipeline.redis_client import keys
from schemas.operator.people import FoundPage
from tests.integration.operator.people_scene import NUMBER, People, people
from tests.integration.stored.stored_scene import index_of
from tests.integration.support.operator_scene import AUTHOR

__all__ = ["people"]

SPELLINGS = [  # of one number
    "(201) 555-0123",
    "tel:+1-201-555-0123",
    "2015550123",
    "+12015550123",
    "1.201.555.0123",
]


async def found(people: People, **query: Any) -> FoundPage:
    """The answer of the operation."""
    async with people.operator.api() as api:
        page = await api.perform("find", query, Call(AUTHOR))
    assert isinstance(page, FoundPage)
    return page


async def test_every_spelling_in_redis_is_found_by_every_other(people: People) -> None:
    """Before any run has ended; other numbers are not."""
    uuids = {people.in_redis("in", tel=each) for each in SPELLINGS}
    people.in_redis(tel="+12015550124")
    people.in_redis(name=NUMBER)
    for spelling in SPELLINGS:
        page = await found(people, tel=spelling)
        assert {each.uuid for each in page.vcons} == uuids
        assert (page.sought, page.cursor, page.notes) == (NUMBER, None, [])
    [first, *_] = page.vcons
    assert (first.in_redis, first.indexed, first.chains) == (True, False, [])
    assert first.created_at is not None


@pytest.mark.parametrize(
    ("party", "query"),
    [
        ({"mailto": "mailto:Ann@Example.org"}, {"mail": "ann@EXAMPLE.org"}),
        ({"name": "José  MÜLLER"}, {"name": "jose\u0301 müller"}),
        ({"tel": "201-555-0123 ext 7"}, {"tel": "+12015550123"}),
        ({"tel": "201-555-0123 ext 7"}, {"tel": "+1 201 555 0123;ext=7"}),
        ({"tel": "911"}, {"tel": "tel:911"}),
        ({"name": "<b>[bold]*?"}, {"name": "<B>[BOLD]*?"}),
    ],
)
async def test_other_values(people: People, party: dict[str, str], query: dict[str, str]) -> None:
    """In Redis and in the index alike."""
    here, there = people.in_redis(**party), people.in_index(**party)
    page = await found(people, **query)
    assert [each.uuid for each in page.vcons] == [there, here]


async def test_after_redis_has_forgotten_it(people: People) -> None:
    """With chains and storages; a vCon that is in both is listed once."""
    forgotten = people.in_index(None, 0, "shelf", tel=NUMBER)
    both = people.in_redis(tel="2015550123")
    people.in_index(both, 1, tel=NUMBER)
    page = await found(people, tel="(201) 555 0123")
    assert [each.uuid for each in page.vcons] == [both, forgotten]
    assert [(each.in_redis, each.indexed) for each in page.vcons] == [(True, True), (False, True)]
    assert (page.vcons[1].chains, page.vcons[1].storages) == (["main"], ["shelf"])


@pytest.mark.parametrize("limit", [1, 2, 5, 12])
async def test_pages_have_each_vcon_once(people: People, limit: int) -> None:
    """From the index into Redis, over several spellings there."""
    indexed = {people.in_index(None, minutes % 2, tel=NUMBER) for minutes in range(5)}
    only_here = {people.in_redis(tel=SPELLINGS[at % 3]) for at in range(7)}
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await found(people, tel=NUMBER, limit=limit, cursor=cursor)
        assert len(page.vcons) <= limit
        seen += [each.uuid for each in page.vcons]
        cursor = page.cursor
        if cursor is None:
            break
        assert "555" not in cursor.partition("~")[2].partition("~")[0]
    assert len(seen) == len(set(seen))
    assert set(seen) == indexed | only_here
    assert set(seen[:5]) == indexed


async def test_without_postgres_redis_is_searched(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the answer says so."""
    vcon_uuid = people.in_redis(tel=NUMBER)
    monkeypatch.setenv("POSTGRES_PORT", "1")
    page = await found(people, tel=NUMBER)
    assert [each.uuid for each in page.vcons] == [vcon_uuid]
    assert page.notes == [WITHOUT_POSTGRES]


async def test_rows_of_a_secret_that_is_not_set_here_are_a_note(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a command in a shell without the service's variables; it makes no secret."""
    monkeypatch.setenv("INDEX_SECRET", "the-service-has-this-one")
    index = index_of(people.operator.database, index_secret="the-service-has-this-one")
    index.writing_keys()
    assert (await found(people, tel=NUMBER)).notes == []
    monkeypatch.delenv("INDEX_SECRET")
    assert (await found(people, tel=NUMBER)).notes == [OTHER_HASHES]
    assert people.rows("SELECT name FROM service_secrets WHERE value <> ''") == []


async def test_the_search_of_keys_is_bounded(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many spellings are a note, not an answer that never comes."""
    monkeypatch.setattr(spellings, "MOST", 2)
    monkeypatch.setattr(spellings, "SLICE", 1)
    for each in SPELLINGS:
        people.in_redis(tel=each)
    page = await found(people, tel=NUMBER)
    assert page.notes == [NOT_ALL_KEYS]
    assert page.vcons


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"tel": "1", "name": "x"},
        {"name": "\x00\u202e"},
        {"tel": ""},
        {"tel": "1" * 251},
        {"tel": "1", "limit": 0},
        {"tel": "1", "limit": 1001},
        {"tel": "1", "cursor": "x"},
        {"tel": "1", "cursor": "p~2026-13-99T00:00:00~" + "-" * 36},
        {"tel": "1", "cursor": "r~0~no cursor"},
        {"tel": ["1"]},
        {"phone": "1"},
    ],
)
async def test_what_is_no_query_is_refused(people: People, query: dict[str, Any]) -> None:
    """With the name of the argument, and without a search."""
    people.in_redis(tel="1")
    with pytest.raises(InvalidError):
        await found(people, **query)


async def test_keys_and_members_of_other_programs(people: People) -> None:
    """Keys of another type, members that are no uuids, a uuid without a document."""
    redis, vcon_uuid = people.operator.redis, people.in_redis(tel=NUMBER)
    redis.set("tel:(201) 555-0123", "another program's")
    redis.sadd(f"tel:{NUMBER}", "<script>", "", "vcon:x", "0" * 400)
    redis.delete(keys.vcon(people.in_redis(tel=NUMBER)))
    page = await found(people, tel=NUMBER)
    assert [each.uuid for each in page.vcons] == [vcon_uuid]


async def test_the_command(people: People) -> None:
    """A table for people, the same as JSON, and how to go on."""
    for _ in range(2):
        people.in_index(None, 0, "shelf", tel=NUMBER)
    ran = await people.operator.cli("find --tel '(201) 555-0123' --limit 1")
    assert (ran.code, ran.err) == (0, "")
    assert f"vCons of {NUMBER}" in ran.out
    assert "2025-11-30 12:00:00" in ran.out
    cursor = ran.out.rpartition("--cursor ")[2].strip()
    rest = await people.operator.cli(f"find --tel {NUMBER} --cursor {cursor} --json")
    assert [each["storages"] for each in rest.json["vcons"]] == [["shelf"]]
    assert rest.json["vcons"][0]["uuid"] not in ran.out
