"""Values from outside in statements and selections: in flows, and in links that name a task."""

from typing import Any

import pytest

from flowlang.exceptions import FlowExecutionError, FlowValidationError
from flowlang.language.flow import Flow
from flowlang.language.untrusted import arguments
from lib.connections import filled_params, require_fixed_statements

OPERATORS: list[Any] = [
    {"$ne": None},
    {"$where": "sleep(1000)"},
    {"a": [{"b": {"$gt": ""}}]},
    [{"$regex": ".*"}],
]


@pytest.mark.parametrize(
    "step",
    [
        {"pg_query": {"query": "SELECT '${inputs.x}'"}},
        {"pg_query": {"query": "${inputs.x}"}},
        {"sqlite_execute": {"query": "DELETE FROM t WHERE a = '${ .inputs.x }'"}},
        {"task": "mysql_query", "inputs": {"query": "SELECT ${found.rows[0].a:-1}"}},
        {"pg_transaction": {"queries": [{"query": "SELECT 1"}, {"query": "${item.sql}"}]}},
        {"airtable_select": {"filter_by_formula": "{A} = '${inputs.x}'"}},
        {"crm_query": {"query": "SELECT '${inputs.x}'"}},
        {"mongo_find": {"filter": {"$where": "this.a == '${inputs.x}'"}}},
        {
            "mongo_aggregate": {
                "pipeline": [{"$set": {"a": {"$function": {"body": "${inputs.x}"}}}}]
            }
        },
    ],
)
def test_a_flow_whose_statement_has_a_reference_is_refused_at_load(step: dict[str, Any]) -> None:
    """At any depth, with the place in the message."""
    for steps in ([step], [{"for_each": [1], "do": [step]}]):
        with pytest.raises(FlowValidationError, match=r"steps\[0\].*(could change|hold a ref)"):
            Flow.parse({"flow": "F", "steps": steps})


def test_values_at_placeholders_and_of_other_plugins_may_be_references() -> None:
    """And so may the environment in a statement, and what is no reference."""
    for step in (
        {"pg_query": {"query": "SELECT $1, '$${x}'", "params": ["${inputs.x}"]}},
        {"pg_query": {"query": "SELECT * FROM ${env.TABLE}"}},
        {"pg_transaction": {"queries": [{"query": "SELECT $1", "params": ["${inputs.x}"]}]}},
        {"crm_search": {"query": "${inputs.x}"}},
        {"mongo_find": {"collection": "c", "filter": {"a": "${inputs.x}"}}},
    ):
        Flow.parse({"flow": "F", "steps": [step]})


@pytest.mark.parametrize("value", OPERATORS)
@pytest.mark.parametrize("name", ["filter", "update", "pipeline"])
def test_a_value_brings_no_operator_into_a_selection(name: str, value: Any) -> None:
    """From a vCon, or from anything else that a flow refers to."""
    roots = {"vcon": {"x": value}}
    for given in ({"a": "${vcon.x}"}, {"$and": [{"a": {"$in": ["${vcon.x}"]}}]}):
        with pytest.raises(FlowExecutionError, match="operator"):
            arguments({name: given}, roots)
        with pytest.raises(LookupError, match="operator"):
            filled_params({name: given}, **roots)


def test_a_text_names_no_field_in_an_expression() -> None:
    """`$field` is one there; elsewhere it is a text like others."""
    roots = {"vcon": {"x": "$password"}}
    for given in ({"pipeline": [{"$set": {"a": "${vcon.x}"}}]}, {"filter": {"$expr": "${vcon.x}"}}):
        with pytest.raises(FlowExecutionError, match="begin with"):
            arguments(given, roots)
    assert arguments({"filter": {"a": "${vcon.x}"}}, roots) == {"filter": {"a": "$password"}}


def test_what_the_configuration_writes_is_left_as_it_is() -> None:
    """Its own operators, and values without any, with their types; documents may have `$` keys."""
    roots = {"vcon": {"n": 3, "schema": {"$schema": "s"}}}
    given = {
        "filter": {"age": {"$gt": "${vcon.n}"}, "b": {"$ne": None}},
        "document": {"body": "${vcon.schema}"},
    }
    assert arguments(given, roots) == {
        "filter": {"age": {"$gt": 3}, "b": {"$ne": None}},
        "document": {"body": {"$schema": "s"}},
    }


@pytest.mark.parametrize("name", ["filter", "update", "pipeline"])
def test_a_selection_is_not_all_of_a_vcons_value(name: str) -> None:
    """Its fields would come from the vCon: an empty one selects everything."""
    with pytest.raises(ValueError, match=f"params.{name}: name its fields here"):
        require_fixed_statements({name: "${vcon.x}"})
