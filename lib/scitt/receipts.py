"""Verifies receipts of a transparency service: COSE receipts with inclusion proofs of RFC 9162.

A service appends an entry for each statement to a Merkle tree. A receipt is a COSE_Sign1 message
whose unprotected header 396 has proofs that lead from the entry to the tree's root; its payload,
the root, is not in it. So the root is computed from the statement and the proof, and the signature
over it shows that the service has the statement in its tree. The drafts leave to the service what
the entry for a statement is; `entries_of` has the forms in use.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lib.scitt.cose import KEY_ID, CoseError, PublicKey, Sign1, decoded, is_signed_by, parse

STRUCTURE, PROOFS, INCLUSION = 395, 396, -1
"""Labels of headers: the kind of tree, the proofs, and among these those of inclusion."""
RFC9162_SHA256 = 1
MOST_PROOFS = 16
LONGEST_PATH = 64
"""Nodes of a path: a tree would have 2 to the power of 64 entries."""


class ReceiptError(ValueError):
    """A receipt does not verify; the text says why."""


class UnknownKeyError(ReceiptError):
    """The service's keys have none with the receipt's identifier."""


def entries_of(statement: bytes, payload: bytes) -> tuple[bytes, ...]:
    """What a service may have appended to its tree for a statement.

    SCITTLEs, the service beside vcon-server, appends the payload's SHA-256; others append the
    SHA-256 of the statement, or the statement itself.
    """
    return (
        hashlib.sha256(payload).digest(),
        hashlib.sha256(statement).digest(),
        statement,
    )


def verify(receipt: bytes, entries: Iterable[bytes], keys: Sequence[PublicKey]) -> None:
    """Check that a key signed the root of a tree that has one of the entries.

    Raises:
        ReceiptError: if none did, or the receipt has another form.
    """
    try:
        message = parse(receipt, "the receipt")
        proofs = _proofs(message)
    except CoseError as error:
        raise ReceiptError(str(error)) from None
    fitting = _fitting(message, keys)
    roots = [_root(entry, *proof) for entry in entries for proof in proofs]
    for root in roots:
        if message.payload not in (None, root):
            continue
        if any(is_signed_by(message, each.key, root) for each in fitting):
            return
    raise ReceiptError("the receipt is not the service's signature over a tree with the statement")


def root(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root of a tree of `size` entries from the hash of its entry `index` (RFC 9162, 2.1.3.2).

    Raises:
        ReceiptError: if the path is too short or too long for the tree.
    """
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ReceiptError("the receipt's inclusion proof is too long for its tree")
        if node & 1 or node == last:
            found = _parent(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = _parent(found, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ReceiptError("the receipt's inclusion proof is too short for its tree")
    return found


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _root(entry: bytes, size: int, index: int, path: Sequence[bytes]) -> bytes:
    return root(leaf_hash(entry), index, size, path)


def _proofs(message: Sign1) -> list[tuple[int, int, list[bytes]]]:
    kind = message.protected.get(STRUCTURE)
    if kind != RFC9162_SHA256:
        raise ReceiptError(
            f"the receipt is of a verifiable data structure {_number(kind)}, and only "
            f"{RFC9162_SHA256} (RFC9162_SHA256) can be verified"
        )
    all_proofs = message.unprotected.get(PROOFS)
    proofs = all_proofs.get(INCLUSION) if isinstance(all_proofs, Mapping) else None
    if not isinstance(proofs, list | tuple) or not 0 < len(proofs) <= MOST_PROOFS:
        raise ReceiptError(f"the receipt does not have 1 to {MOST_PROOFS} inclusion proofs")
    return [_proof(each) for each in proofs]


def _number(kind: Any) -> str:
    return str(kind) if isinstance(kind, int) and abs(kind) < 1_000_000 else "without a number"


def _proof(content: Any) -> tuple[int, int, list[bytes]]:
    name = "an inclusion proof of the receipt"
    found = decoded(content, name) if isinstance(content, bytes) else content
    if not isinstance(found, list | tuple) or len(found) != 3:
        raise ReceiptError(f"{name} is not a list of size, index and path")
    size, index, path = found
    numbers = all(type(each) is int for each in (size, index)) and isinstance(path, list | tuple)
    if not numbers or not 0 <= index < size < 1 << LONGEST_PATH or len(path) > LONGEST_PATH:
        raise ReceiptError(f"{name} has no entry of its tree, or a path that is too long")
    if not all(isinstance(node, bytes) and len(node) == 32 for node in path):
        raise ReceiptError(f"{name} has a node that is not a SHA-256")
    return size, index, list(path)


def _fitting(message: Sign1, keys: Sequence[PublicKey]) -> list[PublicKey]:
    """The keys with the receipt's identifier; those without one may be any."""
    kid = message.protected.get(KEY_ID, message.unprotected.get(KEY_ID))
    fitting = [each for each in keys if None in (kid, each.kid) or each.kid == kid]
    if not fitting:
        raise UnknownKeyError("the service publishes no key with the receipt's identifier")
    return fitting
