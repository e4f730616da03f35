"""The five tasks of the SQL plugins, each test against PostgreSQL, MariaDB and SQLite."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import yaml

from flowlang.exceptions import FlowExecutionError
from flowlang.language.flow import Flow
from flowlang.running import run_flow
from tests.integration.support.flowlang_databases import KINDS, NAME, Opened, manager

pytestmark = pytest.mark.parametrize("database_config", KINDS, indirect=True)


async def test_a_query_returns_rows_as_mappings(database: Opened) -> None:
    """Values come as Python's own, columns by name, and parameters are values only."""
    one, two = database.kind.marks
    name = "Robert'); DROP TABLE people; --"
    insert = f"INSERT INTO people (name, town) VALUES ({one}, {two})"
    assert await database.do("execute", query=insert, params=[name, None]) == {"rows_affected": 1}
    found = await database.do(
        "query", query=f"SELECT name, town FROM people WHERE name = {one}", params=[name]
    )
    assert found == {"rows": [{"name": name, "town": None}], "count": 1}


async def test_a_percent_sign_needs_no_doubling_without_parameters(database: Opened) -> None:
    """A query without parameters reaches the server as it is."""
    await database.do("batch_insert", table="people", records=[{"name": "Ada"}, {"name": "Bo"}])
    assert await database.rows("SELECT name FROM people WHERE name LIKE 'A%'") == [{"name": "Ada"}]


async def test_a_statement_that_returns_nothing_has_no_rows(database: Opened) -> None:
    """A query may be an INSERT, which is committed; DDL affects no rows."""
    query = "INSERT INTO people (name) VALUES ('Ada')"
    assert await database.do("query", query=query) == {"rows": [], "count": 0}
    assert await database.rows("SELECT name FROM people") == [{"name": "Ada"}]
    ddl = "CREATE INDEX people_by_town ON people (town)"
    assert await database.do("execute", query=ddl) == {"rows_affected": 0}


async def test_a_transaction_returns_a_result_for_each_statement(database: Opened) -> None:
    """All are carried out, and each has a result in the words of its database."""
    one, two = database.kind.marks
    await database.do("batch_insert", table="people", records=[{"name": "Ada"}])
    told = await database.do(
        "transaction",
        queries=[
            {
                "query": f"INSERT INTO people (name, town) VALUES ({one}, {two})",
                "params": ["B", "X"],
            },
            {"query": "UPDATE people SET town = 'Rome'"},
        ],
    )
    assert told == {"results": list(database.kind.statuses), "count": 2}
    assert await database.rows("SELECT DISTINCT town FROM people") == [{"town": "Rome"}]


async def test_a_transaction_is_carried_out_whole_or_not_at_all(database: Opened) -> None:
    """A statement that fails undoes those before it, and the connection stays usable."""
    queries = [
        {"query": "INSERT INTO people (name) VALUES ('Ada')", "params": []},
        {"query": "INSERT INTO people (name) VALUES (NULL)"},
    ]
    for _ in range(3):  # more often than the pool has connections
        with pytest.raises(FlowExecutionError, match="transaction failed: "):
            await database.do("transaction", queries=queries)
    assert await database.rows("SELECT name FROM people") == []


async def test_a_batch_considers_the_fields_of_all_records(database: Opened) -> None:
    """A later record may have more fields; a field that one lacks gets its column's default."""
    told = await database.do(
        "batch_insert",
        table="people",
        batch_size=2,
        records=[
            {"name": "Ada"},
            {"town": None, "name": "Bo"},
            {"name": "Cy", "town": "Rome", "extra": {"likes": ["tea", {"with": "milk"}]}},
        ],
    )
    assert told == {"inserted_count": 3, "batches": 2, "table": "people"}
    rows = await database.rows("SELECT name, town FROM people ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        ("Ada", "Berlin"),
        ("Bo", None),
        ("Cy", "Rome"),
    ]
    [[extra]] = [row.values() for row in await database.rows("SELECT extra FROM people WHERE id=3")]
    likes = {"likes": ["tea", {"with": "milk"}]}
    assert extra == (likes if database.kind.blob == "JSONB" else json.dumps(likes))


