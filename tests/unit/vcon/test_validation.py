import gzip
from base64 import urlsafe_b64encode

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.vcon.envelope import addressed
from pipeline.vcon.validation import MOST_SHOWN, findings
from schemas.vcon import Finding

UUID = "0190163d-8694-739b-aea5-966c26f8ad91"
PARTIES = [{"name": "Ana"}, {"name": "Bo"}]
ABSENT = object()


def vcon(**fields):
    """A fine vCon with these fields instead; ABSENT takes one away."""
    document = {"vcon": "0.4.0", "uuid": UUID, "created_at": "2024-05-01T10:00:00Z"} | fields
    return {name: value for name, value in document.items() if value is not ABSENT}


def talk(**fields):
    """A vCon with two parties and one dialog made of these fields."""
    return vcon(parties=PARTIES, dialog=[fields])


ERRORS = [
    (None, "a vCon is an object, not null"),
    ([], "a vCon is an object, not a list"),
    ("{}", "a vCon is an object, not a text"),
    (vcon(uuid=ABSENT), "uuid: a UUID is needed; got null"),
    (vcon(uuid="../x"), "uuid: a UUID is needed; got '../x'"),
    (vcon(created_at=""), "created_at: a date and time is needed; got ''"),
    (vcon(created_at="soon"), "created_at: a date and time is needed; got 'soon'"),
    (vcon(parties={}), "parties: expected a list, got an object"),
    (vcon(dialog="hello"), "dialog: expected a list, got a text"),
    (vcon(analysis=0), "analysis: expected a list, got a number"),
    (vcon(attachments=False), "attachments: expected a list, got a boolean"),
    (vcon(parties=[{}, "Ana"]), "parties[1]: expected an object, got a text"),
    (vcon(attachments=[None]), "attachments[0]: expected an object, got null"),
    (talk(parties=[0, 7]), "dialog[0].parties[1]: index 7, but there are 2 parties"),
    (talk(parties=-1), "dialog[0].parties: index -1, but there are 2 parties"),
    (talk(parties=[-1]), "dialog[0].parties[0]: index -1, but there are 2 parties"),
    (talk(parties=2), "dialog[0].parties: index 2, but there are 2 parties"),
    (talk(parties=[0, [1, 9]]), "dialog[0].parties[1]: index 9, but there are 2 parties"),
    (talk(parties=["0"]), "dialog[0].parties[0]: expected the index of a party, got a text"),
    (talk(parties=[True]), "dialog[0].parties[0]: expected the index of a party, got a boolean"),
    (talk(parties={}), "dialog[0].parties: expected the index of a party, got an object"),
    (talk(parties=10**18), "dialog[0].parties: index far too large, but there are 2 parties"),
    (
        vcon(parties=[{}], dialog=[{}, {"parties": 1}]),
        "dialog[1].parties: index 1, but there is 1 party",
    ),
    (vcon(dialog=[{"parties": [0]}]), "dialog[0].parties[0]: index 0, but there are 0 parties"),
    (talk(duration=-0.5), "dialog[0].duration: a duration cannot be negative"),
    (talk(body="a\0"), "dialog[0].body: holds a NUL character, which cannot be stored"),
]

WARNINGS = [
    (vcon(vcon=ABSENT), "vcon: none, read as 0.4.0"),
    (vcon(vcon=None), "vcon: none, read as 0.4.0"),
    (vcon(vcon=0.4), "vcon: unknown version a number, read as 0.4.0"),
    (vcon(vcon=["0.4.0"]), "vcon: unknown version a list, read as 0.4.0"),
    (vcon(created_at=ABSENT), "created_at: none, the time of receipt is taken"),
    (vcon(created_at=None), "created_at: none, the time of receipt is taken"),
    (vcon(vcon="0.9.0"), "vcon: unknown version '0.9.0', read as 0.4.0"),
    (vcon(parties=None), "parties: null, read as an empty list"),
    (vcon(parties=[{}, {}, {"tel": 7}]), "parties[2].tel: expected a text, got a number"),
    (talk(encoding="base64"), "dialog[0].encoding: expected json, none or base64url"),
    (talk(encoding=["json"]), "dialog[0].encoding: expected json, none or base64url"),
    (talk(start="yesterday"), "dialog[0].start: not a date and time"),
    (talk(duration="12"), "dialog[0].duration: expected a number of seconds, got a text"),
    (talk(originator=2), "dialog[0].originator: index 2, but there are 2 parties"),
    (talk(transfer_target=[9]), "dialog[0].transfer_target[0]: index 9, but there are 2 parties"),
    (
        vcon(attachments=[{"type": "lawful_basis", "purpose": "note"}]),
        "attachments[0].type: differs from purpose, the name of the same thing today; "
        "both are kept",
    ),
    (
        talk(mimetype="audio/wav", mediatype="audio/mpeg"),
        "dialog[0].mimetype: differs from mediatype, the name of the same thing today; "
        "both are kept",
    ),
    (
        vcon(appended={"uuid": "x"}, amended={}),
        "appended: differs from amended, the name of the same thing today; both are kept",
    ),
    (
        vcon(analysis=[{"dialog": [0]}], dialog=[]),
        "analysis[0].dialog[0]: index 0, but there are 0 dialogs",
    ),
    (
        vcon(analysis=[{"encoding": "text"}]),
        "analysis[0].encoding: expected json, none or base64url",
    ),
    (
        vcon(attachments=[{"encoding": ""}]),
        "attachments[0].encoding: expected json, none or base64url",
    ),
]

