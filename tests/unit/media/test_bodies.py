"""Bodies are taken out of a vCon and put back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from core.errors import InvalidError
from pipeline.media.bodies import (
    MOST,
    body_of,
    fresh_name,
    placeholders,
    put_back,
    take_out,
    whole_text,
    written_at,
)
from pipeline.media.rules import Rule, stripped_text

LEAST = 40
FORGED = f"pc:media:redis:{'a' * 64}-00000000-{'b' * 16}:99"

texts = some.text(some.characters(codec="utf-8"), max_size=60)
leaves = some.none() | some.booleans() | some.integers(-(2**63), 2**63) | texts
values = some.recursive(
    leaves,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(texts, inner, max_size=3),
)
bodies = (
    values
    | some.binary(max_size=80).map(lambda data: data.hex())
    | some.just("c29tZSBhdWRpbw" * 10)
    | some.sampled_from([FORGED, "pc:media:", f"{FORGED}x"])
)
elements = some.dictionaries(some.sampled_from(["body", "type", "encoding"]), bodies) | values
documents = some.dictionaries(
    some.sampled_from(["dialog", "attachments", "analysis", "parties", "subject", "pc:media:"]),
    some.lists(elements, max_size=4) | values,
)


@settings(max_examples=60)
@given(documents)
def test_what_is_put_back_is_the_same(document: dict[str, Any]) -> None:
    """Byte for byte, for any content of the vCon; the given one is not changed."""
    document |= {"uuid": "0197f0a2-0000-8000-8000-000000000000"}
    before = orjson.dumps(document)
    taken = take_out(document, "file", LEAST)
    assert orjson.dumps(document) == before
    inside = orjson.dumps(taken.document)
    for each in placeholders(taken.document):
        assert len(taken.texts[each.name]) == each.length
    read = orjson.loads(inside)
    put_back(read, {each.text: body_of(taken.texts[each.name]) for each in placeholders(read)})
    assert orjson.dumps(read) == before
    again = orjson.loads(inside)
    assert (
        whole_text(again, {each.text: taken.texts[each.name] for each in placeholders(again)})
        == before
    )
    stripped = stripped_text(document, before, Rule("file", LEAST))
    parts = stripped.parts if stripped else {}
    assert sorted(before[at:end] for at, end in parts.values()) == sorted(taken.texts.values())


def test_large_bodies_are_taken_out() -> None:
    """Those of at least so many bytes of JSON, in three places and no other."""
    large, edge, small = "x" * 100, "y" * (LEAST - 2), "z" * (LEAST - 3)
    document = {
        "dialog": [{"body": large}, {"body": small}],
        "attachments": [{"body": edge}],
        "analysis": [{"body": {"words": [large]}}, large],
        "group": [{"body": large}],
        "body": large,
    }
    taken = take_out(document, "s3", LEAST)
    found = placeholders(taken.document)
    assert [each.where for each in found] == ["dialog[0]", "attachments[0]", "analysis[0]"]
    assert {each.store for each in found} == {"s3"}
    assert taken.document["dialog"][1]["body"] == small
    assert taken.document["group"] == [{"body": large}]


def test_equal_bodies_are_kept_once() -> None:
    """In one vCon; and a body that is known is not written again."""
    document = {"dialog": [{"body": "x" * 100}], "attachments": [{"body": "x" * 100}]}
    taken = take_out(document, "redis", LEAST)
    assert len(taken.texts) == 1
    again = take_out(document, "redis", LEAST, taken.bodies)
    assert (again.texts, again.document) == ({}, taken.document)


@pytest.mark.parametrize("body", [FORGED, "pc:media:", f"{FORGED}x", "pc:media:redis:x"])
def test_a_body_like_a_placeholder_is_taken_out(body: str) -> None:
    """However small it is: what stands in Redis in this form is the service's own."""
    taken = take_out({"dialog": [{"body": body}]}, "redis", float("inf"))
    [name] = taken.texts
    assert orjson.loads(taken.texts[name]) == body
    assert taken.document["dialog"][0]["body"] != body


def test_a_name_tells_its_time() -> None:
    """So that age needs no clock of the store."""
    assert written_at(fresh_name(b"x")) > 1_700_000_000
    assert written_at(f"{fresh_name(b'x')}.part") > 1_700_000_000
    assert written_at("something else") == 0


def test_how_much_one_vcon_can_ask_for_is_bounded() -> None:
    """Of large bodies the first hundred are taken out; more forged ones are refused."""
    large = {"dialog": [{"body": f"{number:0100}"} for number in range(MOST + 5)]}
    taken = take_out(large, "redis", LEAST)
    assert len(taken.texts) == len(placeholders(taken.document)) == MOST
    assert taken.document["dialog"][MOST:] == large["dialog"][MOST:]
    same = {"dialog": [{"body": FORGED}] * 100_000}
    assert len(take_out(same, "redis", LEAST).texts) == 1
    forged = {"dialog": [{"body": f"pc:media:{number}"} for number in range(100_000)]}
    with pytest.raises(InvalidError, match=r"dialog\[100\]\.body: begins with pc:media:"):
        take_out(forged, "redis", LEAST)