@pytest.mark.parametrize("size", [1, 2, 1000])
async def test_batches_are_one_transaction(database: Opened, size: int) -> None:
    """A record that the database refuses undoes all batches before it."""
    records = [{"name": "Ada"}, {"name": "Bo"}, {"name": "Cy"}, {"name": None}]
    with pytest.raises(FlowExecutionError, match="batch insert failed: "):
        await database.do("batch_insert", table="people", records=records, batch_size=size)
    await database.do("batch_insert", table="people", records=[{"name": "Di"}, {"name": "Ed"}])
    changes = [{"name": "Di", "town": "Rome"}, {"name": "Ed", "town": "x" * 41, "id": None}]
    if database.kind.plugin != "sqlite":  # which minds no lengths
        with pytest.raises(FlowExecutionError, match="batch update failed: "):
            await database.do(
                "batch_update", table="people", updates=changes, key_field="name", batch_size=size
            )
    assert await database.rows("SELECT DISTINCT town FROM people") == [{"town": "Berlin"}]


async def test_an_update_counts_rows(database: Opened) -> None:
    """Not the records that were given: one may meet no row, or two, or one that was so before."""
    await database.do(
        "batch_insert", table="people", records=[{"name": n} for n in ("A", "A", "B")]
    )
    told = await database.do(
        "batch_update",
        table="people",
        key_field="name",
        updates=[
            {"town": "Rome", "name": "A"},
            {"name": "B", "town": "Berlin"},
            {"name": "C", "town": "Rome"},
        ],
    )
    assert told == {"updated_count": 3, "batches": 1, "table": "people"}
    rows = await database.rows("SELECT town FROM people ORDER BY id")
    assert [row["town"] for row in rows] == ["Rome", "Rome", "Berlin"]
    told = await database.do("batch_update", table="people", updates=[{"id": 3, "name": "Z"}])
    assert told["updated_count"] == 1
    assert await database.do("batch_update", table="people", updates=[]) == {
        "updated_count": 0,
        "batches": 0,
    }


WRONG: tuple[dict[str, Any], ...] = (
    {"table": "people(name) SELECT 'x' --"},
    {"table": 'people" --'},
    {"table": "people`"},
    {"table": "a.b.people"},
    {"records": [{"name) VALUES ('x'); --": 1}]},
    {"records": [{"name": "Ada"}, {'na"me': 1}]},
    {"records": [{}]},
    {"records": ["Ada"]},
    {"records": {"name": "Ada"}},
    {"batch_size": 0},
)


async def test_names_are_checked_before_anything_is_sent(database: Opened) -> None:
    """What is no name, or no record, is refused with a sentence, and nothing is written."""
    refused = r"batch insert failed: .*(must be|no name|no record)"
    for wrong in WRONG:
        given = {"table": "people", "records": [{"name": "Ada"}], **wrong}
        with pytest.raises(FlowExecutionError, match=refused):
            await database.do("batch_insert", **given)
    assert await database.rows("SELECT * FROM people") == []


async def test_names_are_quoted(database: Opened) -> None:
    """A table and its columns may have names that SQL gives a meaning to."""
    mark = "`" if database.kind.plugin == "mysql" else '"'
    table = f"{mark}my order-list{mark}"
    await database.do("execute", query=f"DROP TABLE IF EXISTS {table}")
    columns = f"{mark}select{mark} INTEGER, {mark}Größe{mark} INTEGER"
    await database.do("execute", query=f"CREATE TABLE {table} ({columns})")
    records = [{"select": 1, "Größe": 2}]
    await database.do("batch_insert", table="my order-list", records=records)
    await database.do(
        "batch_update",
        table="my order-list",
        updates=[{"select": 1, "Größe": 3}],
        key_field="select",
    )
    assert await database.rows(f"SELECT * FROM {table}") == [{"select": 1, "Größe": 3}]


async def test_a_failure_names_product_task_and_cause(database: Opened) -> None:
    """The message has the database's own words; the connection is given back and usable."""
    for _ in range(3):
        with pytest.raises(FlowExecutionError, match=r"^\w+ query failed: .*nowhere") as caught:
            await database.do("query", query="SELECT * FROM nowhere")
        assert caught.value.__cause__ is not None
    with pytest.raises(FlowExecutionError, match="params must be a list"):
        await database.do("query", query="SELECT 1", params="one")
    with pytest.raises(FlowExecutionError, match=r"a query is given as \{query, params\}"):
        await database.do("transaction", queries=["SELECT 1"])
    assert await database.rows("SELECT 1 AS one") == [{"one": 1}]


