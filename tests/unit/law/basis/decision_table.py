"""The decision table: 59 rows, each an input and the error, or None where the step may go on."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from pipeline.config.law import BasisPolicy
from pipeline.law.basis.decision import (
    CANONICALIZATION,
    DENIED,
    EXPIRED,
    HASH_ALGORITHM,
    HASH_MISMATCH,
    MISSING,
    PROOF,
    REFERENCE,
)
from pipeline.law.basis.records import RecordedBasis
from tests.unit.law.basis.bodies import (
    NOW,
    Json,
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

OK = None
G, D = grant(), denial()
GOOD = basis(G)


class Row(NamedTuple):
    """One row; a later time than now is that of the step in question."""

    number: int
    document: Json
    error: str | None
    policy: Mapping[str, Any] = MappingProxyType({})
    records: tuple[RecordedBasis, ...] = ()
    later: timedelta = timedelta()
    before: str | None = "as the row"
    """What the steps before it got, where that differs."""


def by_party(index: int, *grants: Json, **members: Any) -> Json:
    """A basis of one party."""
    return basis(*grants, attachment={"party": index}, **members)


def in_dialog(index: int) -> Json:
    """A basis in one dialog."""
    return basis(G, attachment={"dialog": index})


def dated(value: Any) -> Json:
    """A basis granted at a time."""
    return basis(grant(granted_at=value))


def proof(dialog: int) -> Json:
    """A proof in one dialog."""
    data = {"dialog_reference": dialog}
    return {"proof_type": "verbal_confirmation", "timestamp": at(days=1), "proof_data": data}


def typed(attachment: Json, **names: str) -> Json:
    """An attachment under other names."""
    return {**{k: v for k, v in attachment.items() if k != "purpose"}, **names}


PARTIES = [{"tel": "+12015550100"}, {"tel": "+12015550101"}]
BOT = [PARTIES[0], {"type": "bot", "name": "desk"}]
WRONG = with_body(hashed(body(G), value="0" * 64))
STANDING = RecordedBasis(7, "n1", granted=False, at=NOW - timedelta(days=3), party=1)
REVOKED = RecordedBasis(8, "vcon", granted=False, at=NOW, purpose="transcription")
OLD = {"type": "consent", "encoding": "json", "body": {"expiration": None, "consent_grants": [G]}}
EARLIER = denial(granted_at=at(days=9))
SOON = basis(G, expiration=at(seconds=-3))

ROWS = [
    # 1 is a step without `requires`: the gate is not asked.
    Row(2, vcon(), MISSING),
    Row(3, vcon(GOOD), OK),
    Row(4, vcon(basis(D)), DENIED),
    Row(5, vcon(basis(grant("recording"))), MISSING),
    Row(6, vcon(basis(G, D)), DENIED),
    Row(7, vcon(basis(D, G)), DENIED),
    Row(8, vcon(GOOD, basis(D)), DENIED),
    Row(9, vcon(GOOD, GOOD), OK),
    Row(10, vcon(basis(G, expiration=at(seconds=-1))), OK),
    Row(11, vcon(basis(G, expiration=at(seconds=30))), OK),
    Row(12, vcon(basis(G, expiration=at(seconds=61))), EXPIRED),
    Row(13, vcon(basis(G, expiration=None)), OK),
    Row(14, vcon(basis(G, expiration=...)), MISSING),
    Row(15, vcon(basis(G, expiration="next year")), MISSING),
    Row(15, vcon(dated("yesterday")), MISSING),
    Row(16, vcon(basis(G, expiration="2026-11-30T12:00:30")), OK),
    Row(16, vcon(basis(G, expiration="2026-11-30T11:58:30")), EXPIRED),
    Row(17, vcon(basis(G, expiration=at(days=1)), GOOD), OK),
    Row(18, vcon(basis(D, expiration=at(days=1)), GOOD), DENIED),
    Row(19, vcon(dated(at(seconds=-30))), OK),
    Row(20, vcon(dated(at(minutes=-10))), MISSING),
    Row(21, vcon(dated(...)), MISSING),
    Row(22, vcon(basis(grant(granted="false"))), MISSING),
    Row(22, vcon(basis(grant(granted=1))), MISSING),
    Row(23, vcon(basis(grant(granted=..., status="granted"))), MISSING),
    Row(24, vcon(basis(grant(granted_at=at(days=29)), status_interval="30d")), OK),
    Row(25, vcon(basis(grant(granted_at=at(days=31)), status_interval="30d")), EXPIRED),
    Row(26, vcon(basis(G, status_interval="monthly")), EXPIRED),
    *(
        Row(27, vcon(with_body(hashed(body(G), each))), OK)
        for each in ("sha-256", "sha-3-256", "blake2b-256")
    ),
    Row(28, vcon(WRONG), HASH_MISMATCH),
    Row(29, vcon(GOOD, WRONG), HASH_MISMATCH),
    Row(
        30,
        vcon(
            with_body(
                {
                    **body(G),
                    "content_hash": {
                        "algorithm": "md5",
                        "canonicalization": "jcs",
                        "value": "0" * 32,
                    },
                }
            )
        ),
        HASH_ALGORITHM,
    ),
    Row(31, vcon(with_body(hashed(body(G), canonicalization="c14n"))), CANONICALIZATION),
    Row(32, vcon(with_body(hashed(body(G, metadata=2**53), value="0" * 64))), HASH_MISMATCH),
    Row(33, vcon(by_party(9, G)), REFERENCE),
    Row(34, vcon(by_party(9, D)), DENIED),
    Row(35, vcon(in_dialog(5)), REFERENCE),
    Row(36, vcon(in_dialog(0), dialogs=0), OK),
    Row(37, vcon(typed(GOOD, type="lawful_basis")), OK),
    Row(37, vcon(typed(basis(D), type="lawful_basis")), DENIED),
    Row(38, vcon(typed(basis(D), type="lawful_basis", purpose="note")), DENIED),
    Row(39, vcon(as_text(GOOD)), OK),
    Row(39, vcon(as_text(basis(D))), DENIED),
    Row(40, vcon({**GOOD, "body": '{"lawful_basis": "consent", "purpose_gra'}), MISSING),
    Row(40, vcon({**GOOD, "body": [body(G)]}), MISSING),
    Row(41, vcon(basis(G, lawful_basis="habit")), MISSING),
    Row(42, vcon(basis(G, lawful_basis="contract")), MISSING, {"bases": frozenset({"consent"})}),
    Row(43, vcon(basis(grant(conditions=["in 2026"]))), DENIED, {"conditions": "deny"}),
    Row(44, vcon(basis(grant("Transcription"))), MISSING),
    Row(
        45, vcon(basis(grant("Transcription"))), OK, {"aliases": {"Transcription": "transcription"}}
    ),
    Row(46, vcon(OLD), MISSING),
    Row(47, vcon(by_party(0, G)), MISSING, {"scope": "each"}),
    Row(48, vcon(by_party(0, G), parties=0) | {"parties": BOT}, OK, {"scope": "each"}),
    Row(49, vcon(by_party(0, G), by_party(1, D)), DENIED),
    Row(50, vcon(GOOD), DENIED, records=(STANDING,)),
    Row(51, vcon(basis(EARLIER), GOOD), OK, {"conflicts": "latest"}),
    Row(52, vcon(basis(D), GOOD), DENIED, {"conflicts": "latest"}),
    Row(53, vcon(SOON), EXPIRED, later=timedelta(seconds=64), before=OK),
    Row(54, vcon(GOOD), DENIED, records=(REVOKED,), before=OK),
    Row(55, {"ciphertext": "AA", "recipients": [{}], "uuid": "x", "attachments": [GOOD]}, MISSING),
    Row(56, vcon(GOOD), MISSING, {"signed_only": True}),
    Row(57, {"payload": "AA", "signatures": [{}], **vcon(GOOD)}, MISSING),
    Row(58, vcon(GOOD), PROOF, {"proofs": "require"}),
    Row(59, vcon(basis(G, proof_mechanisms=[proof(4)])), PROOF, {"proofs": "require"}),
    Row(59, vcon(basis(G, proof_mechanisms=[proof(4)])), PROOF),
]


def policy_of(row: Row) -> BasisPolicy:
    """The policy under which a row holds."""
    return BasisPolicy(**row.policy)
