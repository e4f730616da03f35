import contextlib
import copy
import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.document import (
    created_at_epoch,
    normalised,
    outgoing,
    readable,
    search_keys,
    to_legacy,
)
from pipeline.document_findings import findings

UUID = "0190163d-8694-739b-aea5-966c26f8ad91"
LISTS = {"parties": [], "dialog": [], "analysis": [], "attachments": []}


def vcon(**fields):
    """A vCon that is canonical already, with these fields added."""
    head = {"vcon": "0.4.0", "uuid": UUID, "created_at": "2024-05-01T10:00:00Z"}
    return {**head, **copy.deepcopy(LISTS), **fields}


OLD_AND_NEW = [
    ({"vcon": "0.0.1"}, {}),
    ({"vcon": "7"}, {}),
    ({"uuid": "URN:UUID:" + UUID.upper()}, {}),
    ({"appended": {"uuid": "x"}}, {"amended": {"uuid": "x"}}),
    ({"must_support": ["a"]}, {"critical": ["a"]}),
    ({"appended": None, "group": [], "redacted": {}}, {}),
    ({"group": None, "redacted": None, "amended": None}, {}),
    ({"group": [{"uuid": "x"}]}, {"group": [{"uuid": "x"}]}),
    ({"redacted": {"uuid": "x"}}, {"redacted": {"uuid": "x"}}),
    ({"amended": {}}, {"amended": {}}),
    ({"parties": None, "dialog": None, "analysis": None, "attachments": None}, {}),
    (
        {"dialog": [{"mimetype": "text/plain", "must_support": []}]},
        {"dialog": [{"mediatype": "text/plain", "critical": []}]},
    ),
    (
        {"dialog": [{"body": {"a": 1}, "type": "text"}]},
        {"dialog": [{"body": {"a": 1}, "type": "text"}]},
    ),
    (
        {"analysis": [{"type": "summary", "schema_version": "1", "mimetype": "text/plain"}]},
        {"analysis": [{"type": "summary", "schema": "1", "mediatype": "text/plain"}]},
    ),
    (
        {"analysis": [{"body": {"größe": [1.5, None]}, "encoding": "none"}]},
        {"analysis": [{"body": '{"größe":[1.5,null]}', "encoding": "json"}]},
    ),
    (
        {"attachments": [{"type": "tags", "body": ["a:b"]}]},
        {"attachments": [{"purpose": "tags", "body": '["a:b"]', "encoding": "json"}]},
    ),
    (
        {"attachments": [{"purpose": "x", "type": "y"}, {"purpose": "x", "type": "x"}]},
        {"attachments": [{"purpose": "x", "type": "y"}, {"purpose": "x", "type": "x"}]},
    ),
    (
        {"dialog": [{"mediatype": "a/b", "mimetype": None}]},
        {"dialog": [{"mediatype": "a/b", "mimetype": None}]},
    ),
    (
        {
            "amended": {"uuid": "x"},
            "appended": {"uuid": "y"},
            "critical": [],
            "must_support": ["a"],
        },
        {
            "amended": {"uuid": "x"},
            "appended": {"uuid": "y"},
            "critical": [],
            "must_support": ["a"],
        },
    ),
    ({"amended": {"uuid": "x"}, "appended": None}, {"amended": {"uuid": "x"}}),
    (
        {
            "analysis": [
                {"body": 0.87},
                {"body": True, "encoding": "json"},
                {"body": [], "encoding": ""},
            ]
        },
        {
            "analysis": [
                {"body": "0.87", "encoding": "json"},
                {"body": "true", "encoding": "json"},
                {"body": "[]", "encoding": "json"},
            ]
        },
    ),
    (
        {"analysis": [{"body": None, "encoding": "json"}, {"body": {}, "encoding": "x"}]},
        {"analysis": [{"body": None, "encoding": "json"}, {"body": {}, "encoding": "x"}]},
    ),
    ({"attachments": [{"purpose": None, "type": "y"}]}, {"attachments": [{"purpose": "y"}]}),
    (
        {"attachments": [{"body": "[1]", "encoding": "none", "schema_version": None}]},
        {"attachments": [{"body": "[1]", "encoding": "none", "schema": None}]},
    ),
    (
        {"parties": [{"type": "person", "mimetype": 1}]},
        {"parties": [{"type": "person", "mimetype": 1}]},
    ),
    ({"dialog": ["odd", 7, None]}, {"dialog": ["odd", 7, None]}),
    ({"analysis": "odd"}, {"analysis": "odd"}),
    ({"uuid": "odd"}, {"uuid": "odd"}),
]


