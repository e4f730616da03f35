import json

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.phoenix.lenient_json import may_be_rounded
from pipeline.vcon.fields import MAX_DEPTH, holds_storable, storable, value_findings

names = st.sampled_from(["a", "b c", "größe", "\0", "\udfff"])
leaves = st.sampled_from(
    [
        None,
        True,
        1,
        2**64 - 1,
        2**64,
        -(2**63),
        0.5,
        float("nan"),
        float("inf"),
        "x",
        "🚲",
        "\0",
        "\ud800",
    ]
)
documents = st.dictionaries(
    names,
    st.one_of(leaves, st.lists(leaves, max_size=3), st.dictionaries(names, leaves, max_size=3)),
    max_size=3,
)


def chain_of_lists(levels):
    """A document with that many containers inside one another, itself included."""
    inner = []
    for _ in range(levels - 2):
        inner = [inner]
    return {"body": inner}


UNKEEPABLE = [
    ({"subject": "a\0b"}, "subject", "NUL"),
    ({"parties": [{"name": "\ud83d"}]}, "parties[0].name", "surrogate"),
    ({"dialog": [{"duration": float("nan")}]}, "dialog[0].duration", "finite"),
    ({"dialog": [{"duration": float("-inf")}]}, "dialog[0].duration", "finite"),
    ({"meta": {"id": 2**64}}, "meta.id", "64 bits"),
    ({"meta": {"id": -(2**63) - 1}}, "meta.id", "64 bits"),
    ({"meta": {"a\0": 1}}, "meta['a\\x00']", "NUL"),
    ({"meta": {"a b": ["\0"]}}, "meta['a b'][0]", "NUL"),
    ({"meta": {7: 1}}, "meta['int']", "must be a text"),
    ({"meta": {"when": {1, 2}}}, "meta.when", "a set is no JSON value"),
]


@pytest.mark.parametrize(("document", "path", "word"), UNKEEPABLE)
def test_a_value_that_cannot_be_kept_is_found_where_it_stands(document, path, word):
    """NUL, half surrogates, NaN, infinity, huge integers and non-JSON are errors with a path."""
    (finding,) = value_findings(document)
    assert not storable(document)
    assert (finding.severity, finding.path) == ("error", path)
    assert word in finding.message


def test_what_the_stores_can_hold_passes():
    """The largest integers, non-ASCII text, emoji and escapes that only look like NUL are fine."""
    numbers = [2**64 - 1, -(2**63), 1.5, 1e308, -1.8e19, True, None]
    document = {"größe": numbers, "t": "🚲 \\u0000 \x01 ليلى"}
    assert storable(document)
    assert not list(value_findings(document))


def test_the_deepest_document_allowed_passes_and_one_level_more_does_not():
    """The limit counts containers, the vCon itself being the first."""
    assert storable(chain_of_lists(MAX_DEPTH))
    assert not list(value_findings(chain_of_lists(MAX_DEPTH)))
    assert not storable(chain_of_lists(MAX_DEPTH + 1))
    (finding,) = value_findings(chain_of_lists(MAX_DEPTH + 1))
    assert finding.path == "body" + "[0]" * (MAX_DEPTH - 1)
    assert "64 levels" in finding.message


def test_ten_thousand_levels_are_one_finding_and_no_crash():
    """Depth that would exhaust the stack of a recursive walk is answered like any other."""
    document = chain_of_lists(10_000)
    assert not storable(document)
    assert len(list(value_findings(document))) == 1


def test_a_problem_under_a_bad_name_is_found_too():
    """A field whose name cannot be kept is still looked into."""
    found = [finding.path for finding in value_findings({"a\0": {"b": "\0"}})]
    assert found == ["['a\\x00']", "['a\\x00'].b"]


@settings(max_examples=25, deadline=None, database=None)
@given(documents)
@example({"a": {"b": float("nan")}})
def test_the_quick_look_and_the_slow_one_agree(document):
    """The quick look is false exactly when the slow one finds something."""
    assert storable(document) == (not list(value_findings(document)))


@settings(max_examples=25, deadline=None, database=None)
@given(documents)
def test_what_passes_survives_json_unchanged(document):
    """What is called storable comes back equal from a JSON writer and reader of 64-bit numbers."""
    if storable(document):
        assert orjson.loads(orjson.dumps(document)) == document
        assert "\0" not in json.dumps(document, ensure_ascii=False)


@given(documents, st.booleans(), st.integers(2, MAX_DEPTH + 2))
@example({"a": "\0"}, True, 2)
@example({}, True, MAX_DEPTH + 1)
@settings(max_examples=300, deadline=None)
def test_what_a_text_shows_about_its_values_is_true(document, ascii_only, levels):
    """Whatever the parser takes: a text that is called storable has storable values only."""
    text = json.dumps(document | {"deep": chain_of_lists(levels)}, ensure_ascii=ascii_only)
    content = text.encode(errors="surrogatepass")
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return
    if holds_storable(content) and not may_be_rounded(content):
        assert storable(value)
        assert not list(value_findings(value))


def test_a_usual_text_is_seen_to_be_storable():
    """Or it would be walked through: escapes and some nesting are usual."""
    content = b'{"dialog": [{"body": "line\\nline", "parties": [0, 1]}], "n": 1.5}'
    assert holds_storable(content)
    assert not holds_storable(content.replace(b"\\n", b"\\u0000"))
    assert not holds_storable(content.replace(b"1.5", b"[" * MAX_DEPTH + b"]" * MAX_DEPTH))
