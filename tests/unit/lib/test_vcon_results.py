"""Where a link's result goes in a vCon, and that a second run changes nothing twice."""

import json
from typing import Any

import pytest

from lib.vcon_results import store_result
from links.connection_task import Options
from tests.unit.links.test_plugin_tag import tags_attachment


def test_an_analysis_replaces_what_it_wrote_before() -> None:
    """Others of the same type by another vendor stay."""
    document: dict[str, Any] = {"analysis": [{"type": "crm", "vendor": "other"}]}
    store_result(document, "analysis", "crm", {"rows": [1]})
    store_result(document, "analysis", "crm", {"rows": [2]})
    assert document["analysis"] == [
        {"type": "crm", "vendor": "other"},
        {"type": "crm", "vendor": "patchcord", "body": '{"rows":[2]}', "encoding": "json"},
    ]


def test_an_attachment_goes_by_its_purpose() -> None:
    """Added once, then replaced."""
    document: dict[str, Any] = {}
    store_result(document, "attachment", "crm", "a")
    store_result(document, "attachment", "crm", "b")
    assert document["attachments"] == [{"purpose": "crm", "body": '"b"', "encoding": "json"}]


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("gold", ["crm:gold"]),
        (True, ["crm:true"]),
        (None, []),
        ({"tier": "gold", "visits": 3, "gone": None}, ["tier:gold", "visits:3"]),
        ({"rows": [{"tier": "gold"}], "count": 1}, ["tier:gold", "count:1"]),
        (["a"], ["crm:a"]),
    ],
)
def test_tags_are_made_of_fields(value: Any, tags: list[str]) -> None:
    """One for each, named by the field or by the link."""
    document: dict[str, Any] = {}
    store_result(document, "tag", "crm", value)
    assert json.loads(document["attachments"][0]["body"]) == tags


def test_a_tag_of_the_same_name_has_the_new_value() -> None:
    """Other tags stay where they are."""
    document: dict[str, Any] = {"attachments": [tags_attachment("crm:silver", "vip:vip")]}
    store_result(document, "tag", "crm", "gold")
    assert json.loads(document["attachments"][0]["body"]) == ["vip:vip", "crm:gold"]


@pytest.mark.parametrize(
    "params",
    [
        {"query": "SELECT '${vcon.subject}'"},
        {"queries": [{"query": "SELECT 1"}, {"query": "${vcon.subject}"}]},
        {"queries": ["x ${link.name}"]},
        {"query": "SELECT '${.vcon.subject}'"},
        {"query": "SELECT '${ vcon.subject :-x}'"},
        {"query": "SELECT '${inputs.x}'"},
        {"filter_by_formula": "{Tel} = '${vcon.parties[0].tel}'"},
    ],
)
def test_a_vcon_cannot_change_a_statement(params: dict[str, Any]) -> None:
    """A start refuses what would let it; values go into the statement's parameters."""
    with pytest.raises(ValueError, match=f"params.{next(iter(params))}: .* could change the"):
        Options(connection="c", task="pg_query", params=params)
    safe = {"query": "SELECT $1", "params": ["${vcon.subject}"]}
    assert Options(connection="c", task="pg_query", params=safe).params == safe