FINE = [
    vcon(),
    vcon(created_at=1714557600, subject=None, group=[], redacted={}, appended=None),
    vcon(extensions=["x"], x={"deep": [[{"y": None}]]}, parties=[{"z": 1, "tel": None}]),
    talk(parties=0),
    talk(parties=[1, 0]),
    talk(parties=[]),
    talk(parties=[0, [0, 1], None]),
    talk(parties=None, duration=None, start=None, encoding=None, url=None, mimetype=None),
    talk(duration=0),
    vcon(recipients=["not an envelope"], payload="neither"),
    vcon(attachments=[{"type": "tags", "purpose": "tags"}, {"type": None, "purpose": "x"}]),
    vcon(dialog=[{"original": -1}], analysis=[{"dialog": 0}, {"dialog": None}]),
]


def encoded(value: object) -> str:
    """JSON in base64url without padding, as RFC 7515 has it."""
    return urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def packed(value: object) -> str:
    """Its gzip in base64url."""
    return urlsafe_b64encode(gzip.compress(orjson.dumps(value))).decode().rstrip("=")


def signed(document: object, layers: int = 1) -> dict:
    """A JWS around it, or around a JWS around it, and so on."""
    for _ in range(layers):
        document = {"payload": encoded(document), "signatures": SIGNATURES}
    return document


SIGNATURES = [{"protected": "e30", "signature": "x"}]
ADDRESS = {"uuid": vcon()["uuid"], "created_at": vcon()["created_at"]}
JWE = {"ciphertext": "x", "recipients": [], "iv": "x", "tag": "x"}

ENVELOPES = [
    {"payload": encoded(vcon()), "signatures": SIGNATURES},
    {"payload": encoded(vcon()), "protected": "e30", "signature": "x"},
    vcon(payload=encoded(vcon()), signatures=SIGNATURES),
    vcon(payload=encoded(vcon(uuid=vcon()["uuid"].upper())), signatures=SIGNATURES),
    JWE | ADDRESS,
    JWE | {"unprotected": ADDRESS},
    JWE | {"protected": encoded(ADDRESS)},
    {"payload": packed(vcon()), "signatures": SIGNATURES},
    signed(vcon(), 5),
    signed(JWE | {"unprotected": ADDRESS}),
]

BROKEN_ENVELOPES = [
    ({"payload": "eyJ1", "signatures": SIGNATURES} | ADDRESS, "payload: expected a vCon in base64"),
    ({"payload": "*", "signatures": SIGNATURES} | ADDRESS, "payload: expected a vCon in base64url"),
    ({"payload": 1, "signature": "x"} | ADDRESS, "payload: expected a vCon in base64url"),
    ({"payload": encoded([1]), "signature": "x"} | ADDRESS, "payload: expected a vCon in base64"),
    ({"payload": encoded(vcon()), "signatures": []}, "signatures: expected a list with at least"),
    (vcon(payload=encoded(ADDRESS | {"uuid": "x"}), signature="x"), "uuid: is not the uuid inside"),
    (JWE | ADDRESS | {"ciphertext": 7}, "ciphertext: expected a text in base64url"),
    (JWE | ADDRESS | {"unprotected": {"uuid": "x"}}, "uuid: is not the uuid inside the envelope"),
    ({"payload": packed(vcon(x="y" * 9_000_000)), "signature": "x"}, "payload: expected a vCon"),
    (
        {"payload": encoded(vcon()), "signatures": [{"header": {"uuid": "x"}, "signature": "x"}]},
        "uuid: is not the uuid inside the envelope",
    ),
    (
        JWE | {"unprotected": ADDRESS, "recipients": [{"header": {"uuid": "x"}}]},
        "uuid: is not the uuid inside the envelope",
    ),
    (JWE | {"created_at": ADDRESS["created_at"]}, "uuid: a UUID is needed; got null"),
]


@pytest.mark.parametrize(("document", "expected"), ERRORS)
def test_what_would_break_something_is_an_error(document, expected):
    """Each thing that a link, a store or the index would fall over refuses the vCon, and alone."""
    (finding,) = findings(document)
    assert (finding.severity, str(finding)) == ("error", expected)
    assert finding.refuses


@pytest.mark.parametrize(("document", "expected"), WARNINGS)
def test_what_only_looks_odd_is_a_warning(document, expected):
    """Each thing that is only off the draft is told, and does not refuse the vCon."""
    (finding,) = findings(document)
    assert (finding.severity, str(finding)) == ("warning", expected)
    assert not finding.refuses


