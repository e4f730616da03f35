"""The Airtable plugin against a local server that keeps records as Airtable does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from flowlang.__main__ import main
from flowlang.connections.airtable import client
from flowlang.connections.airtable.client import AirtableError
from flowlang.connections.manager import ConnectionManager
from flowlang.exceptions import ConnectionError, FlowExecutionError
from flowlang.language.flow import Flow
from flowlang.running import run_flow
from tests.integration.flowlang.airtable_scene import KEY, TABLE, Airtable, Tasks, config
from tests.integration.support.http_stand_in import stand_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Airtable]:
    """An Airtable without records, with short pauses."""
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.001)
    with stand_in(Airtable()) as found:
        yield found


@pytest.fixture
async def airtable(server: Airtable) -> AsyncIterator[Tasks]:
    """An open connection."""
    async with ConnectionManager(config(server)) as manager:
        yield Tasks(manager)


async def test_records_are_created_changed_found_and_removed(
    server: Airtable, airtable: Tasks
) -> None:
    """With the key in the header, and every name quoted in the path."""
    told = await airtable.on_table("create", fields={"Name": "Ada"})
    assert told == {"record": {"id": "rec0", "fields": {"Name": "Ada"}}, "record_id": "rec0"}
    path, headers, body = server.got[-1]
    assert (path, json.loads(body)) == (
        "/v0/appOne/Odd%20people%2F100%25%3F",
        {"fields": {"Name": "Ada"}},
    )
    assert headers["authorization"] == f"Bearer {KEY}"
    told = await airtable.on_table("update", record_id="rec0", fields={"Age": 36})
    assert told["record"]["fields"] == {"Name": "Ada", "Age": 36}
    assert await airtable.on_table("get", record_id="rec0") == {**told, "found": True}
    assert (await airtable.on_table("find", filter_by_formula="{Age} = 36"))["found"] is True
    assert server.query()["filterByFormula"] == ["{Age} = 36"]
    assert server.query()["maxRecords"] == ["1"]
    told = await airtable.on_table("delete", record_ids=["rec0", "rec9"])
    assert told == {"deleted_ids": ["rec0"], "deleted_count": 1}
    assert await airtable.on_table("find", filter_by_formula="1") == {
        "record": None,
        "found": False,
    }
    server.answers.append("404")
    assert await airtable.on_table("get", record_id="rec0") == {"record": None, "found": False}


async def test_batches_are_one_request(server: Airtable, airtable: Tasks) -> None:
    """Of at most ten records, each with what the operation needs."""
    new = [{"fields": {"Name": str(n)}} for n in range(10)]
    told = await airtable.on_table("batch", operation="create", records=new)
    assert (told["count"], len(server.records)) == (10, 10)
    changed = [{"id": "rec3", "fields": {"Name": "x"}, "createdTime": "not to be sent"}]
    told = await airtable.on_table("batch", operation="update", records=changed)
    assert told == {"records": [{"id": "rec3", "fields": {"Name": "x"}}], "count": 1}
    assert json.loads(server.got[-1][2]) == {"records": [{"id": "rec3", "fields": {"Name": "x"}}]}
    asked = len(server.got)
    wrong: list[tuple[str, Any, str]] = [
        ("create", [*new, *new], "records must be a list of 1 to 10"),
        ("create", [], "records must be a list of 1 to 10"),
        ("create", [{"Name": "x"}], "a record to create has fields"),
        ("update", [{"fields": {}}], "a record to update has id and fields"),
        ("upsert", new, "operation must be create or update"),
    ]
    for operation, records, said in wrong:
        with pytest.raises(FlowExecutionError, match=f"Airtable batch failed: {said}"):
            await airtable.on_table("batch", operation=operation, records=records)
    with pytest.raises(FlowExecutionError, match="record_ids must be a list of 1 to 10"):
        await airtable.on_table("delete", record_ids=[])
    assert len(server.got) == asked


async def test_a_list_follows_its_pages(server: Airtable, airtable: Tasks) -> None:
    """To the end, or to `max_records`; what is asked for stands in each request."""
    server.records = {f"rec{n}": {"id": f"rec{n}", "fields": {}} for n in range(7)}
    told = await airtable.on_table(
        "list", page_size=3, sort=[["Name", "desc"], ["Age", "asc"]], fields=["Name"], view="V"
    )
    assert (told["count"], [each["id"] for each in told["records"]]) == (7, list(server.records))
    assert server.query() == {
        "pageSize": ["3"],
        "offset": ["6"],
        "fields[]": ["Name"],
        "view": ["V"],
        "sort[0][field]": ["Name"],
        "sort[0][direction]": ["desc"],
        "sort[1][field]": ["Age"],
        "sort[1][direction]": ["asc"],
    }
    assert (await airtable.on_table("list", max_records=2, page_size=500))["count"] == 2
    assert server.query() == {"pageSize": ["100"], "maxRecords": ["2"]}
    with pytest.raises(FlowExecutionError, match=r"sort is given as \[\[field, asc or desc\]\]"):
        await airtable.on_table("list", sort=[["Name", "down"]])


async def test_a_value_cannot_change_a_formula(server: Airtable, airtable: Tasks) -> None:
    """Texts are quoted, numbers and booleans are themselves; what is no parameter stays."""
    value = 'x", 1) OR "'
    formula = "AND({Name} = :name, {Age} > :age, {On}, :on, {At} = '12:30')"
    params = {"name": value, "age": 3, "on": True}
    await airtable.on_table("find", filter_by_formula=formula, params=params)
    wanted = """AND({Name} = "x\\", 1) OR \\"", {Age} > 3, {On}, TRUE(), {At} = '12:30')"""
    assert server.query()["filterByFormula"] == [wanted]


async def test_bases_and_tables_are_reported(server: Airtable, airtable: Tasks) -> None:
    """All pages of the bases; a table by its name or id."""
    assert await airtable.do("list_bases") == {
        "bases": [{"id": "app0", "name": "A"}, {"id": "app1", "name": "A"}],
        "count": 2,
    }
    assert await airtable.do("list_tables") == {"tables": [TABLE], "count": 1}
    for name in (TABLE["name"], TABLE["id"]):
        told = await airtable.do("get_table_schema", table=name)
        assert told["field_count"] == 1
        assert told["schema"] == {
            "table_id": "tblPeople",
            "table_name": TABLE["name"],
            "primary_field_id": "fld1",
            "fields": TABLE["fields"],
        }
    with pytest.raises(FlowExecutionError, match=r"there is no table 'none'; there is: Odd people"):
        await airtable.do("get_table_schema", table="none")


async def test_another_base_may_be_named(server: Airtable) -> None:
    """By a task; without any base, none is guessed, and no path is climbed."""
    given = config(server)
    del given["a"]["base_id"]
    async with ConnectionManager(given) as manager:
        tasks = Tasks(manager)
        await tasks.do("create", table="T", base_id="appTwo", fields={})
        assert server.got[-1][0] == "/v0/appTwo/T"
        asked = len(server.got)
        with pytest.raises(FlowExecutionError, match="neither the task nor its connection has a"):
            await tasks.do("create", table="T", fields={})
        for wrong in ("..", "", "."):
            with pytest.raises(FlowExecutionError, match="is no name or id of a base, table or"):
                await tasks.do("get", table="T", base_id="appTwo", record_id=wrong)
        assert len(server.got) == asked


@pytest.mark.parametrize(
    ("task", "answers", "requests"),
    [
        ("list", ["429 Retry-After: 0", "429", "503"], 4),
        ("update", ["500", "429"], 3),
        ("create", ["429 Retry-After: 0"], 2),
        ("delete", ["429"], 2),
    ],
)
async def test_what_was_too_fast_is_tried_again(
    server: Airtable, airtable: Tasks, task: str, answers: list[str], requests: int
) -> None:
    """And so is what can be repeated, when the server is in trouble."""
    parameters: dict[str, Any] = {
        "list": {},
        "update": {"record_id": "rec0", "fields": {}},
        "create": {"fields": {}},
        "delete": {"record_ids": "rec0"},
    }[task]
    server.got.clear()
    server.answers[:] = answers
    await airtable.on_table(task, **parameters)
    assert len(server.got) == requests


async def test_what_may_have_been_done_is_not_done_again(server: Airtable, airtable: Tasks) -> None:
    """A record is not created twice; and at some time enough is enough."""
    server.got.clear()
    server.answers[:] = ["500"]
    with pytest.raises(FlowExecutionError, match=r"Airtable create failed: .*HTTP 500"):
        await airtable.on_table("create", fields={})
    assert len(server.got) == 1
    server.answers[:] = ["429"] * 5
    with pytest.raises(FlowExecutionError, match=r"Airtable list failed: .*HTTP 429"):
        await airtable.on_table("list")
    assert len(server.got) == 6


async def test_a_key_is_tried_when_the_connection_is_opened(server: Airtable) -> None:
    """One that is not known is reported, and not shown; one that may not list bases is good."""
    server.answers[:] = ["401"]
    with pytest.raises(ConnectionError, match=r"Failed to connect 'a' .*HTTP 401") as caught:
        await ConnectionManager(config(server)).initialize()
    assert KEY not in str(caught.value)
    server.answers[:] = ["403"]
    async with ConnectionManager(config(server)) as manager:
        assert (await Tasks(manager).on_table("list"))["count"] == 0
        plugin = await manager.get_plugin("a")
        server.answers[:] = ["401"]
        with pytest.raises(AirtableError, match="HTTP 401"):  # a key may be taken back
            await plugin.check_connection(await plugin.get_connection())
    with pytest.raises(ConnectionError, match="base_id"):
        await ConnectionManager(config(server, base_id="tblX")).initialize()


def test_the_error_of_airtable_is_reported() -> None:
    """Both forms of its errors, and answers that are none of its own."""
    import httpx

    said = {
        '{"error": {"type": "INVALID", "message": "Unknown field"}}': "INVALID: Unknown field",
        '{"error": "NOT_FOUND"}': "NOT_FOUND",
        "<html>": "Bad Gateway",
        "[]": "Bad Gateway",
    }
    for content, message in said.items():
        assert client._message(httpx.Response(502, text=content)) == message


def test_how_long_to_wait() -> None:
    """As long as Airtable wants, but no longer than a minute; else twice as long each time."""
    assert client._pause("30", 1) == 30
    assert client._pause("3600", 1) == 60
    assert client._pause("Thu, 01 Jan 1970 00:00:00 GMT", 1) == 0
    assert [client._pause(None, tried) for tried in (1, 2, 3)] == [1, 2, 4]
    assert client._pause("soon", 2) == 2


async def test_the_example_runs(server: Airtable, tmp_path: Path, monkeypatch: Any) -> None:
    """As it is generated, but for the address."""
    monkeypatch.setenv("AIRTABLE_API_KEY", KEY)
    monkeypatch.setenv("AIRTABLE_BASE_ID", "appOne")
    assert main(["connection", "example", "airtable", "--output", str(tmp_path)]) == 0
    path = tmp_path / "airtable_example.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("type: airtable\n", f"type: airtable\n    endpoint_url: {server.base}\n"),
        encoding="utf-8",
    )
    first, second = [await run_flow(Flow.read(path)) for _ in range(2)]
    assert first == {"success": True, "outputs": {"known": False, "added": "rec0"}}
    assert second == {"success": True, "outputs": {"known": True, "added": "none"}}


async def test_a_list_is_cut_and_that_is_reported(server: Airtable) -> None:
    """No further page is asked for."""
    server.records = {f"rec{n}": {"id": f"rec{n}", "fields": {"Name": "x" * 300}} for n in range(9)}
    for limit, count in (({"max_rows": 4}, 4), ({"max_bytes": 1000}, 2)):
        async with ConnectionManager(config(server, **limit)) as manager:
            told = await Tasks(manager).on_table("list", page_size=3)
            assert (told["count"], told["truncated"]) == (count, True)
            fine = await Tasks(manager).on_table("list", max_records=1)
            assert (fine["count"], "truncated" in fine) == (1, False)