@pytest.mark.parametrize(("old", "new"), OLD_AND_NEW)
def test_old_forms_become_those_of_0_4_0(old, new):
    """Each old name, placeholder and body gets its canonical form; the rest stays as it is."""
    assert normalised(vcon(**old)) == vcon(**new)


def test_what_another_program_wrote_is_made_readable():
    """Today's names in every list and at the top, JSON bodies as text, the rest as it stands."""
    entry = {"must_support": ["x"], "body": {"a": 1}, "mimetype": "text/plain"}
    old = vcon(appended=[{"uuid": "x"}], attachments=[{**entry, "type": "tags"}], dialog=[entry, 7])
    todays = {"critical": ["x"], "body": {"a": 1}, "mediatype": "text/plain"}
    as_text = {"body": '{"a":1}', "encoding": "json", "purpose": "tags"}
    new = vcon(amended=[{"uuid": "x"}], attachments=[{**todays, **as_text}])
    assert readable(old) == {**new, "dialog": [todays, 7]}
    odd = vcon(analysis="odd", dialog=None)
    assert readable(odd) is odd


def test_the_document_given_is_left_alone():
    """Normalising makes another document; the one given still says what it said."""
    document = vcon(vcon="0.0.1", group=[], attachments=[{"type": "a", "body": {}}], dialog=None)
    before = copy.deepcopy(document)
    normalised(document)
    assert document == before


def test_a_list_that_was_absent_is_an_empty_one():
    """After normalising, links may append to all four lists without asking."""
    bare = {"vcon": "0.0.1", "uuid": UUID, "created_at": "2024-05-01T10:00:00Z"}
    assert normalised(bare) == vcon()


def test_the_old_version_has_the_old_names_and_placeholders():
    """0.0.1 gets its names, its open bodies and its placeholders back."""
    document = vcon(
        amended={"uuid": "x"},
        critical=["a"],
        dialog=[{"mediatype": "text/plain", "body": "[1]", "encoding": "json"}],
        analysis=[{"type": "t", "schema": "1", "body": '{"a": [1]}', "encoding": "json"}],
        attachments=[{"purpose": "tags", "body": '["a:b"]', "encoding": "json", "critical": []}],
    )
    assert to_legacy(document, "0.0.1") == {
        "vcon": "0.0.1",
        "uuid": UUID,
        "created_at": "2024-05-01T10:00:00Z",
        "group": [],
        "redacted": {},
        "appended": {"uuid": "x"},
        "must_support": ["a"],
        "parties": [],
        "dialog": [{"mimetype": "text/plain", "body": "[1]", "encoding": "json"}],
        "analysis": [{"type": "t", "schema_version": "1", "body": {"a": [1]}, "encoding": "none"}],
        "attachments": [
            {"type": "tags", "body": ["a:b"], "encoding": "none", "must_support": []},
        ],
    }


@pytest.mark.parametrize("body", ["{", "", "[" * 5000])
def test_a_body_that_is_no_json_goes_out_as_it_is(body):
    """What claims to be JSON and is not stays what it is."""
    attachment = {"purpose": "x", "body": body, "encoding": "json"}
    legacy = to_legacy(vcon(attachments=[attachment]), "0.0.1")
    assert legacy["attachments"] == [{"type": "x", "body": body, "encoding": "json"}]


def test_the_old_version_shares_nothing_with_the_document():
    """Whoever edits the old form does not edit the canonical one."""
    document = vcon(parties=[{"meta": {"a": []}}], redacted={"uuid": "x"})
    before = copy.deepcopy(document)
    legacy = to_legacy(document, "0.0.1")
    legacy["parties"][0]["meta"]["a"].append(1)
    legacy["redacted"]["uuid"] = "y"
    assert document == before


