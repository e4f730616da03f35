"""Statements made of names and records: no server is needed to say what is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlang.connections.sql import (
    MYSQL,
    POSTGRES,
    SQLITE,
    Dialect,
    batches,
    insertions,
    parameters,
    statements,
    updates,
)

DIALECTS = (POSTGRES, MYSQL, SQLITE)


@given(st.sampled_from(DIALECTS), st.text(max_size=80))
def test_a_name_never_leaves_its_quotes(dialect: Dialect, text: str) -> None:
    """It is quoted as it is, or refused; so is each part of a table's name."""
    for quote in (dialect.name, dialect.table):
        try:
            quoted = quote(text)
        except ValueError:
            continue
        assert (
            quoted.replace(f"{dialect.quote}.{dialect.quote}", ".")
            == f"{dialect.quote}{text}{dialect.quote}"
        )
        assert not {dialect.quote, "%", ";", "\0", "\\"} & set(text)


def test_names_have_the_length_that_the_database_keeps() -> None:
    """PostgreSQL counts bytes and would cut in silence; MySQL counts characters."""
    assert POSTGRES.name("a" * 63) == f'"{"a" * 63}"'
    for dialect, name in ((POSTGRES, "a" * 64), (POSTGRES, "ä" * 32), (MYSQL, "a" * 65)):
        with pytest.raises(ValueError, match="is too long for the name of a column"):
            dialect.name(name)
    assert MYSQL.name("ä" * 64)
    assert SQLITE.name("a" * 500)


@pytest.mark.parametrize(
    "wrong", ["", " a", "a ", "a.b.c", ".a", "a.", 'a"', None, 7, ["a"], "a\n"]
)
def test_what_is_no_name_is_reported(wrong: Any) -> None:
    """In a sentence that says what a name may have."""
    with pytest.raises(ValueError, match="is no name of a table"):
        POSTGRES.table(wrong)


def test_neighbours_with_the_same_fields_share_a_statement() -> None:
    """In any order of their fields; the order of the records stays."""
    records = [{"a": 1, "b": 2}, {"b": 4, "a": 3}, {"a": 5}, {"a": 6, "b": 7}]
    made = [(each.sql, each.rows) for each in insertions(POSTGRES, "s.t", records)]
    both = 'INSERT INTO "s"."t" ("a", "b") VALUES ($1, $2)'
    assert made == [
        (both, [[1, 2], [3, 4]]),
        ('INSERT INTO "s"."t" ("a") VALUES ($1)', [[5]]),
        (both, [[6, 7]]),
    ]


def test_an_update_sets_what_a_record_has_besides_its_key() -> None:
    """The key's value is the last parameter."""
    records = [{"id": 1, "z": 2, "a": 3}, {"id": 4, "z": None}]
    made = [(each.sql, each.rows) for each in updates(MYSQL, "t", records, "id")]
    assert made == [
        ("UPDATE `t` SET `a` = %s, `z` = %s WHERE `id` = %s", [[3, 2, 1]]),
        ("UPDATE `t` SET `z` = %s WHERE `id` = %s", [[None, 4]]),
    ]
    [sent] = updates(POSTGRES, "t", [{"a": 1, "b": 2, "id": 3}], "id")
    assert sent.sql == 'UPDATE "t" SET "a" = $1, "b" = $2 WHERE "id" = $3'


@pytest.mark.parametrize("record", [{"a": 1}, {"id": 1}, {"id": None, "a": 1}])
def test_an_update_without_key_or_change_is_reported(record: dict[str, Any]) -> None:
    """It would change no row, or be no statement."""
    with pytest.raises(ValueError, match="every record needs 'id' and a field to set"):
        list(updates(SQLITE, "t", [{"id": 2, "a": 1}, record], "id"))


def test_lists_are_cut_into_batches() -> None:
    """The last may be smaller; what is no list, or no size, is refused."""
    assert batches([1, 2, 3, 4, 5], 2, "records") == [[1, 2], [3, 4], [5]]
    assert batches([], 2, "records") == []
    for given_, size in (("abc", 2), ({"a": 1}, 2), (None, 2), ([1], 0), ([1], "2"), ([1], True)):
        with pytest.raises(ValueError, match=r"records must be|batch_size must be"):
            batches(given_, size, "records")


def test_queries_and_parameters_are_checked() -> None:
    """A transaction needs queries, a query a text; parameters are a list or a mapping."""
    assert [
        each.parameters for each in statements([{"query": "a"}, {"query": "b", "params": [1]}])
    ] == [None, [1]]
    wrong: list[Any] = [None, [], "x", [{}], ["x"], [{"query": ""}], [{"query": "x", "param": [1]}]]
    for queries in wrong:
        with pytest.raises(ValueError, match=r"queries must be a list|a query is given as"):
            statements(queries)
    assert parameters([]) is None
    assert parameters({"a": 1}) == {"a": 1}
    with pytest.raises(ValueError, match="params must be a list"):
        parameters("x")
