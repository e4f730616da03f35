"""The answer of the gate.

Errors have the names of draft-howe-vcon-lawful-basis.
"""

from dataclasses import dataclass
from typing import Final, Literal

type BasisError = Literal[
    "LawfulBasisMissingError",
    "LawfulBasisExpiredError",
    "PermissionDeniedError",
    "ProofVerificationError",
    "ReferenceValidationError",
    "ContentHashMismatchError",
    "UnsupportedHashAlgorithmError",
    "UnsupportedCanonicalizationError",
]

MISSING: Final = "LawfulBasisMissingError"
EXPIRED: Final = "LawfulBasisExpiredError"
DENIED: Final = "PermissionDeniedError"
PROOF: Final = "ProofVerificationError"
REFERENCE: Final = "ReferenceValidationError"
HASH_MISMATCH: Final = "ContentHashMismatchError"
HASH_ALGORITHM: Final = "UnsupportedHashAlgorithmError"
CANONICALIZATION: Final = "UnsupportedCanonicalizationError"

DENYING: Final = frozenset({DENIED, HASH_MISMATCH, HASH_ALGORITHM, CANONICALIZATION})
"""Errors of what denies; those of the others are of grants that are absent or do not count."""

BASES: Final = frozenset(
    {"consent", "contract", "legal_obligation"}
    | {"vital_interests", "public_task", "legitimate_interests"}
)
"""The six lawful bases of the draft, which are those of the GDPR."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a step may have the vCon, and by what.

    `place` is a path in the vCon, or names a recorded basis; it holds no value of the vCon. Of a
    decision that allows, `place` and `basis` are those of the grant; `basis` is empty otherwise.
    """

    allowed: bool
    error: BasisError | None
    place: str
    profile: str
    basis: str = ""