async def test_tasks_at_the_same_time_do_not_mix(database: Opened) -> None:
    """One that fails and one that succeeds, over and over: the first leaves nothing, ever."""
    bad = [{"query": "INSERT INTO people (name) VALUES ('bad')"}, {"query": "SELECT broken"}]
    good = [{"name": "good"}]
    told = await asyncio.gather(
        *(database.do("transaction", queries=bad) for _ in range(8)),
        *(database.do("batch_insert", table="people", records=good) for _ in range(8)),
        return_exceptions=True,
    )
    assert [type(each) for each in told] == [FlowExecutionError] * 8 + [dict] * 8
    rows = await database.rows("SELECT name, COUNT(*) AS n FROM people GROUP BY name")
    assert rows == [{"name": "good", "n": 8}]


async def test_a_kept_row_is_seen_at_once(database: Opened) -> None:
    """No query leaves a transaction open, in which later ones would see what was before."""
    async with manager(database.config) as connections:
        other = Opened(database.kind, connections)
        assert await other.rows("SELECT name FROM people") == []
        await database.do("batch_insert", table="people", records=[{"name": "Ada"}])
        assert await other.rows("SELECT name FROM people") == [{"name": "Ada"}]


async def test_a_flow_uses_the_tasks(database: Opened) -> None:
    """Records, parameters and rows pass between steps; the result is JSON."""
    prefix, one = database.kind.prefix, database.kind.marks[0]
    flow = f"""
flow: People
connections: {{{NAME}: {{}}}}
inputs: [{{name: people, type: array}}]
steps:
  - {prefix}_batch_insert:
      id: fill
      connection: {NAME}
      table: people
      records: "${{inputs.people}}"
  - {prefix}_query:
      id: ask
      connection: {NAME}
      query: SELECT name FROM people WHERE town = {one}
      params: ["${{inputs.people[1].town}}"]
outputs:
  - {{name: who, value: "${{ask.rows[0].name}}"}}
  - {{name: count, value: "${{fill.inserted_count}}"}}
"""
    fields = yaml.safe_load(flow)
    fields["connections"][NAME] = database.config
    people = [{"name": "Ada"}, {"name": "Bo", "town": "Rome"}]
    told = await run_flow(Flow.parse(yaml.safe_dump(fields)), {"people": people})
    assert told == {"success": True, "outputs": {"who": "Bo", "count": 2}}


async def test_two_columns_of_one_name_are_both_kept(database: Opened) -> None:
    """The second gets a number; one that another column has already is passed over."""
    assert await database.rows("SELECT 1 AS id, 2 AS id, 3 AS id_2, 4 AS id, 5 AS n") == [
        {"id": 1, "id_2": 2, "id_2_2": 3, "id_3": 4, "n": 5}
    ]
    await database.do("execute", query="INSERT INTO people (id, name) VALUES (7, 'Ada')")
    [row] = await database.rows("SELECT a.id, b.id FROM people a JOIN people b ON a.id = b.id")
    assert row == {"id": 7, "id_2": 7}


async def test_a_result_is_cut_and_that_is_reported(
    database_config: dict[str, Any], database: Opened
) -> None:
    """By rows and by bytes; what the statement changes is changed whole."""
    records = [{"name": f"{number:05}" + "n" * 35} for number in range(300)]
    await database.do("batch_insert", table="people", records=records)
    for limit, count in (({"max_rows": 7}, 7), ({"max_bytes": 1000}, 18)):
        async with manager({**database_config, **limit}) as connections:
            small = Opened(database.kind, connections)
            for query in ("SELECT name FROM people", "SELECT name FROM people ORDER BY name"):
                told = await small.do("query", query=query)
                assert (len(told["rows"]), told["count"], told["truncated"]) == (count, count, True)
            few = await small.do("query", query="SELECT name FROM people ORDER BY name LIMIT 3")
            assert (few["count"], "truncated" in few) == (3, False)
    assert (await database.do("query", query="SELECT name FROM people"))["count"] == 300
