import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.vcon.normalization import (
    created_at_epoch,
    normalised,
    readable,
    search_keys,
    to_legacy,
)
from pipeline.vcon.validation import findings

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
    """An edit of the old form does not change the canonical one."""
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


@settings(max_examples=20, deadline=None, database=None)
@given(documents)
def test_normalising_makes_nothing_worse(document):
    """What had no error before has none in its canonical form."""
    if not any(finding.refuses for finding in findings(document)):
        assert not any(finding.refuses for finding in findings(normalised(document)))