def test_a_version_without_a_way_back_is_refused_by_name():
    """The message names the version asked for and the one there is."""
    with pytest.raises(ValueError, match=r"0\.2\.0, only to 0\.0\.1"):
        to_legacy(vcon(), "0.2.0")


def test_search_keys_are_those_of_every_party_once():
    """Each telephone number, mail address and name gives one key, as it is written."""
    parties = [
        {"tel": "+1 202 555 0101", "name": "Zoë", "role": "agent"},
        {"tel": "+1 202 555 0101", "mailto": "zoe@example.com"},
        {"tel": None, "name": "", "mailto": 7},
        {},
    ]
    assert search_keys(vcon(parties=parties)) == [
        "tel:+1 202 555 0101",
        "name:Zoë",
        "mailto:zoe@example.com",
    ]


@pytest.mark.parametrize("parties", [None, "Ana", [None, "Ana", 7], {}])
def test_parties_that_are_none_give_no_keys(parties):
    """A document that never passed the checks is indexed under nothing, not crashed on."""
    assert search_keys(vcon(parties=parties)) == []


@pytest.mark.parametrize(
    ("created_at", "seconds"),
    [("2024-05-01T10:00:00Z", 1714557600.0), (1714557600, 1714557600.0), ("soon", None)],
)
def test_created_at_is_seconds_since_1970(created_at, seconds):
    """The time a vCon was made is one number, however it is written."""
    assert created_at_epoch(vcon(created_at=created_at)) == seconds


values = st.recursive(
    st.sampled_from([None, True, 3, 0.5, "", "text", "[1]", "{}", "json", "none"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
entry_names = ["type", "purpose", "mimetype", "mediatype", "schema", "schema_version"]
entry_names += ["must_support", "critical", "body", "encoding", "x-other"]
entries = st.one_of(
    st.none(),
    st.lists(st.dictionaries(st.sampled_from(entry_names), values, max_size=5), max_size=2),
)
documents = st.fixed_dictionaries(
    {"vcon": st.sampled_from(["0.0.1", "0.3.0", "9"]), "uuid": st.just(UUID.upper())},
    optional={
        **dict.fromkeys(LISTS, entries),
        **dict.fromkeys(["appended", "amended", "group", "redacted", "must_support", "x"], values),
    },
)


@settings(max_examples=20, deadline=None, database=None)
@given(documents)
def test_normalising_twice_is_normalising_once(document):
    """The canonical form is its own canonical form."""
    once = normalised(document)
    assert normalised(once) == once


ENTRY = {"schema_version": "schema", "mimetype": "mediatype", "must_support": "critical"}
RENAMED = {
    "top": {"appended": "amended", "must_support": "critical"},
    "parties": {},
    "dialog": ENTRY,
    "analysis": ENTRY,
    "attachments": {**ENTRY, "type": "purpose"},
}
REPLACED = ("body", "encoding", "vcon", "uuid", *LISTS)


def lost(before, after, names):
    """The members of an object whose value stands nowhere afterwards; null says nothing."""
    kept = [(name, after.get(name, ...)) for name in (*after, ...)]
    return [
        name
        for name, value in before.items()
        if value is not None
        and name not in REPLACED
        and (name, value) not in kept
        and (names.get(name), value) not in kept
    ]


@settings(max_examples=60, deadline=None, database=None)
@given(documents)
def test_normalising_drops_no_member(document):
    """Every value is still there, under its own name or today's, also with both names side by side.

    The exceptions are what 0.0.1 writes for none: an empty group, an empty redaction.
    """
    canonical = normalised(document)
    none = {"group": [], "redacted": {}}
    told = {name: value for name, value in document.items() if none.get(name, ...) != value}
    assert lost(told, canonical, RENAMED["top"]) == []
    for name in LISTS:
        for before, after in zip(document.get(name) or [], canonical[name], strict=True):
            assert lost(before, after, RENAMED[name]) == []


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
    """Scalars to the letter, lists as the values that they are, whatever stores JSON between."""
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


@settings(max_examples=20, deadline=None, database=None)
@given(documents)
def test_normalising_makes_nothing_worse(document):
    """What had no error before has none in its canonical form."""
    if not any(finding.refuses for finding in findings(document)):
        assert not any(finding.refuses for finding in findings(normalised(document)))
