"""What holds for the decision about any vCon."""

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.law import BasisPolicy
from pipeline.law.basis.decision import DENIED, HASH_MISMATCH, MISSING
from pipeline.law.basis.evaluation import evaluate
from pipeline.law.basis.records import RecordedBasis
from tests.unit.law.basis.bodies import (
    NOW,
    as_text,
    at,
    basis,
    body,
    grant,
    hashed,
    vcon,
    with_body,
)

PURPOSES = st.sampled_from(["transcription", "recording", "Transcription", "stt"])
TIMES = st.integers(-400, 400).map(lambda days: at(days=days))
INDEXES = st.sampled_from([..., None, 0, 1, 9, -1, True, "0", [0], 1.0])
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, 1, -1.5, "", "false", "x", [], {}, [None], {"a": 1}, True, False, 2**53]
)


def without_gaps(told: dict[str, Any]) -> dict[str, Any]:
    """The members that are there."""
    return {name: value for name, value in told.items() if value is not ...}


GRANTS = st.builds(
    lambda purpose, granted, when, conditions: without_gaps(
        {"purpose": purpose, "granted": granted, "granted_at": when, "conditions": conditions}
    ),
    PURPOSES,
    st.sampled_from([True, True, True, False, "false", 1, None, ...]),
    st.one_of(TIMES, ODD, st.just(...)),
    st.sampled_from([..., ["x"], []]),
)
BODIES = st.builds(
    lambda grants, kind, until, interval, proofs: without_gaps(
        {
            "lawful_basis": kind,
            "expiration": until,
            "purpose_grants": grants,
            "consent_grants": grants,
            "status_interval": interval,
            "proof_mechanisms": proofs,
        }
    ),
    st.one_of(st.lists(GRANTS, max_size=3), ODD),
    st.sampled_from(["consent", "consent", "contract", "habit", None]),
    st.one_of(st.just(None), TIMES, ODD, st.just(...)),
    st.sampled_from([..., ..., "30d", "P400D", "x", 3, None]),
    st.one_of(st.just(...), ODD),
)
ATTACHMENTS = st.builds(
    lambda told, names, party, dialog: without_gaps(
        {"body": told, "encoding": "json", **names, "party": party, "dialog": dialog}
    ),
    st.one_of(BODIES, BODIES.map(hashed), ODD),
    st.sampled_from(
        [
            {"purpose": "lawful_basis"},
            {"type": "lawful_basis"},
            {"type": "consent"},
            {"purpose": "note", "type": "lawful_basis"},
        ]
    ),
    INDEXES,
    INDEXES,
)
RECORDS = st.builds(
    RecordedBasis,
    id=st.integers(1, 9),
    subject=st.sampled_from(["vcon", "n1", "m1"]),
    granted=st.booleans(),
    at=st.integers(-40, 40).map(lambda days: NOW + timedelta(days=days)),
    purpose=PURPOSES,
    expires=st.sampled_from([None, NOW - timedelta(days=1), NOW + timedelta(days=1)]),
    party=st.sampled_from([None, 0, 1]),
)
POLICIES = st.builds(
    BasisPolicy,
    profile=st.sampled_from(["lb-02", "consent-00"]),
    scope=st.sampled_from(["any", "each"]),
    conflicts=st.sampled_from(["strictest", "latest"]),
    conditions=st.sampled_from(["allow", "deny"]),
    proofs=st.sampled_from(["off", "off", "require"]),
    aliases=st.sampled_from([{}, {"stt": "transcription"}]),
)
CASES = st.tuples(
    st.lists(ATTACHMENTS, max_size=4), POLICIES, st.lists(RECORDS, max_size=3), st.integers(0, 4)
)
DENIALS = st.builds(
    lambda when, party: basis(
        grant(granted=False, granted_at=when), attachment=without_gaps({"party": party})
    ),
    st.one_of(TIMES, ODD),
    INDEXES,
)


def decided(attachments, policy, records):
    """The decision about a vCon with these attachments."""
    return evaluate(vcon(*attachments), "transcription", NOW, policy, records)


@settings(max_examples=150, deadline=None)
@given(CASES, DENIALS)
def test_adding_a_denial_never_allows(case, denial):
    """What was denied stays denied, and what was allowed needs a later grant of the same party."""
    attachments, policy, records, index = case
    before = decided(attachments, policy, records)
    after = decided([*attachments[:index], denial, *attachments[index:]], policy, records)
    assert not (after.allowed and not before.allowed)
    if policy.conflicts == "strictest":
        assert not after.allowed


@settings(max_examples=80, deadline=None)
@given(CASES, RECORDS)
def test_a_recorded_denial_never_allows(case, record):
    """The same for a denial that the installation recorded."""
    attachments, policy, records, _ = case
    denial = RecordedBasis(10, record.subject, granted=False, at=record.at, party=record.party)
    before, after = (decided(attachments, policy, each) for each in (records, [*records, denial]))
    assert not (after.allowed and not before.allowed)


@settings(max_examples=80, deadline=None)
@given(CASES, BODIES, st.sampled_from(["sha-256", "sha-3-256", "blake2b-256"]))
def test_a_wrong_hash_always_denies(case, told, algorithm):
    """Also of a basis for another purpose, of another version, and beside any other basis."""
    attachments, policy, records, index = case
    wrong = with_body(hashed({**told, "metadata": 1}, algorithm))
    wrong["body"]["metadata"] = 2
    found = decided([*attachments[:index], wrong, *attachments[index:]], policy, records)
    assert not found.allowed
    assert attachments or found.error == HASH_MISMATCH


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_the_stored_form_is_decided_alike(case):
    """JSON bodies as text say what they said as values."""
    attachments, policy, records, _ = case
    texts = [as_text(each) if isinstance(each["body"], dict) else each for each in attachments]
    assert decided(texts, policy, records) == decided(attachments, policy, records)


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_a_place_says_nothing_of_the_vcon(case):
    """Each part of it is a name of the draft or a number; an error always has one."""
    attachments, policy, records, _ = case
    found = decided(attachments, policy, records)
    assert found.place
    assert set(found.place) <= set("abcdefghijklmnopqrstuvwxyz_.:[]0123456789")
    assert found.allowed == bool(found.basis) == (found.error is None)


def test_a_faulty_attachment_never_grants_beside_nothing_else():
    """Every single fault of the attachment withholds its grant."""
    faults = [
        {"lawful_basis": "habit"},
        {"expiration": ...},
        {"expiration": at(days=1)},
        {"expiration": 5},
        {"status_interval": "1s"},
        {"purpose_grants": {"0": grant()}},
    ]
    for fault in faults:
        assert not decided([basis(grant(), **fault)], BasisPolicy(), ()).allowed
        assert decided(
            [basis(grant(granted=False), **fault), with_body(body(grant()))], BasisPolicy(), ()
        ).error == (None if "purpose_grants" in fault else DENIED)
    assert decided([], BasisPolicy(), ()).error == MISSING
