"""Attachments that are made to slip past the gate, or to stop it."""

import base64
import json

import pytest

from pipeline.config.law import BasisPolicy
from pipeline.law.basis.bodies import MAX_CHARACTERS
from pipeline.law.basis.decision import (
    DENIED,
    EXPIRED,
    HASH_ALGORITHM,
    HASH_MISMATCH,
    MISSING,
    PROOF,
    REFERENCE,
)
from pipeline.law.basis.evaluation import evaluate
from tests.unit.law.basis.bodies import (
    NOW,
    as_text,
    at,
    basis,
    body,
    denial,
    grant,
    hashed,
    vcon,
    with_body,
)

GOOD = basis(grant())
NO = basis(denial())
TEXT = json.dumps(body(denial()))
TWICE = TEXT.replace('"granted": false', '"granted": false, "granted": true')
DEEP = "[" * 100_000


def error(*attachments, **policy):
    """The error of a vCon with these attachments."""
    how = BasisPolicy(**policy)
    return evaluate(vcon(*attachments), "transcription", NOW, how).error


DENIALS = [
    {**NO, "body": base64.urlsafe_b64encode(TEXT.encode()).decode(), "encoding": "base64url"},
    {**NO, "body": base64.b64encode(TEXT.encode()).decode().rstrip("="), "encoding": "base64"},
    {**NO, "body": json.dumps(TEXT)},
    {**NO, "encoding": "none"},
    {**NO, "encoding": ["json"]},
    {**NO, "purpose": "Lawful-Basis "},
    {**NO, "purpose": "note", "type": "lawful basis"},
    {**NO, "purpose": 7, "type": "lawful_basis"},
    {**NO, "purpose": "consent"},
    {**NO, "type": "consent", "body": {"consent_grants": [denial()]}},
    {**NO, "body": {"purpose_grants": [denial(granted_at=...)]}},
    {**NO, "party": "0", "dialog": {}},
    basis(denial(purpose=" TRANSCRIPTION")),
    basis(denial(), [], None, lawful_basis=7, expiration="x"),
    with_body(body(grant(), metadata="x" * MAX_CHARACTERS)),
    {**GOOD, "body": '"' + "x" * MAX_CHARACTERS},
]
DOUBTS = [
    basis(grant(granted="false")),
    basis(grant(granted="Denied ")),
    basis(grant(granted=0)),
    basis(grant(granted=..., status="revoked")),
    {**NO, "body": TWICE},
]
NOTHING = [
    {**GOOD, "body": DEEP},
    {**GOOD, "body": "9" * 5000},
    {**GOOD, "body": "NaN"},
    {**GOOD, "body": "/w==", "encoding": "base64url"},
    {**GOOD, "body": "\ud800", "encoding": "base64url"},
    {**GOOD, "body": body({"purpose": "transcription", "granted": [[]]})},
    {**GOOD, "body": body(grant(purpose=["transcription"]))},
    {**GOOD, "purpose": "x" * 100_000},
    {**GOOD, "purpose": "note", "type": "lawful_basis"},
    {**GOOD, "purpose": "Lawful_Basis"},
    {**GOOD, "body": {"lawful_basis": "consent", "expiration": None, "consent_grants": [grant()]}},
    basis(grant(), expiration="2027-01-01"),
    basis(grant(), expiration=1_800_000_000),
    basis(grant(), expiration="2027-02-30T00:00:00Z"),
    basis(grant(), lawful_basis=["consent"]),
    basis(grant(granted_at="٢٠٢٦-11-01T00:00:00Z")),
]


@pytest.mark.parametrize("attachment", DENIALS)
def test_a_denial_in_any_form_counts_beside_a_good_grant(attachment):
    """Where it stands, how it is encoded, and what else is wrong with it, make no difference."""
    assert error(GOOD, attachment) == DENIED


@pytest.mark.parametrize("attachment", DOUBTS)
def test_what_may_be_meant_as_a_denial_stops_a_good_grant(attachment):
    """It has the error that it has alone, and a denial in words of the draft comes first."""
    assert error(attachment) == error(GOOD, attachment) == MISSING
    assert error(attachment, NO) == DENIED


@pytest.mark.parametrize("attachment", NOTHING)
def test_what_cannot_be_read_grants_nothing_and_spoils_nothing(attachment):
    """No body of a sender raises an error in the gate."""
    assert error(attachment) == MISSING
    assert error(attachment, GOOD) is None


@pytest.mark.parametrize(
    ("attachment", "expected"),
    [
        ({**GOOD, "party": 2}, REFERENCE),
        ({**GOOD, "party": -1}, REFERENCE),
        ({**GOOD, "party": True}, REFERENCE),
        ({**GOOD, "party": "1"}, REFERENCE),
        ({**GOOD, "party": [0]}, REFERENCE),
        ({**GOOD, "dialog": [0, 1]}, REFERENCE),
        ({**GOOD, "dialog": [0]}, None),
        ({**GOOD, "party": None, "dialog": None}, None),
        (basis(grant(), status_interval=30), EXPIRED),
        (basis(grant(), status_interval="P1W2DT3H"), None),
        (basis(grant(), status_interval="P"), EXPIRED),
        (basis(grant(), status_interval="23h"), EXPIRED),
        (basis(grant(), expiration="2026-12-31T23:59:60z"), None),
        (basis(grant(), expiration="2026-11-30T23:00:00+23:00"), EXPIRED),
        (with_body({**body(grant()), "content_hash": "abc"}), HASH_MISMATCH),
        (with_body(hashed(body(grant()), value=7)), HASH_MISMATCH),
        (with_body({**body(grant()), "content_hash": {"canonicalization": "jcs"}}), HASH_ALGORITHM),
        (as_text(with_body(hashed(body(grant(), metadata={"Größe": 1, "n": 1e21})))), None),
        (basis(grant(), proof_mechanisms=[{"proof_data": {"dialog": "0"}}]), PROOF),
        (basis(grant(), proof_mechanisms=[7]), None),
    ],
)
def test_one_fault_has_its_error(attachment, expected):
    """References, intervals, times, hashes and proofs that are nearly right."""
    assert error(attachment) == expected


def test_proofs_that_are_required_must_be_whole():
    """Older names of a proof's members are none of the draft's."""
    proof = {"proof_type": "signed_document", "timestamp": at(days=1), "proof_data": {}}
    older = {"mechanism_type": "verbal", "description": "said yes"}
    assert error(basis(grant(), proof_mechanisms=[proof]), proofs="require") is None
    assert error(basis(grant(), proof_mechanisms=[proof, older]), proofs="require") == PROOF
    assert error(basis(grant(), proof_mechanisms=[older]), proofs="require") == PROOF


def test_many_attachments_take_time_in_proportion():
    """Texts of all bases count together, so their number is bounded, too."""
    many = [as_text(basis(grant(purpose=f"p{each}"))) for each in range(5000)]
    assert error(*many) == DENIED
    assert error(*({**GOOD, "purpose": "note"} for _ in range(5000)), GOOD) is None
