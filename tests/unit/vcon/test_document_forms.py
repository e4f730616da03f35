"""The forms in which vCons leave: what goes out in any of them comes back as the same vCon."""

import contextlib
import copy
import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.vcon.normalization import normalised, outgoing
from pipeline.vcon.validation import findings
from tests.unit.vcon.test_normalization import LISTS, documents, vcon

FORMS = ["0.4.0-text", "0.4.0", "0.0.1"]


def without_nulls(document):
    """The document without what says that it is absent, and with its JSON texts read."""
    plain = {name: value for name, value in document.items() if value is not None}
    for name in LISTS:
        plain[name] = [read(entry) for entry in document[name]]
    return plain


def read(entry):
    """An entry whose JSON text for an object or a list is what it says: white space is none."""
    plain = {name: value for name, value in entry.items() if value is not None}
    body = plain.get("body")
    if plain.get("encoding") == "json" and isinstance(body, str) and body[:1] in ("[", "{"):
        with contextlib.suppress(ValueError):
            plain["body"] = [json.loads(body)]
    return plain


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40, deadline=None, database=None)
@given(document=documents)
def test_every_form_and_back_ends_where_it_began(form, document):
    """A canonical vCon that goes out in any form and comes in again is the same vCon."""
    canonical = normalised(document)
    before = copy.deepcopy(canonical)
    back = normalised(outgoing(canonical, form))
    assert without_nulls(back) == without_nulls(canonical)
    assert canonical == before


numbers = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.decimals()
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers.map(str), st.text(max_size=3).map(json.dumps)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def text_of(value):
    """A JSON text, or nearly one: numbers are written in every way there is."""
    if isinstance(value, list):
        return f"[{','.join(text_of(each) for each in value)}]"
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=100, deadline=None, database=None)
@given(value=json_values)
def test_any_json_text_survives_every_form(form, value):
    """Scalars to the letter, lists by value, through every store of JSON."""
    text = text_of(value)
    entry = {"type": "x", "vendor": "y", "body": text, "encoding": "json"}
    left = outgoing(vcon(analysis=[entry]), form)
    assert findings(left) == []
    stored = orjson.loads(json.dumps(json.loads(orjson.dumps(left)), sort_keys=True))
    [back] = normalised(stored)["analysis"]
    if isinstance(value, list):
        assert read(back) == read(entry)
    else:
        assert back == entry


KEPT_AS_TEXT = [
    *('"yes"', '"0.87"', "null", "{oops", "", " 1", "1.50", "1e3", "1E400", "-0", "-0.0"),
    *("12345678901234567890", "9007199254740992", "NaN", "Infinity", "0.10000000000000000555"),
    *("[1e400]", "[123456789012345678901234567890]", "[-0]", "[1e22]", '{"a":1,"a":2}'),
    *('["\\u0000"]', '{"\\u0000":1}', '["\\ud800"]', "[" * 62 + "]" * 62, "[" * 5000),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("body", KEPT_AS_TEXT)
def test_a_text_that_would_not_come_back_is_not_opened(form, body):
    """What a value could not be told from, or not every reader and store holds, leaves as text."""
    entry = {"type": "x", "body": body, "encoding": "json"}
    [analysis] = outgoing(vcon(analysis=[entry]), form)["analysis"]
    assert analysis == entry


OPENED = [
    ('{"a":1}', {"a": 1}),
    ("[1, 2.50]", [1, 2.5]),
    ("[" * 61 + "]" * 61, json.loads("[" * 61 + "]" * 61)),
    ("0.87", 0.87),
    ("true", True),
    ("false", False),
    ("9007199254740991", 2**53 - 1),
    ("-7", -7),
]


@pytest.mark.parametrize(("form", "encoding"), [("0.4.0", "json"), ("0.0.1", "none")])
@pytest.mark.parametrize(("text", "value"), OPENED)
def test_json_text_leaves_as_the_value(form, encoding, text, value):
    """For readers since core-04, and for those of 0.0.1 under their own encoding."""
    document = vcon(attachments=[{"body": text, "encoding": "json"}])
    [attachment] = outgoing(document, form)["attachments"]
    assert attachment == {"body": value, "encoding": encoding}
    assert type(attachment["body"]) is type(value)
    [text_form] = outgoing(document, "0.4.0-text")["attachments"]
    assert text_form == {"body": text, "encoding": "json"}


def test_a_form_that_does_not_exist_is_refused():
    """By name."""
    with pytest.raises(ValueError, match=r"0\.3\.0, only to 0\.0\.1"):
        outgoing(vcon(), "0.3.0")
