"""The Airtable plugin against a local server that keeps records as Airtable does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from flowlang.__main__ import main
from flowlang.connections.airtable import client
from flowlang.connections.airtable.client import AirtableError
from flowlang.connections.manager import ConnectionManager
from flowlang.exceptions import ConnectionError, FlowExecutionError
from flowlang.flow import Flow
from flowlang.running import run_flow
from tests.canaries import canary
from tests.integration.http_stand_in import StandIn, stand_in

if TYPE_CHECKING:
    from pathlib import Path

KEY = canary("pat-of-airtable")
TABLE = {
    "id": "tblPeople",
    "name": "Odd people/100%?",
    "primaryFieldId": "fld1",
    "fields": [{"id": "fld1", "name": "Name", "type": "singleLineText"}],
}


@dataclass
class Airtable(StandIn):
    """One base with one table, by the name or id of which records are kept."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def reply(self, path: str, body: bytes) -> bytes:
        """What Airtable answers to the last request."""
        parts = [unquote(part) for part in urlsplit(path).path.split("/")[2:]]
        query = parse_qs(urlsplit(path).query)
        given = json.loads(body) if body else {}
        return json.dumps(self._told(parts, query, given)).encode()

    def _told(self, parts: list[str], query: dict[str, Any], given: dict[str, Any]) -> Any:
        if parts[0] == "meta":
            return self._meta(parts[1:], query)
        assert parts[0] in ("appOne", "appTwo")
        match self.methods[-1], parts[2:]:
            case "GET", [record]:
                return self.records.get(record)
            case "GET", []:
                return self._page(query)
            case "POST", []:
                return self._batch(given, lambda _: f"rec{len(self.records)}")
            case "PATCH", []:
                return self._batch(given, lambda each: each["id"])
            case "PATCH", [record]:
                return self._kept(record, given["fields"])
            case "DELETE", []:
                gone = [each for each in query["records[]"] if self.records.pop(each, None)]
                return {"records": [{"id": each, "deleted": True} for each in gone]}
        raise AssertionError(parts)

    def _meta(self, parts: list[str], query: dict[str, Any]) -> Any:
        if parts == ["bases"]:
            more = {} if "offset" in query else {"offset": "next"}
            return {"bases": [{"id": f"app{len(query)}", "name": "A"}], **more}
        assert parts == ["bases", "appOne", "tables"]
        return {"tables": [TABLE]}

    def _page(self, query: dict[str, Any]) -> dict[str, Any]:
        begin, size = int(query.get("offset", ["0"])[0]), int(query["pageSize"][0])
        page = list(self.records.values())[begin : begin + size]
        more = {"offset": str(begin + size)} if begin + size < len(self.records) else {}
        return {"records": page, **more}

    def _batch(self, given: dict[str, Any], name: Any) -> dict[str, Any]:
        if "records" not in given:
            return self._kept(name(given), given["fields"])
        return {"records": [self._kept(name(each), each["fields"]) for each in given["records"]]}

    def _kept(self, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        kept = self.records.setdefault(name, {"id": name, "fields": {}})
        kept["fields"] |= fields
        return kept

    def query(self) -> dict[str, list[str]]:
        """The query of the last request."""
        return parse_qs(urlsplit(self.got[-1][0]).query)


@dataclass
class Tasks:
    """The plugin's tasks on that table."""

    manager: ConnectionManager

    async def do(self, task: str, **parameters: Any) -> dict[str, Any]:
        """Call a task as a flow's step does."""
        function = (await self.manager.get_plugin("a")).get_builtin_tasks()[f"airtable_{task}"]
        async with self.manager.lent("a") as lent:
            told: dict[str, Any] = await function(connection=lent, **parameters)
        return told

    async def on_table(self, task: str, **parameters: Any) -> dict[str, Any]:
        """The same with the table."""
        return await self.do(task, table=TABLE["name"], **parameters)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Airtable]:
    """An Airtable without records; nobody waits long for it."""
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.001)
    with stand_in(Airtable()) as found:
        yield found


def config(server: Airtable, **fields: Any) -> dict[str, Any]:
    """The configuration of a connection to it."""
    given = {"type": "airtable", "api_key": KEY, "base_id": "appOne", "endpoint_url": server.base}
    return {"a": {**given, **fields}}


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


async def test_bases_and_tables_are_told(server: Airtable, airtable: Tasks) -> None:
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
    """One that is not known is told, and not shown; one that may not list bases is good."""
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


def test_what_airtable_says_is_what_is_told() -> None:
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


async def test_a_list_is_cut_and_that_is_told(server: Airtable) -> None:
    """No further page is asked for."""
    server.records = {f"rec{n}": {"id": f"rec{n}", "fields": {"Name": "x" * 300}} for n in range(9)}
    for limit, count in (({"max_rows": 4}, 4), ({"max_bytes": 1000}, 2)):
        async with ConnectionManager(config(server, **limit)) as manager:
            told = await Tasks(manager).on_table("list", page_size=3)
            assert (told["count"], told["truncated"]) == (count, True)
            fine = await Tasks(manager).on_table("list", max_records=1)
            assert (fine["count"], "truncated" in fine) == (1, False)
