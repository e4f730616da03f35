"""Which tags the tag link adds, and where it puts them."""

import json
from typing import Any

import pytest

from links.tag import Options, add_tags


def tags_attachment(*tags: str) -> dict[str, Any]:
    """An attachment as vcon-server's tag link leaves one."""
    return {"purpose": "tags", "body": json.dumps(tags), "encoding": "json"}


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        (["iron", "maiden"], ["iron:iron", "maiden:maiden"]),
        ({"queue": "repairs", "floor": 2}, ["queue:repairs", "floor:2"]),
        (["a", "a"], ["a:a"]),
        ([], []),
        ({}, []),
    ],
)
def test_a_list_gives_each_name_as_its_own_value_and_a_mapping_gives_pairs(
    option: Any, wanted: list[str]
) -> None:
    """The option becomes `name:value` texts, each once and in order."""
    assert Options(tags=option).wanted == wanted


@pytest.mark.parametrize("option", ["repairs", 3])
def test_anything_but_a_list_or_a_mapping_is_refused(option: Any) -> None:
    """A text in particular is not taken for a list of letters."""
    with pytest.raises(ValueError, match="tags"):
        Options(tags=option)


def test_the_first_tags_make_an_attachment_as_vcon_server_writes_it() -> None:
    """Purpose, JSON text and encoding, and nothing else."""
    document: dict[str, Any] = {"attachments": []}
    assert add_tags(document, ["a:a", "b:2"])
    assert document["attachments"] == [
        {"purpose": "tags", "body": '["a:a","b:2"]', "encoding": "json"}
    ]


def test_tags_are_added_behind_those_that_are_there() -> None:
    """What the attachment holds otherwise stays."""
    document = {"attachments": [{**tags_attachment("a:a"), "start": "2025-05-05T10:10:10Z"}]}
    assert add_tags(document, ["b:b"])
    entry = document["attachments"][0]
    assert json.loads(entry["body"]) == ["a:a", "b:b"]
    assert entry["start"] == "2025-05-05T10:10:10Z"


def test_a_second_run_adds_nothing_and_says_so() -> None:
    """Tagging is idempotent."""
    document: dict[str, Any] = {"attachments": []}
    add_tags(document, ["a:a"])
    before = json.dumps(document)
    assert not add_tags(document, ["a:a"])
    assert json.dumps(document) == before


def test_a_tag_in_any_tags_attachment_counts_as_there() -> None:
    """Some writers leave more than one."""
    document = {"attachments": [tags_attachment("a:a"), tags_attachment("b:b")]}
    assert not add_tags(document, ["b:b"])


def test_a_list_that_the_vcon_library_left_as_a_list_is_read() -> None:
    """It writes tags as a list where vcon-server writes a text."""
    document = {"attachments": [{"purpose": "tags", "body": ["a:a"], "encoding": "json"}]}
    assert not add_tags(document, ["a:a"])
    assert add_tags(document, ["b:b"])
    assert document["attachments"][0]["body"] == '["a:a","b:b"]'


@pytest.mark.parametrize("body", ["no JSON", '{"a":"a"}', None])
def test_a_tags_attachment_that_cannot_be_read_is_left_alone(body: str | None) -> None:
    """Its content is not thrown away: the new tags get an attachment of their own."""
    document: dict[str, Any] = {"attachments": [{"purpose": "tags", "body": body}]}
    assert add_tags(document, ["a:a"])
    assert document["attachments"] == [{"purpose": "tags", "body": body}, tags_attachment("a:a")]


def test_a_vcon_without_attachments_gets_some() -> None:
    """The list itself may be missing."""
    document: dict[str, Any] = {}
    assert add_tags(document, ["a:a"])
    assert len(document["attachments"]) == 1