@pytest.mark.parametrize("document", FINE)
def test_what_the_vcon_world_writes_is_fine(document):
    """Nulls for what is absent, unknown fields and every form of an index pass silently."""
    assert findings(document) == []


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_signed_or_encrypted_vcon_is_found_by_what_it_tells(envelope):
    """Uuid and time may stand beside it, in the payload, or in an encrypted one's headers."""
    assert findings(envelope) == []
    outer = addressed(envelope)
    assert {name: outer[name] for name in ADDRESS} == ADDRESS
    assert envelope.items() <= outer.items()


UNDATED = [
    JWE | {"uuid": UUID},
    JWE | {"unprotected": {"uuid": UUID, "cty": "application/vcon"}},
    JWE | {"recipients": [{"header": {"uuid": UUID.upper()}}, {"header": {"uuid": UUID}}]},
    signed(vcon(created_at=ABSENT)),
    {
        "payload": encoded(vcon(uuid=ABSENT, created_at=ABSENT)),
        "signatures": [{"header": {"uuid": UUID}, "signature": "x"}],
    },
]


@pytest.mark.parametrize("envelope", UNDATED)
def test_an_envelope_that_tells_no_time_is_taken_with_a_warning(envelope):
    """One that keeps to the draft cannot tell it; its uuid may stand in any header."""
    (finding,) = findings(envelope)
    assert (finding.severity, finding.path) == ("warning", "created_at")
    assert addressed(envelope)["uuid"].lower() == UUID


def test_null_beside_an_envelope_is_as_good_as_absent():
    """What the payload says is taken."""
    outer = addressed(vcon(uuid=None, created_at=None) | signed(vcon()))
    assert ADDRESS.items() <= outer.items()


def test_a_protected_header_is_not_unpacked():
    """A thousand signatures could each hold gigabytes; what gzip there says is not read."""
    header = {"protected": packed({"uuid": "x" * 9}), "signature": "x"}
    assert findings({"payload": encoded(vcon()), "signatures": [header] * 1000}) == []
    plain = {"protected": encoded({"uuid": "x" * 9}), "signature": "x"}
    assert findings({"payload": encoded(vcon()), "signatures": [header, plain]}) != []


def test_signatures_around_one_another_are_read_up_to_a_limit():
    """Long before a hostile nest of them costs anything."""
    assert any(finding.path == "payload" for finding in findings(signed(vcon(), 12), 2_000))
    assert not findings(signed(vcon(), 12))


@pytest.mark.parametrize(("envelope", "expected"), BROKEN_ENVELOPES)
def test_an_envelope_that_is_none_is_refused(envelope, expected):
    """What no reader could open or find, or what claims another vCon's uuid."""
    (finding, *_) = findings(envelope)
    assert finding.refuses
    assert str(finding).startswith(expected)


def test_every_problem_is_told_at_once_and_errors_come_first():
    """One reading finds all of them; warnings stand behind the errors."""
    document = vcon(uuid=7, parties=None, dialog=[{"parties": 0, "encoding": "x"}, 5])
    assert [str(finding).split(":")[0] for finding in findings(document)] == [
        "uuid",
        "dialog[0].parties",
        "dialog[1]",
        "parties",
        "dialog[0].encoding",
    ]


def test_after_a_hundred_the_rest_is_counted():
    """The list stays short however many problems there are."""
    found = findings(vcon(dialog=[{"encoding": "x"}] * 123))
    assert len(found) == MOST_SHOWN + 1
    assert found[-1] == Finding("warning", "", "and 23 more")


def test_an_error_behind_a_thousand_warnings_still_refuses():
    """Shortening never hides an error behind warnings."""
    found = findings(vcon(dialog=[{"encoding": "x"}] * 1500 + [{"duration": -1}]))
    assert str(found[0]) == "dialog[1500].duration: a duration cannot be negative"
    assert str(found[-1]) == "and 1401 more"


def test_counting_stops_when_the_errors_are_plenty():
    """A hostile document is not read to its end once it is refused a thousand times over."""
    found = findings(vcon(parties=[0] * 50_000))
    assert found[-1] == Finding("error", "", "and at least 900 more")


def test_exactly_a_hundred_are_shown_without_a_count():
    """No empty count follows when nothing was left out."""
    assert len(findings(vcon(dialog=[{"encoding": "x"}] * MOST_SHOWN))) == MOST_SHOWN


anything = st.recursive(
    st.sampled_from([None, True, 0, -1, 7, 2**80, 0.5, float("nan"), "", "x", "\0", "json"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["parties", "encoding", "duration"]), inner, max_size=3),
    ),
    max_leaves=5,
)
fields = ["vcon", "uuid", "created_at", "parties", "dialog", "analysis", "attachments"]


@settings(max_examples=25, deadline=None, database=None)
@given(st.dictionaries(st.sampled_from(fields), anything))
def test_no_document_makes_it_raise(document):
    """The result for every JSON value is a list of findings that can be sent as text."""
    assert all(str(finding).encode() for finding in findings(document))
