"""What an attachment refers to: parties and dialogs by index, and proofs.

The draft has writers name index 0 where none in particular is meant. So 0 is good in a vCon that
has no parties, or no dialogs.

Of proofs, it is seen whether they are whole and name dialogs that exist. What a proof says is not
judged: a spoken yes is in the recording, a signed form elsewhere.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.law.basis.times import seconds_since_1970

TYPES = frozenset(
    ("verbal_confirmation", "signed_document", "cryptographic_signature", "external_system")
)
"""The types of proof that the draft defines."""


_DIALOG = ("dialog", "dialog_index", "dialog_reference")
"""Names in use for the index of the dialog in which a person agreed."""


def is_index(value: object, count: int) -> bool:
    """Whether it is an index of a list of so many entries, or the 0 of an empty one."""
    return type(value) is int and 0 <= value < max(count, 1)


def are_indexes(value: Any, count: int) -> bool:
    """Whether it is absent, an index, or a list of indexes."""
    if isinstance(value, list):
        return all(is_index(each, count) for each in value)
    return value is None or is_index(value, count)


def proofs_hold(body: Mapping[str, Any], dialogs: int, *, required: bool) -> bool:
    """Whether no proof names an absent dialog, and, where required, one is there and all whole."""
    proofs = body.get("proof_mechanisms")
    listed = proofs if isinstance(proofs, list) else []
    if required and not (listed and all(map(_is_whole, listed))):
        return False
    return all(_refers_well(each, dialogs) for each in listed)


def _is_whole(proof: object) -> bool:
    return (
        isinstance(proof, dict)
        and isinstance(kind := proof.get("proof_type"), str)
        and kind in TYPES
        and seconds_since_1970(proof.get("timestamp")) is not None
        and isinstance(proof.get("proof_data"), dict)
    )


def _refers_well(proof: object, dialogs: int) -> bool:
    told = proof.get("proof_data") if isinstance(proof, dict) else None
    if not isinstance(told, dict):
        return True
    return all(are_indexes(told.get(name), dialogs) for name in _DIALOG)
