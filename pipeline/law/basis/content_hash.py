"""The hash of a basis.

The draft hashes "the body", which contains the hash. It is computed without that member, the only
reading under which a hash can ever match.
"""

import hashlib
from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Any

from pipeline.law.basis.decision import (
    CANONICALIZATION,
    HASH_ALGORITHM,
    HASH_MISMATCH,
    BasisError,
)
from pipeline.law.canonical_json import canonical

MEMBER = "content_hash"
"""`algorithm`, `canonicalization` and `value` in hex; not the `content_hash` of the core draft."""


def _blake2b_256(content: bytes) -> Any:
    return hashlib.blake2b(content, digest_size=32)


ALGORITHMS: Mapping[str, Callable[[bytes], Any]] = {
    "sha-256": hashlib.sha256,
    "sha-3-256": hashlib.sha3_256,
    "blake2b-256": _blake2b_256,
}
"""Those that the draft defines."""


def hash_error(body: Mapping[str, Any]) -> BasisError | None:
    """What is wrong with the hash of a body, or None; also None where the body has none."""
    told = body.get(MEMBER)
    if told is None:
        return None
    if not isinstance(told, Mapping):
        return HASH_MISMATCH
    if told.get("canonicalization") != "jcs":
        return CANONICALIZATION
    algorithm = told.get("algorithm")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        return HASH_ALGORITHM
    value = told.get("value")
    if not isinstance(value, str) or not value.isascii():
        return HASH_MISMATCH
    return None if compare_digest(value.lower(), _computed(body, algorithm)) else HASH_MISMATCH


def _computed(body: Mapping[str, Any], algorithm: str) -> str:
    """The hash in hex; empty for a body without a canonical form."""
    hashed = {name: value for name, value in body.items() if name != MEMBER}
    try:
        return str(ALGORITHMS[algorithm](canonical(hashed)).hexdigest())
    except (ValueError, RecursionError):
        return ""
